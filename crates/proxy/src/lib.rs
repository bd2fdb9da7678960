//! Service rules: plan/ (pure) and drive/ (nftables).

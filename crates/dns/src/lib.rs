//! Cluster DNS: plan/ (pure zone) and drive/ (sockets).

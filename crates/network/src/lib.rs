//! Links, routes, addresses and nftables through netlink. Never heard of Kubernetes.

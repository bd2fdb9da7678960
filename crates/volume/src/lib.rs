//! Mounts and atomically replaced folders. Never heard of Kubernetes.

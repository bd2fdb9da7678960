//! OCI images: pulled, loaded, unpacked, mounted. Never heard of Kubernetes.

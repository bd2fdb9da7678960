//! Linux containers through libcontainer. Never heard of Kubernetes.

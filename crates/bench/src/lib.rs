//! kybern bench: measurements against any kubeconfig.

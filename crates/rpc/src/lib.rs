//! Generated gRPC code (CRI, etcd, CSI, device plugins), checked in.

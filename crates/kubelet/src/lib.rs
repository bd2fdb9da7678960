//! Pods made real on a node: plan/ (pure) and drive/.

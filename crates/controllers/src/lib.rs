//! One file per controller. Pure.

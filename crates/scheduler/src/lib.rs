//! The scheduler's mind. Pure.

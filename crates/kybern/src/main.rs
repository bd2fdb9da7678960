//! The binary: chooses roles, wires, runs, shuts down; decides nothing.

fn main() {}

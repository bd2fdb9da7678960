//! The contract of the minds: Controller, View, Heard, Plan. Pure.

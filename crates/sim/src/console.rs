//! A suite's console in a simulated cluster: `kubectl …` is our own, called in this thread; `sleep N` moves the
//! clock on; `sim …` does to nodes what only a simulation can.

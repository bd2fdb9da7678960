//! Runs Markdown suites. Development only.

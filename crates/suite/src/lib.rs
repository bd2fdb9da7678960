//! Markdown suites: one text is documentation and test. Development only.
//!
//! Headings of the second level are tests; one that ends in `# sim` runs in a simulated cluster only. In them
//! - a `yaml` block is applied (`kubectl apply -f -`),
//! - a `console` block holds command lines after `$ ` and their whole expected output, with holes ([`hole`]);
//!   `# eventually` behind a command runs it again until its output is as expected,
//! - an `always` block is a console block that must hold at every moment until the test ends.
//!
//! ```text
//!   text ──parse──▶ tests (steps) ──run (in a World)──▶ outcomes with diffs
//! ```

pub mod hole;
pub mod ledger;
pub mod parse;
pub mod run;
pub mod writer;

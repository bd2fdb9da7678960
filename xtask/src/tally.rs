//! How many passed, failed and were skipped, and which.

use std::ops::AddAssign;

#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub passed: usize,
    pub failed: Vec<String>,
    pub skipped: Vec<String>,
}

impl Tally {
    /// One check: its name and how it went.
    pub fn add(&mut self, name: &str, outcome: Result<(), String>) {
        match outcome {
            Ok(()) => {
                println!("ok      {name}");
                self.passed += 1;
            }
            Err(why) => {
                println!("FAILED  {name}\n{why}");
                self.failed.push(name.into());
            }
        }
    }

    pub fn skip(&mut self, name: &str, why: &str) {
        println!("skipped {name}: {why}");
        self.skipped.push(format!("{name}: {why}"));
    }

    /// The closing lines: skips and failures by name, then the sums.
    pub fn close(&self) -> anyhow::Result<()> {
        self.skipped.iter().for_each(|name| println!("skipped: {name}"));
        self.failed.iter().for_each(|name| println!("failed: {name}"));
        println!("{} passed, {} failed, {} skipped", self.passed, self.failed.len(), self.skipped.len());
        if self.failed.is_empty() { Ok(()) } else { anyhow::bail!("{} failed", self.failed.len()) }
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed.extend(other.failed);
        self.skipped.extend(other.skipped);
    }
}

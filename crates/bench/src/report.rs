//! What a scenario found: figures with names and units, as text and as JSON.

use std::time::Duration;

use serde_json::{Map, Value, json};

/// The figures of a scenario, in the order measured.
#[derive(Clone, Debug)]
pub struct Report {
    scenario: &'static str,
    figures: Vec<(String, f64, &'static str)>,
}

impl Report {
    pub fn new(scenario: &'static str) -> Self {
        Self { scenario, figures: Vec::new() }
    }

    pub fn figure(&mut self, name: &str, value: f64, unit: &'static str) {
        self.figures.push((name.into(), value, unit));
    }

    /// p50, p99 and the largest of some durations, in milliseconds.
    pub fn durations(&mut self, name: &str, durations: &mut [Duration]) {
        durations.sort_unstable();
        let at = |share: f64| durations.get(((durations.len() as f64 - 1.0) * share).round() as usize);
        for (label, share) in [("p50", 0.5), ("p99", 0.99), ("max", 1.0)] {
            if let Some(duration) = at(share) {
                self.figure(&format!("{name} {label}"), duration.as_secs_f64() * 1e3, "ms");
            }
        }
    }

    pub fn text(&self) -> String {
        let line = |(name, value, unit): &(String, f64, &str)| format!("  {name:<32} {value:>12.2} {unit}");
        let lines: Vec<String> = self.figures.iter().map(line).collect();
        format!("{}\n{}", self.scenario, lines.join("\n"))
    }

    pub fn json(&self) -> String {
        let mut figures = Map::new();
        for (name, value, unit) in &self.figures {
            figures.insert(name.clone(), json!({"value": value, "unit": unit}));
        }
        Value::from(Map::from_iter([
            ("scenario".to_owned(), Value::from(self.scenario)),
            ("figures".to_owned(), Value::Object(figures)),
        ]))
        .to_string()
    }
}

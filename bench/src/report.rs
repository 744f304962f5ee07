//! Figures: a table for people and one flat JSON object for programs, the unit in every key.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Map, Value, json};

/// The figures of one scenario, in the order in which they were taken.
#[derive(Debug)]
pub(crate) struct Report {
    name: String,
    figures: Map<String, Value>,
}

impl Report {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            figures: Map::new(),
        }
    }

    pub(crate) fn count(&mut self, key: &str, value: impl TryInto<u64>) {
        self.figures
            .insert(key.to_owned(), json!(value.try_into().unwrap_or(u64::MAX)));
    }

    pub(crate) fn text(&mut self, key: &str, value: &str) {
        self.figures.insert(key.to_owned(), json!(value));
    }

    /// With three decimals: nobody measures more here.
    pub(crate) fn number(&mut self, key: &str, value: f64) {
        self.figures
            .insert(key.to_owned(), json!((value * 1e3).round() / 1e3));
    }

    /// In milliseconds; the key ends in `_ms`.
    pub(crate) fn time(&mut self, key: &str, value: Duration) {
        self.number(&format!("{key}_ms"), value.as_secs_f64() * 1e3);
    }

    /// Middle, 99th percentile and longest of times that are sorted.
    pub(crate) fn times(&mut self, key: &str, sorted: &[Duration]) {
        self.time(&format!("{key}_p50"), percentile(sorted, 50));
        self.time(&format!("{key}_p99"), percentile(sorted, 99));
        self.time(&format!("{key}_max"), percentile(sorted, 100));
    }

    /// The medians of several runs, figure by figure, and how many runs there were. Of what is not a number, the first run's.
    pub(crate) fn medians(runs: Vec<Self>) -> Self {
        let count = runs.len();
        let all: Vec<_> = runs.iter().map(|run| run.figures.clone()).collect();
        let Some(mut report) = runs.into_iter().next() else {
            return Self::new("nothing");
        };
        for (key, value) in &mut report.figures {
            let mut values: Vec<_> = all.iter().filter_map(|run| run.get(key)).collect();
            let number = |value: &Value| value.as_f64().unwrap_or_default();
            values.sort_by(|a, b| number(a).total_cmp(&number(b)));
            if let (true, Some(middle)) = (value.is_number(), values.get((values.len() - 1) / 2)) {
                *value = (*middle).clone();
            }
        }
        report.count("runs", count);
        report
    }

    #[expect(clippy::print_stdout, reason = "it is what the program is for")]
    pub(crate) fn print(&self) {
        println!("\n{}", self.name);
        let width = self
            .figures
            .keys()
            .map(String::len)
            .max()
            .unwrap_or_default();
        for (key, value) in &self.figures {
            println!("  {key:width$}  {value}");
        }
    }

    /// Writes `<directory>/<name>.json`.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn write(&self, directory: &Path) -> anyhow::Result<()> {
        std::fs::create_dir_all(directory)
            .with_context(|| format!("make {}", directory.display()))?;
        let file = directory.join(format!("{}.json", self.name));
        let text = format!("{:#}\n", Value::Object(self.figures.clone()));
        std::fs::write(&file, text).with_context(|| format!("write {}", file.display()))
    }
}

/// The time below which `percent` of the sorted times lie.
#[must_use]
pub fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let last = sorted.len().saturating_sub(1);
    let at = (sorted.len() * percent)
        .div_ceil(100)
        .saturating_sub(1)
        .min(last);
    sorted.get(at).copied().unwrap_or_default()
}

/// The middle one of several measurements.
pub(crate) fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    percentile(&times, 50)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_runs_each_figure_is_the_middle_one() {
        let run = |a: u64, b: f64| {
            let mut report = Report::new("s");
            report.count("a", a);
            report.number("b_ms", b);
            report.text("c", &format!("run {a}"));
            report
        };
        let report = Report::medians(vec![run(1, 9.0), run(3, 1.5), run(2, 2.0)]);
        let expected = json!({"a": 2, "b_ms": 2.0, "c": "run 1", "runs": 3});
        assert_eq!(Value::Object(report.figures), expected);
    }

    #[test]
    fn percentiles_are_measured_values() {
        let times: Vec<_> = (1..=100).map(Duration::from_millis).collect();
        assert_eq!(percentile(&times, 50), Duration::from_millis(50));
        assert_eq!(percentile(&times, 99), Duration::from_millis(99));
        assert_eq!(percentile(&times, 100), Duration::from_millis(100));
        assert_eq!(percentile(&[], 99), Duration::ZERO);
        assert_eq!(percentile(&times[..1], 99), Duration::from_millis(1));
    }
}

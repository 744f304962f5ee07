//! One fault as it went: what was measured beside what is promised, and what the oracles say.

use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

/// A figure, and the most that it may be.
#[derive(Debug, Clone)]
pub(crate) struct Bar {
    pub(crate) figure: String,
    pub(crate) measured: f64,
    pub(crate) most: f64,
}

impl Bar {
    pub(crate) fn holds(&self) -> bool {
        self.measured <= self.most
    }
}

/// What an oracle says.
#[derive(Debug, Clone)]
pub(crate) struct Verdict {
    /// Such as `O1 ledger`.
    pub(crate) oracle: &'static str,
    /// None: it could not judge.
    pub(crate) good: Option<bool>,
    pub(crate) says: String,
}

/// One fault.
pub(crate) struct Case {
    pub(crate) number: &'static str,
    pub(crate) began: Instant,
    healed: Option<Instant>,
    pub(crate) bars: Vec<Bar>,
    pub(crate) notes: Map<String, Value>,
    pub(crate) verdicts: Vec<Verdict>,
    may_lose: bool,
    /// Why it could not be done, or not to its end.
    pub(crate) broke: Option<String>,
    /// What this machine lacks for it.
    pub(crate) skipped: Option<String>,
}

impl Case {
    pub(crate) fn new(number: &'static str) -> Self {
        Self {
            number,
            began: Instant::now(),
            healed: None,
            bars: Vec::new(),
            notes: Map::new(),
            verdicts: Vec::new(),
            may_lose: false,
            broke: None,
            skipped: None,
        }
    }

    /// From now on nothing is wrong any more.
    pub(crate) fn heal(&mut self) -> Instant {
        *self.healed.insert(Instant::now())
    }

    /// When nothing was wrong any more.
    pub(crate) fn healed(&self) -> Instant {
        self.healed.unwrap_or_else(Instant::now)
    }

    /// What was acknowledged may be lost by what was done: it is counted, and nobody's fault.
    pub(crate) fn may_lose(&mut self) {
        self.may_lose = true;
    }

    /// Whether it may.
    pub(crate) const fn loses(&self) -> bool {
        self.may_lose
    }

    /// A figure with the most that it may be. The unit is in its name.
    pub(crate) fn bar(&mut self, figure: &str, measured: f64, most: f64) {
        self.bars.push(Bar {
            figure: figure.to_owned(),
            measured,
            most,
        });
    }

    /// The same of a time, in seconds.
    pub(crate) fn time(&mut self, figure: &str, measured: Duration, most: Duration) {
        self.bar(figure, measured.as_secs_f64(), most.as_secs_f64());
    }

    /// The same of a number of things.
    pub(crate) fn count(&mut self, figure: &str, measured: usize, most: usize) {
        self.bar(figure, measured as f64, most as f64);
    }

    /// A figure that nothing is promised about.
    pub(crate) fn note(&mut self, figure: &str, value: impl Into<Value>) {
        self.notes.insert(figure.to_owned(), value.into());
    }

    /// Whether every bar holds and every oracle is content.
    pub(crate) fn holds(&self) -> bool {
        self.broke.is_none()
            && self.bars.iter().all(Bar::holds)
            && self.verdicts.iter().all(|v| v.good != Some(false))
    }

    /// What it misses, in words.
    pub(crate) fn misses(&self) -> Vec<String> {
        let broke = self
            .broke
            .iter()
            .map(|why| format!("did not go to its end: {why}"));
        let bars = self.bars.iter().filter(|bar| !bar.holds()).map(|bar| {
            let over = rounded(bar.measured - bar.most);
            format!(
                "{} is {}, {over} more than {}",
                bar.figure,
                rounded(bar.measured),
                bar.most
            )
        });
        let verdicts = self.verdicts.iter().filter(|v| v.good == Some(false));
        let verdicts = verdicts.map(|v| format!("{}: {}", v.oracle, v.says));
        broke.chain(bars).chain(verdicts).collect()
    }

    /// As it stands in the evidence.
    pub(crate) fn evidence(&self, what: &str) -> Value {
        let bars: Vec<Value> = self
            .bars
            .iter()
            .map(|bar| {
                json!({"figure": bar.figure, "measured": rounded(bar.measured), "most": bar.most, "holds": bar.holds()})
            })
            .collect();
        let oracles: Map<String, Value> = self
            .verdicts
            .iter()
            .map(|v| (v.oracle.to_owned(), json!({"good": v.good, "says": v.says})))
            .collect();
        json!({
            "fault": self.number,
            "what": what,
            "holds": self.skipped.is_none() && self.holds(),
            "skipped": self.skipped,
            "broke": self.broke,
            "bars": bars,
            "notes": self.notes,
            "oracles": oracles,
        })
    }
}

/// With three decimals: nobody measures more here.
pub(crate) fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_misses_its_bar_says_by_how_much() {
        let mut case = Case::new("F-00");
        case.time(
            "gap_s",
            Duration::from_millis(2_500),
            Duration::from_secs(3),
        );
        assert!(case.holds() && case.misses().is_empty());
        case.count("lost", 2, 0);
        case.verdicts.push(Verdict {
            oracle: "O9 panics",
            good: Some(false),
            says: String::from("one"),
        });
        assert!(!case.holds());
        assert_eq!(
            case.misses(),
            ["lost is 2, 2 more than 0", "O9 panics: one"]
        );
        assert_eq!(case.evidence("x")["bars"][1]["holds"], json!(false));
    }
}

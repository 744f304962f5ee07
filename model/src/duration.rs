//! Durations as users write them. The text is kept: `"1000ms"` comes back as `"1000ms"`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

/// What a duration must match; also published in the OpenAPI document.
pub const DURATION_PATTERN: &str = "^[0-9]{1,9}([.][0-9]{1,9})?(ms|s|m|h)$";

/// A length of time: a decimal number and one unit of `ms`, `s`, `m`, `h`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HumanDuration {
    text: String,
    value: std::time::Duration,
}

/// The text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a duration is a number and a unit, such as \"250ms\", \"1.5s\", \"2m\" or \"1h\"")]
pub struct ParseDurationError;

impl HumanDuration {
    /// So many seconds.
    #[must_use]
    pub fn from_secs(seconds: u32) -> Self {
        Self {
            text: format!("{seconds}s"),
            value: std::time::Duration::from_secs(seconds.into()),
        }
    }

    /// The text as it was sent.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The length of time.
    #[must_use]
    pub const fn get(&self) -> std::time::Duration {
        self.value
    }
}

impl PartialSchema for HumanDuration {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some(DURATION_PATTERN))
            .description(Some("A number and one unit of `ms`, `s`, `m`, `h`."))
            .examples(["1.5s"])
            .into()
    }
}

impl ToSchema for HumanDuration {}

impl FromStr for HumanDuration {
    type Err = ParseDurationError;

    fn from_str(text: &str) -> Result<Self, ParseDurationError> {
        let split = text
            .find(|c: char| c.is_ascii_alphabetic())
            .ok_or(ParseDurationError)?;
        let (number, unit) = text.split_at(split);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        let digits =
            |part: &str| (1..=9).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(fraction) {
            return Err(ParseDurationError);
        }
        let unit_nanos: u128 = match unit {
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return Err(ParseDurationError),
        };
        let whole: u128 = whole.parse().map_err(|_| ParseDurationError)?;
        let scale = 10_u128.pow(u32::try_from(fraction.len()).map_err(|_| ParseDurationError)?);
        let fraction: u128 = fraction.parse().map_err(|_| ParseDurationError)?;
        let nanos = whole * unit_nanos + fraction * unit_nanos / scale;
        let seconds = u64::try_from(nanos / 1_000_000_000).map_err(|_| ParseDurationError)?;
        let rest = u32::try_from(nanos % 1_000_000_000).map_err(|_| ParseDurationError)?;
        Ok(Self {
            text: text.to_owned(),
            value: std::time::Duration::new(seconds, rest),
        })
    }
}

impl TryFrom<String> for HumanDuration {
    type Error = ParseDurationError;

    fn try_from(text: String) -> Result<Self, ParseDurationError> {
        text.parse()
    }
}

impl From<HumanDuration> for String {
    fn from(duration: HumanDuration) -> Self {
        duration.text
    }
}

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn units_and_fractions() {
        let millis = |text: &str| text.parse::<HumanDuration>().unwrap().get().as_millis();
        assert_eq!(millis("250ms"), 250);
        assert_eq!(millis("1.5s"), 1_500);
        assert_eq!(millis("2m"), 120_000);
        assert_eq!(millis("1h"), 3_600_000);
        assert_eq!(
            "1000ms".parse::<HumanDuration>().unwrap().as_str(),
            "1000ms"
        );
    }

    proptest! {
        #[test]
        fn the_published_pattern_and_the_parser_agree(text in "[0-9]{0,11}[.]?[0-9]{0,11}(ms|s|m|h|d| s|)") {
            let pattern = regex_lite::Regex::new(DURATION_PATTERN).unwrap();
            prop_assert_eq!(pattern.is_match(&text), text.parse::<HumanDuration>().is_ok());
        }
    }
}

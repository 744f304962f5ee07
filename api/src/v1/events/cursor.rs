//! How far a client has read: the id of an event.

use heddle_store::live::Heads;

/// What an id looks like.
pub(crate) const CURSOR: &str = "^(0|[1-9][0-9]{0,14})-(0|[1-9][0-9]{0,14})-(0|[1-9][0-9]{0,14})$";

/// The id of whoever has read up to there.
pub(super) fn format(at: Heads) -> String {
    format!("{}-{}-{}", at.revision, at.audit, at.status)
}

pub(super) fn parse(text: &str) -> Option<Heads> {
    let mut numbers = text.split('-').map(|text| {
        let plain = text.bytes().all(|b| b.is_ascii_digit()) && text.len() <= 15;
        let canonical = text == "0" || !text.starts_with('0');
        text.parse::<u64>().ok().filter(|_| plain && canonical)
    });
    let heads = Heads {
        revision: numbers.next()??,
        audit: numbers.next()??,
        status: numbers.next()??,
    };
    numbers.next().is_none().then_some(heads)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_handed_out_is_read_back_and_nothing_else() {
        let heads = Heads {
            revision: 12,
            audit: 0,
            status: 345,
        };
        assert_eq!(format(heads), "12-0-345");
        assert_eq!(parse("12-0-345"), Some(heads));
        for bad in [
            "",
            "1",
            "1-2",
            "1-2-3-4",
            "-1-2-3",
            "1--3",
            "01-2-3",
            "+1-2-3",
            "1-2-x",
            "1-2-3 ",
            "1-2-9999999999999999",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}

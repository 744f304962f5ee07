//! Paths as rules compare them: exactly in one that allows, in every spelling in one that denies.

use crate::kind::access_rule::{Paths, Template};
use crate::path;

/// Whether a segment is `.` or `..` to those servers that cut parameters off first, as in `/public/..;/admin`.
pub(super) fn is_disguised(path: &str) -> bool {
    path.split('/').skip(1).any(|segment| {
        let segment = path::lenient(segment);
        let name = segment.split_once(';').map(|(name, _)| name);
        matches!(name, Some("." | ".."))
    })
}

fn segments(path: &str) -> Vec<&str> {
    let trimmed = path.trim_end_matches('/');
    trimmed.split('/').skip(1).collect()
}

/// Exactly what a rule that allows says.
pub(super) fn is_exactly(paths: &Paths<'_>, path: &str) -> bool {
    match paths {
        Paths::Exact(wanted) => path == *wanted,
        Paths::Prefix(prefix) => match prefix.trim_end_matches('/') {
            "" => true,
            prefix => {
                let rest = path.strip_prefix(prefix);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
        },
        Paths::Template(Template { segments, open }) => {
            let given: Vec<&str> = path.split('/').skip(1).collect();
            let fits = |(wanted, given): (&Option<&str>, &&str)| match wanted {
                Some(wanted) => wanted == given,
                None => !given.is_empty(),
            };
            let enough = match open {
                true => given.len() >= segments.len(),
                false => given.len() == segments.len(),
            };
            // `/{**}` has no segment to begin with, and takes every path.
            enough
                && (path.starts_with('/') || segments.is_empty())
                && segments.iter().zip(&given).all(fits)
        }
    }
}

/// One segment as a rule that denies compares it.
fn is_segment_like(wanted: &str, given: &str) -> bool {
    let (wanted, given) = (path::lenient(wanted), path::lenient(given));
    let rest = given.strip_prefix(wanted.as_ref());
    let rest = rest.map(|rest| rest.trim_start_matches('.'));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(';'))
}

/// What a rule that denies says, and every spelling of it that some server takes for the same.
pub(super) fn is_like(paths: &Paths<'_>, path: &str) -> bool {
    let (wanted, open): (Vec<Option<&str>>, bool) = match paths {
        Paths::Exact(wanted) => (segments(wanted).into_iter().map(Some).collect(), false),
        Paths::Prefix(prefix) => (segments(prefix).into_iter().map(Some).collect(), true),
        Paths::Template(Template { segments, open }) => {
            let mut wanted = segments.clone();
            while wanted.last() == Some(&Some("")) {
                wanted.pop();
            }
            (wanted, *open)
        }
    };
    if wanted.is_empty() && open {
        return true;
    }
    let Some(rest) = path.strip_prefix('/') else {
        return false;
    };
    let given: Vec<&str> = rest.split('/').collect();
    let Some((given, after)) = given.split_at_checked(wanted.len()) else {
        return false;
    };
    let tail = match after {
        [] => true,
        // A slash at the end, or what is nothing to those who cut dots and parameters off.
        [only] => open || is_segment_like("", only),
        _ => open,
    };
    let fits = |(wanted, given): (&Option<&str>, &&str)| match wanted {
        Some(wanted) => is_segment_like(wanted, given),
        None => !given.is_empty(),
    };
    tail && wanted.iter().zip(given).all(fits)
}

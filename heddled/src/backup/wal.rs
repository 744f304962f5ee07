//! The files of PostgreSQL's log: their names, and whether one is missing between them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

/// What `pg_receivewal` calls a file that it is still writing.
const PARTIAL: &str = ".partial";

/// A file of the log: the life of the database that wrote it, and its number in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Segment {
    pub(crate) number: u64,
    timeline: u32,
}

impl Segment {
    /// From the name, for files of this size.
    fn parse(name: &str, size: u64) -> Option<Self> {
        if name.len() != 24 || size == 0 {
            return None;
        }
        let part = |at: usize| u32::from_str_radix(name.get(at..at + 8)?, 16).ok();
        let (log, file) = (u64::from(part(8)?), u64::from(part(16)?));
        Some(Self {
            timeline: part(0)?,
            number: log * per_log(size) + file,
        })
    }
}

/// Which file a place in the log is in.
pub(crate) fn number_of(place: u64, size: u64) -> u64 {
    place / size.max(1)
}

fn per_log(size: u64) -> u64 {
    (1_u64 << 32) / size
}

/// A place in the log as PostgreSQL writes it: `0/2000138`.
pub(crate) fn place(text: &str) -> Option<u64> {
    let (high, low) = text.split_once('/')?;
    let part = |digits: &str| u32::from_str_radix(digits, 16).ok().map(u64::from);
    Some((part(high)? << 32) | part(low)?)
}

/// Whether anything has been received yet.
///
/// # Errors
/// The directory cannot be read.
pub(crate) fn is_begun(directory: &Path) -> anyhow::Result<bool> {
    Ok(!names(directory)?.is_empty())
}

fn names(directory: &Path) -> anyhow::Result<Vec<String>> {
    let read = || -> std::io::Result<Vec<String>> {
        let entries = std::fs::read_dir(directory)?;
        entries
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect()
    };
    read().with_context(|| format!("read {}", directory.display()))
}

/// What a directory of received files has to give to a backup: where each comes from, under the name that it has in a cluster.
///
/// # Errors
/// Something is missing after the place where the backup ends.
pub(crate) fn after(
    directory: &Path,
    begins: u64,
    ends: u64,
) -> anyhow::Result<Vec<(PathBuf, String)>> {
    let mut found: BTreeMap<Segment, (PathBuf, String)> = BTreeMap::new();
    let mut histories = Vec::new();
    let mut size = 0;
    for file in names(directory)? {
        let path = directory.join(&file);
        if file.ends_with(".history") {
            histories.push((path, file));
            continue;
        }
        let name = file.strip_suffix(PARTIAL).unwrap_or(&file);
        let length = std::fs::metadata(&path)
            .with_context(|| format!("look at {}", path.display()))?
            .len();
        let Some(segment) = Segment::parse(name, length) else {
            continue;
        };
        size = length;
        // A file that is whole beats the one that was not yet.
        let whole = file == name;
        if whole || !found.contains_key(&segment) {
            found.insert(segment, (path.clone(), name.to_owned()));
        }
    }
    if size == 0 {
        bail!("{} holds nothing that was received", directory.display());
    }
    // Where it ends is the first byte that it does not need.
    let ends = number_of(ends.saturating_sub(1), size);
    let begins = number_of(begins, size);
    found.retain(|segment, _| segment.number >= begins);
    let numbers: BTreeSet<u64> = found.keys().map(|segment| segment.number).collect();
    let last = numbers.last().copied().unwrap_or_default();
    if let Some(missing) = (ends..=last.max(ends)).find(|number| !numbers.contains(number)) {
        bail!(
            "{} does not go on from the backup without a gap: the file number {missing} of the log is missing (the backup ends in {ends}). \
             It was followed from too late, or for another database; a newer backup may go with it",
            directory.display()
        );
    }
    let mut files: Vec<_> = found.into_values().collect();
    files.extend(histories);
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: u64 = 1 << 20;

    fn directory(names: &[&str]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for name in names {
            let file = std::fs::File::create(directory.path().join(name)).unwrap();
            file.set_len(if name.ends_with("history") { 9 } else { SIZE })
                .unwrap();
        }
        directory
    }

    #[test]
    fn places_and_names_lead_to_the_same_number() {
        let at = place("1/2A00138").unwrap();
        assert_eq!(at, (1 << 32) + 0x2A0_0138);
        let name = "00000001000000010000002A";
        assert_eq!(
            Segment::parse(name, SIZE).unwrap().number,
            number_of(at, SIZE)
        );
        assert_eq!(Segment::parse("00000001000000010000002", SIZE), None);
        assert_eq!(place("12"), None);
    }

    #[test]
    fn files_go_on_from_the_backup_and_the_newest_may_be_unfinished() {
        let received = directory(&[
            "000000010000000000000001",
            "000000010000000000000002",
            "000000010000000000000003",
            "000000010000000000000003.partial",
            "000000010000000000000004.partial",
            "00000002.history",
            "README",
        ]);
        let files = after(received.path(), 2 * SIZE + 40, 2 * SIZE + 900).unwrap();
        let names: Vec<&str> = files.iter().map(|(_, name)| name.as_str()).collect();
        assert_eq!(
            names,
            [
                "000000010000000000000002",
                "000000010000000000000003",
                "000000010000000000000004",
                "00000002.history"
            ]
        );
        assert!(
            files[1].0.ends_with("000000010000000000000003"),
            "the whole one"
        );
    }

    #[test]
    fn a_gap_is_an_error_and_not_the_end() {
        let gap = directory(&["000000010000000000000002", "000000010000000000000004"]);
        let error = after(gap.path(), 2 * SIZE + 40, 2 * SIZE + 900)
            .unwrap_err()
            .to_string();
        assert!(error.contains("number 3"), "{error}");
        let late = directory(&["000000010000000000000004.partial"]);
        assert!(after(late.path(), 2 * SIZE + 40, 2 * SIZE + 900).is_err());
        let old = directory(&["000000010000000000000001"]);
        assert!(after(old.path(), 2 * SIZE + 40, 2 * SIZE + 900).is_err());
        assert!(after(directory(&[]).path(), 0, 0).is_err());
    }
}

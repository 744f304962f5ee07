//! Known holes of Envoy that concern what Heddle sends it: in which versions they are, and what they mean here.
//!
//! From the release notes and security advisories of the Envoy project. A hole in something that Heddle never configures
//! (`ext_authz`, HTTP/3, OAuth2) is left out: nobody is told to hurry for what cannot happen to them. A version of a minor
//! release that got no fix any more counts as open.

use serde::Serialize;

use crate::envoy::{Release, release};

/// How much it matters, by the advisory's own CVSS score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// 4.0 to 6.9.
    Medium,
    /// 7.0 and above.
    High,
}

/// One known hole.
#[derive(Debug, PartialEq, Eq)]
pub struct Advisory {
    /// Its number: `CVE-2026-47774`.
    pub id: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// What somebody can do with it.
    pub summary: &'static str,
    /// What that means for an Envoy that Heddle configures.
    pub here: &'static str,
    /// The first good release of each minor one that got a fix, ascending.
    fixed: &'static [Release],
}

const MARCH: &[Release] = &[(1, 34, 13), (1, 35, 8), (1, 36, 5), (1, 37, 1)];
const JUNE: &[Release] = &[(1, 35, 11), (1, 36, 7), (1, 37, 3), (1, 38, 1)];
const AUGUST: &[Release] = &[(1, 36, 10), (1, 37, 6), (1, 38, 4), (1, 39, 1)];
const OCTOBER: &[Release] = &[(1, 36, 11), (1, 37, 7), (1, 38, 5), (1, 39, 2)];

/// All of them, the newest first.
pub const ADVISORIES: &[Advisory] = &[
    Advisory {
        id: "CVE-2026-35189",
        severity: Severity::High,
        summary: "A crafted certificate makes the TLS handshake allocate hundreds of megabytes.",
        here: "Whoever reaches a port of the mesh can send one before it is known who they are.",
        fixed: OCTOBER,
    },
    Advisory {
        id: "CVE-2026-73550",
        severity: Severity::High,
        summary: "Repeated Host headers over HTTP/2 are dropped, but not counted against the limits, and use up memory.",
        here: "Every port that takes HTTP/2 is open to it.",
        fixed: AUGUST,
    },
    Advisory {
        id: "CVE-2026-73513",
        severity: Severity::High,
        summary: "An upstream that ends an HTTP/2 response wrongly ends the process.",
        here: "A service that speaks HTTP/2 or gRPC can end the Envoys that call it.",
        fixed: AUGUST,
    },
    Advisory {
        id: "CVE-2026-73548",
        severity: Severity::High,
        summary: "What is sent before an HTTP upgrade was accepted can be taken for the next caller's request.",
        here: "Services that accept upgrades of HTTP/1.1 other than WebSocket are concerned; Heddle offers none by itself.",
        fixed: AUGUST,
    },
    Advisory {
        id: "CVE-2026-73552",
        severity: Severity::High,
        summary: "A regular expression does not match a header with bytes that are no UTF-8, so that what it should refuse passes.",
        here: "Heddle's rules refuse such values before they compare; a filter of one's own may not.",
        fixed: AUGUST,
    },
    Advisory {
        id: "CVE-2026-73553",
        severity: Severity::High,
        summary: "Path parameters (`/admin;x`) get around rules about paths where routes ignore them.",
        here: "Heddle's rules compare without path parameters; routes of one's own beside an overlay may not.",
        fixed: AUGUST,
    },
    Advisory {
        id: "CVE-2026-73511",
        severity: Severity::Medium,
        summary: "An application that drops parameters of each segment of a path sees another path than Envoy.",
        here: "Heddle's rules compare without path parameters; routes of one's own beside an overlay may not.",
        fixed: AUGUST,
    },
    Advisory {
        id: "CVE-2026-73551",
        severity: Severity::Medium,
        summary: "Dot segments with parameters (`/x/..;a/admin`) are not taken out of a path.",
        here: "Heddle's rules refuse such paths wherever a rule is about paths; an overlay's own listeners do not.",
        fixed: AUGUST,
    },
    Advisory {
        id: "CVE-2026-47774",
        severity: Severity::High,
        summary: "Cookies over HTTP/2 are not counted against the limits of headers, and use up memory.",
        here: "Every port that takes HTTP/2 is open to it.",
        fixed: JUNE,
    },
    Advisory {
        id: "CVE-2026-26308",
        severity: Severity::High,
        summary: "A header that is sent twice is compared as one value, so that a rule about it is got around.",
        here: "Heddle's rules compare each value and refuse what is ambiguous; a filter of one's own may not.",
        fixed: MARCH,
    },
    Advisory {
        id: "CVE-2026-26311",
        severity: Severity::Medium,
        summary: "Data for a stream that was reset reaches filters that are gone.",
        here: "Whoever may call a service of the mesh can try to end its Envoy.",
        fixed: MARCH,
    },
];

impl Advisory {
    /// The first release with the fix that is nearest to a version.
    fn fix_for(&self, version: Release) -> Option<Release> {
        let same = |fixed: &&Release| (fixed.0, fixed.1) == (version.0, version.1);
        match self.fixed.iter().find(same) {
            Some(fixed) => (version < *fixed).then_some(*fixed),
            // A newer minor release was branched off after the fix; an older one never got it.
            None => self.fixed.iter().find(|fixed| version < **fixed).copied(),
        }
    }
}

/// A hole that a version has, and what to upgrade to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Open {
    /// Its number.
    pub id: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// What somebody can do with it.
    pub summary: &'static str,
    /// What that means for an Envoy that Heddle configures.
    pub here: &'static str,
    /// The nearest release without it: `1.36.11`.
    pub fixed_in: String,
}

/// The holes that a version of Envoy has, the newest first. A version that is no release (`1.36.4-dev` counts as one) has none
/// that are known.
#[must_use]
pub fn open_in(version: &str) -> Vec<Open> {
    let Some(version) = release(version) else {
        return Vec::new();
    };
    let open = |advisory: &'static Advisory| {
        let (major, minor, patch) = advisory.fix_for(version)?;
        Some(Open {
            id: advisory.id,
            severity: advisory.severity,
            summary: advisory.summary,
            here: advisory.here,
            fixed_in: format!("{major}.{minor}.{patch}"),
        })
    };
    ADVISORIES.iter().filter_map(open).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(version: &str) -> Vec<&'static str> {
        open_in(version).iter().map(|open| open.id).collect()
    }

    #[test]
    fn sec_sc4_each_branch_is_measured_by_its_own_fix() {
        assert_eq!(ids("1.36.2").len(), ADVISORIES.len());
        let without_march = |version| {
            let open = ids(version);
            !open.contains(&"CVE-2026-26308") && open.contains(&"CVE-2026-47774")
        };
        assert!(without_march("1.36.5") && without_march("1.37.1"));
        // 1.37.0 came later than 1.36.4 and has the same hole; 1.38 was branched off after the fix.
        assert!(ids("1.37.0").contains(&"CVE-2026-26308"));
        assert!(!ids("1.38.0").contains(&"CVE-2026-26308"));
        assert_eq!(ids("1.38.5"), [""; 0]);
        assert_eq!(ids("1.40.0"), [""; 0]);
        assert_eq!(ids("2.0.0"), [""; 0]);
    }

    #[test]
    fn the_way_out_stays_on_the_branch_when_it_can() {
        let fix = |version: &str, id: &str| {
            let open = open_in(version);
            let found = open.iter().find(|open| open.id == id).unwrap();
            found.fixed_in.clone()
        };
        assert_eq!(fix("1.36.4", "CVE-2026-35189"), "1.36.11");
        assert_eq!(fix("1.39.1", "CVE-2026-35189"), "1.39.2");
        // 1.35 gets no fixes any more.
        assert_eq!(fix("1.35.13", "CVE-2026-35189"), "1.36.11");
        assert_eq!(fix("1.35.7", "CVE-2026-47774"), "1.35.11");
    }

    #[test]
    fn what_is_no_version_has_no_known_holes() {
        for text in ["", "1.36", "1.36.x", "main", "1.36.4.1", "1.36.99999999999"] {
            assert_eq!(open_in(text), [], "{text:?}");
        }
        assert_eq!(ids("1.36.4-dev"), ids("1.36.4"));
        assert_eq!(ids("1.36.4+contrib"), ids("1.36.4"));
    }

    #[test]
    fn the_table_is_in_order() {
        for advisory in ADVISORIES {
            assert!(advisory.id.starts_with("CVE-20"), "{}", advisory.id);
            assert!(advisory.fixed.is_sorted(), "{}", advisory.id);
            assert!(advisory.summary.ends_with('.') && advisory.here.ends_with('.'));
        }
    }
}

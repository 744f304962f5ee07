//! A reason to look at the database, and how it is written on the wire.

use std::str::FromStr as _;

use heddle_model::id::{MeshId, OrgId};

/// Longer than any hint is.
const LONGEST: usize = 128;
/// What the text of a hint begins with; another form gets another number.
const FORM: &str = "1";

/// A mesh got a revision. Names no tenant and holds nothing of what was written: whoever hears it asks the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hint {
    /// Whose mesh.
    pub org: OrgId,
    /// The mesh.
    pub mesh: MeshId,
    /// Its revision.
    pub revision: u64,
}

impl Hint {
    pub(crate) fn encode(self, from: u64) -> String {
        let Self {
            org,
            mesh,
            revision,
        } = self;
        format!("{FORM} {from:016x} {org} {mesh} {revision}")
    }

    /// Who says it, and what. `None`: it is none of ours.
    pub(crate) fn decode(bytes: &[u8]) -> Option<(u64, Self)> {
        if bytes.len() > LONGEST {
            return None;
        }
        let mut words = std::str::from_utf8(bytes).ok()?.split(' ');
        let mut next = || words.next();
        let (FORM, from, org, mesh, revision, None) =
            (next()?, next()?, next()?, next()?, next()?, next())
        else {
            return None;
        };
        let hint = Self {
            org: OrgId::from_str(org).ok()?,
            mesh: MeshId::from_str(mesh).ok()?,
            revision: revision.parse().ok()?,
        };
        let from = u64::from_str_radix(from, 16).ok()?;
        // One way to write each: what reads alike is alike.
        (hint.encode(from).as_bytes() == bytes).then_some((from, hint))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint() -> Hint {
        Hint {
            org: "org_01h2xcejqtf2nbrexx3vqjhp41".parse().unwrap(),
            mesh: "mesh_01h2xcejqtf2nbrexx3vqjhp41".parse().unwrap(),
            revision: u64::MAX,
        }
    }

    #[test]
    fn what_is_written_is_read_and_fits() {
        let text = hint().encode(u64::MAX);
        assert!(text.len() <= LONGEST, "{}", text.len());
        assert_eq!(Hint::decode(text.as_bytes()), Some((u64::MAX, hint())));
    }

    #[test]
    fn anything_else_is_none() {
        let good = hint().encode(7);
        for wrong in [
            String::new(),
            " ".repeat(LONGEST),
            good.replacen('1', "2", 1),
            good.replace("mesh_", "org_"),
            good.replace(' ', "\n"),
            format!("{good} "),
            format!("{good} more"),
            good.replace("18446744073709551615", "18446744073709551616"),
            good.replace("18446744073709551615", "-1"),
            good.replace("18446744073709551615", "+1"),
            good.replace("18446744073709551615", "01"),
            good.to_uppercase(),
            "x".repeat(1 << 20),
        ] {
            assert_eq!(Hint::decode(wrong.as_bytes()), None, "{wrong:.200}");
        }
        assert_eq!(Hint::decode(b"1 \xff\xfe"), None);
    }
}

//! What several texts are together, in few bytes.

use sha2::{Digest as _, Sha256};

/// The SHA-256 of the parts, each with its length, so that they do not run together.
pub(crate) fn of(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_together() {
        assert_ne!(of(&[b"ab", b"c"]), of(&[b"a", b"bc"]));
        assert_ne!(of(&[b"a", b"", b"b"]), of(&[b"a", b"b", b""]));
    }
}

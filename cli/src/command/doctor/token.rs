//! The join token: is it there, is it one, and what the server knows of it.

use std::os::unix::fs::PermissionsExt as _;

use secrecy::{ExposeSecret as _, SecretString};

use super::Report;
use crate::host::bootstrap::{Facts, Token};
use crate::kinds::segment;
use crate::output::cell;
use crate::place::Here;

const PREFIX: &str = "heddle_join_";
/// Random characters, and those of the checksum.
const LENGTHS: (usize, usize) = (43, 6);

/// The token, if there is one that can be shown to the server.
pub(super) fn look(report: &mut Report, facts: &Facts) -> Option<SecretString> {
    let token = match &facts.token {
        None => {
            report.bad(
                "where it is",
                "the bootstrap names no token",
                "write the bootstrap anew with `heddle bootstrap SERVICE PROXY`",
            );
            return None;
        }
        Some(Token::Inline(token)) => {
            report.odd(
                "where it is",
                "it stands in the bootstrap itself: whoever reads that, or Envoy's config dump, can join",
                "a bootstrap that names a file keeps it out of both, and the token can be replaced without a restart",
            );
            token.clone()
        }
        Some(Token::File(path)) => in_file(report, path)?,
    };
    match shape(token.expose_secret()) {
        Ok(()) => {
            report.good("its form", "the checksum is right");
            Some(token)
        }
        Err(why) => {
            report.bad(
                "its form",
                why,
                "make a new one: `heddle bootstrap SERVICE PROXY --new-token FILE`; it is copied whole, and nothing is added",
            );
            None
        }
    }
}

fn in_file(report: &mut Report, path: &str) -> Option<SecretString> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            report.bad(
                "where it is",
                format!("{path} cannot be read: {error}"),
                format!(
                    "put the join token there: `heddle bootstrap SERVICE PROXY --new-token {path}`; the user that runs Envoy must be able to read it"
                ),
            );
            return None;
        }
    };
    let mode = std::fs::metadata(path).map_or(0, |about| about.permissions().mode() & 0o777);
    match mode & 0o077 {
        0 => report.good("where it is", format!("{path}, for its owner only")),
        _ => report.odd(
            "where it is",
            format!("{path} may be read by others (mode {mode:03o})"),
            format!("chmod 600 {path}"),
        ),
    }
    if text.trim().is_empty() {
        report.bad(
            "its form",
            format!("{path} is empty"),
            format!("make a new token: `heddle bootstrap SERVICE PROXY --new-token {path}`"),
        );
        return None;
    }
    // Envoy sends the file as it is.
    Some(SecretString::from(text))
}

/// Whether it looks like a join token.
fn shape(token: &str) -> Result<(), &'static str> {
    if token.trim() != token && token.trim_end_matches('\n') != token.trim() {
        return Err("there are blanks around it");
    }
    let token = token.trim();
    let Some(body) = token.strip_prefix(PREFIX) else {
        return Err(match token.starts_with("heddle_") {
            true => {
                "it is a token of another kind: proxies join with join tokens, which begin with heddle_join_"
            }
            false => "it is no token of Heddle: join tokens begin with heddle_join_",
        });
    };
    let (random, sum) = LENGTHS;
    if body.len() != random + sum || !body.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Err("it is cut off, or something was added");
    }
    let (signed, found) = token.split_at(token.len() - sum);
    match checksum(signed) == found {
        true => Ok(()),
        false => Err("its checksum is wrong: a character got lost or changed"),
    }
}

/// As the server computes it.
fn checksum(text: &str) -> String {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut left = crc32fast::hash(text.as_bytes());
    let mut out = [b'0'; LENGTHS.1];
    for place in out.iter_mut().rev() {
        *place = ALPHABET[(left % 62) as usize];
        left /= 62;
    }
    out.iter().copied().map(char::from).collect()
}

/// What the API knows of the token of a proxy that has joined. Nothing is said when nobody may ask.
pub(super) async fn ask(report: &mut Report, here: &Here, facts: &Facts) {
    let (Some(node), Ok(mesh)) = (&facts.node_id, here.mesh()) else {
        return;
    };
    let Ok(client) = here.client().await else {
        return;
    };
    let mesh = segment(mesh);
    let path = client.org(&format!("/meshes/{mesh}/proxies/{}", segment(node)));
    let Ok(proxy) = client.get(path).await else {
        return;
    };
    match proxy["state"].as_str() {
        Some("ready") => report.good("what the server says of it", "ready"),
        Some("nacked") => report.bad(
            "what the server says of it",
            format!("it refuses {}", cell(&proxy["nacks"][0]["resource"])),
            format!("`heddle proxies nacks {node}` explains it"),
        ),
        Some(state) => report.odd(
            "what the server says of it",
            state.to_owned(),
            format!("`heddle proxies status` and `heddle proxies config {node}` say more"),
        ),
        None => {}
    }
    let id = proxy["meta"]["join_token"].as_str().unwrap_or_default();
    let path = client.org(&format!("/meshes/{mesh}/join-tokens/{}", segment(id)));
    let Ok(token) = client.get(path).await else {
        return;
    };
    let name = cell(&token["name"]);
    match token["state"].as_str() {
        Some("revoked") => report.bad(
            "its join token",
            format!("{name} is revoked"),
            "make a new one, and put it in the place of the old one",
        ),
        Some("expired") => report.odd(
            "its join token",
            format!("{name} has expired: this proxy may come back with it, and no other may join"),
            "make a new one before the host is replaced",
        ),
        Some(_) => report.good(
            "its join token",
            format!("{name}, until {}", cell(&token["expires_at"])),
        ),
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_was_damaged_is_noticed_here() {
        let body = format!("{PREFIX}{}", "a".repeat(43));
        let whole = format!("{body}{}", checksum(&body));
        assert_eq!(shape(&whole), Ok(()));
        // An editor's line end is no damage.
        assert_eq!(shape(&format!("{whole}\n")), Ok(()));
        for wrong in [
            whole.replacen('a', "b", 1),
            whole[..whole.len() - 1].to_owned(),
            format!("{whole}x"),
            whole.replace("join", "pat"),
            String::from("hunter2"),
        ] {
            assert!(shape(&wrong).is_err(), "{wrong}");
        }
    }
}

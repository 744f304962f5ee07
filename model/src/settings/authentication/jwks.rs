//! The keys that tokens are signed with: written here, or fetched by the proxies.

use std::time::Duration as Time;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::code::Code;
use crate::duration::HumanDuration;
use crate::net::Host;
use crate::settings::within;
use crate::violation::{Pointer, Violations};

/// The keys that tokens are signed with: exactly one field.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Jwks {
    /// A JSON Web Key Set (RFC 7517), as text. Public keys alone: RSA of 2048 bits and more, EC, Ed25519.
    #[schema(min_length = 2, max_length = 65_536)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inline: Option<String>,
    /// Where proxies fetch it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote: Option<RemoteJwks>,
}

/// A key set that proxies fetch. They keep the keys that they have while it cannot be fetched; without any, no token counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RemoteJwks {
    /// Where it is, always over TLS, with a certificate for this host; no redirect is followed.
    #[schema(
        pattern = r"^https://[a-z0-9.-]+(:[0-9]{1,5})?(/[!-\[\]-~]*)?$",
        max_length = 2048,
        example = "https://accounts.example.com/.well-known/jwks.json"
    )]
    pub uri: String,
    /// How long a fetch may take: 100 ms to 30 s, 5 s when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<HumanDuration>,
    /// How long keys are kept before they are fetched again: 1 min to 24 h, 10 min when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<HumanDuration>,
    /// Who may have signed the server's certificate; absent: the authorities in `/etc/ssl/certs/ca-certificates.crt` on the
    /// proxy's host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<CaBundle>,
}

/// Certificates of authorities: exactly one field.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CaBundle {
    /// The certificates themselves, in PEM.
    #[schema(min_length = 1, max_length = 65_536)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pem: Option<String>,
    /// The absolute path of a file on the proxy's host, in PEM. A proxy without it refuses the source of the keys.
    #[schema(
        pattern = "^(/[A-Za-z0-9_][A-Za-z0-9._-]*)+$",
        max_length = 255,
        example = "/etc/pki/tls/certs/ca-bundle.crt"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

/// An address, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uri {
    /// The host that the certificate must be for.
    pub host: Host,
    /// The port.
    pub port: u16,
}

const TIMEOUT: (Time, Time) = (Time::from_millis(100), Time::from_secs(30));
const CACHE: (Time, Time) = (Time::from_secs(60), Time::from_secs(24 * 3600));
/// When nobody says anything.
const DEFAULT_TIMEOUT: Time = Time::from_secs(5);
const DEFAULT_CACHE: Time = Time::from_secs(600);
const DEFAULT_CA: &str = "/etc/ssl/certs/ca-certificates.crt";
/// The most keys of a set.
const MOST_KEYS: usize = 32;

impl RemoteJwks {
    /// Whom it leads to; `None` when that is nobody who can be asked over TLS.
    #[must_use]
    pub fn read(&self) -> Option<Uri> {
        let rest = self.uri.strip_prefix("https://")?;
        let authority = rest.split(['/', '?']).next()?;
        let (host, port) = match authority.split_once(':') {
            None => (authority, 443),
            Some((host, port)) => (host, port.parse().ok().filter(|port| *port != 0)?),
        };
        let host = host.parse().ok()?;
        (!self.uri.contains(['#', '\\', '@'])).then_some(Uri { host, port })
    }

    /// How long a fetch may take.
    #[must_use]
    pub fn timeout(&self) -> Time {
        let timeout = self.timeout.as_ref().map(HumanDuration::get);
        timeout.unwrap_or(DEFAULT_TIMEOUT)
    }

    /// How long keys are kept before they are fetched again.
    #[must_use]
    pub fn cache(&self) -> Time {
        let cache = self.cache.as_ref().map(HumanDuration::get);
        cache.unwrap_or(DEFAULT_CACHE)
    }

    /// The file of authorities; `None` when they are written out.
    #[must_use]
    pub fn ca_file(&self) -> Option<&str> {
        match &self.ca {
            None => Some(DEFAULT_CA),
            Some(ca) => ca.file.as_deref(),
        }
    }

    fn validate(&self, at: &Pointer<'_>, violations: &mut Violations) {
        if self.read().is_none() {
            let detail = "`https://`, a lower-case host, a port if need be, and a path, without a user and a fragment";
            violations.add(&at.field("uri"), Code::BadFormat, detail);
        }
        let timeout = self.timeout.as_ref();
        within(timeout, TIMEOUT, &at.field("timeout"), violations);
        within(self.cache.as_ref(), CACHE, &at.field("cache"), violations);
        let Some(ca) = &self.ca else { return };
        let at = at.field("ca");
        if ca.pem.is_some() == ca.file.is_some() {
            violations.add(&at, Code::ExactlyOne, "exactly one of `pem` and `file`");
        }
        if ca.pem.as_deref().is_some_and(|pem| !is_certificates(pem)) {
            let detail = "one or more `-----BEGIN CERTIFICATE-----`, Base64 and `-----END CERTIFICATE-----`, and nothing else";
            violations.add(&at.field("pem"), Code::BadFormat, detail);
        }
    }
}

/// Whether a text is certificates in PEM, and nothing that should be nobody's to read.
fn is_certificates(pem: &str) -> bool {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    const END: &str = "-----END CERTIFICATE-----";
    let mut rest = pem.trim();
    while !rest.is_empty() {
        let Some((body, after)) = rest.strip_prefix(BEGIN).and_then(|r| r.split_once(END)) else {
            return false;
        };
        let digits: String = body.split_ascii_whitespace().collect();
        let data = digits.trim_end_matches('=');
        let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
        // DER of a certificate begins with a long sequence.
        if !data.starts_with("MI")
            || !digits.len().is_multiple_of(4)
            || !data.bytes().all(is_base64)
        {
            return false;
        }
        rest = after.trim_start();
    }
    !pem.trim().is_empty()
}

impl Jwks {
    pub(super) fn validate(&self, at: &Pointer<'_>, violations: &mut Violations) {
        if self.inline.is_some() == self.remote.is_some() {
            violations.add(at, Code::ExactlyOne, "exactly one of `inline` and `remote`");
        }
        if let Some(inline) = &self.inline {
            let at = at.field("inline");
            for (code, detail) in problems(inline) {
                violations.add(&at, code, detail);
            }
        }
        if let Some(remote) = &self.remote {
            remote.validate(&at.field("remote"), violations);
        }
    }
}

/// What is wrong with a key set. Nothing of it is repeated: it may hold what nobody should read.
fn problems(text: &str) -> Vec<(Code, String)> {
    let value: Option<Value> = serde_json::from_str(text).ok();
    let keys = value
        .as_ref()
        .and_then(|value| value.get("keys")?.as_array());
    let Some(keys) = keys else {
        let detail = "a JSON object with the list `keys`";
        return vec![(Code::BadFormat, detail.to_owned())];
    };
    if keys.is_empty() || keys.len() > MOST_KEYS {
        let detail = format!("1 to {MOST_KEYS} keys");
        return vec![(Code::OutOfRange, detail)];
    }
    let mut found = Vec::new();
    let mut seen = Vec::new();
    for (i, key) in keys.iter().enumerate() {
        if let Some(problem) = problem(key) {
            found.push((Code::BadFormat, format!("key {i}: {problem}")));
        }
        let kid = key.get("kid").and_then(Value::as_str);
        if kid.is_some() && seen.contains(&kid) {
            found.push((Code::Duplicate, format!("key {i}: another has its `kid`")));
        }
        seen.push(kid);
    }
    found
}

/// The length in bytes of what a field of a key encodes; `None`: it is not Base64url.
fn length(key: &Map<String, Value>, field: &str) -> Option<usize> {
    let text = key.get(field)?.as_str()?;
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (text.len() % 4 != 1 && text.bytes().all(is_digit)).then_some(text.len() * 3 / 4)
}

/// What is wrong with a key.
fn problem(key: &Value) -> Option<&'static str> {
    let Some(key) = key.as_object() else {
        return Some("not an object");
    };
    if ["d", "p", "q", "dp", "dq", "qi", "k", "oth"]
        .iter()
        .any(|part| key.contains_key(*part))
    {
        return Some("it is private or a shared secret: only public keys belong here");
    }
    let text = |field: &str| key.get(field).and_then(Value::as_str);
    if key.get("use").is_some_and(|used| used != "sig") {
        return Some("its `use` is not `sig`");
    }
    let (algorithms, fits): (&[&str], bool) = match (text("kty"), text("crv")) {
        (Some("RSA"), _) => (
            &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
            // A leading zero byte is no part of the number, and some write it.
            length(key, "n").is_some_and(|bytes| bytes >= 256)
                && length(key, "e").is_some_and(|bytes| bytes > 0),
        ),
        (Some("EC"), Some("P-256")) => (&["ES256"], is_point(key, 32)),
        (Some("EC"), Some("P-384")) => (&["ES384"], is_point(key, 48)),
        (Some("EC"), Some("P-521")) => (&["ES512"], is_point(key, 66)),
        (Some("OKP"), Some("Ed25519")) => (&["EdDSA"], length(key, "x") == Some(32)),
        _ => return Some("not RSA, EC on P-256, P-384 or P-521, or Ed25519"),
    };
    if !fits {
        return Some(
            "its numbers are missing, not Base64url or of the wrong length (RSA: 2048 bits and more)",
        );
    }
    let named = key.get("alg").map(Value::as_str);
    let unfit = named.is_some_and(|named| !named.is_some_and(|named| algorithms.contains(&named)));
    unfit.then_some("its `alg` is not one of its type")
}

fn is_point(key: &Map<String, Value>, bytes: usize) -> bool {
    ["x", "y"]
        .iter()
        .all(|axis| length(key, axis) == Some(bytes))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn codes(jwks: Value) -> Vec<(String, &'static str)> {
        let jwks: Jwks = serde_json::from_value(jwks).unwrap();
        let mut violations = Violations::new();
        jwks.validate(&Pointer::Root, &mut violations);
        let all = violations.into_sorted().into_iter();
        all.map(|one| (one.pointer, one.code.as_str())).collect()
    }

    fn set(keys: &Value) -> Vec<&'static str> {
        let inline = json!({"keys": keys}).to_string();
        let found = codes(json!({"inline": inline})).into_iter();
        found.map(|(_, code)| code).collect()
    }

    fn ec() -> Value {
        json!({"kty": "EC", "crv": "P-256", "kid": "a", "x": "A".repeat(43), "y": "A".repeat(43)})
    }

    #[test]
    fn sec_a02_only_public_keys_of_signatures_are_taken() {
        let changed = |field: &str, to: Value| {
            let mut key = ec();
            key[field] = to;
            set(&json!([key]))
        };
        assert_eq!(set(&json!([ec()])), Vec::<&str>::new());
        for (field, to) in [
            ("d", json!("AAAA")),
            ("kty", json!("oct")),
            ("crv", json!("secp256k1")),
            ("alg", json!("HS256")),
            ("alg", json!("none")),
            ("alg", json!(7)),
            ("use", json!("enc")),
            ("x", json!("A".repeat(42))),
            ("x", json!("+".repeat(43))),
        ] {
            assert_eq!(changed(field, to.clone()), ["HED-1006"], "{field} {to}");
        }
        assert_eq!(changed("alg", json!("ES256")), Vec::<&str>::new());
        assert_eq!(set(&json!([{"kty": "oct", "k": "AAAA"}])), ["HED-1006"]);
        let rsa = |length: usize| json!([{"kty": "RSA", "n": "A".repeat(length), "e": "AQAB"}]);
        assert_eq!(set(&rsa(342)), Vec::<&str>::new());
        assert_eq!(set(&rsa(171)), ["HED-1006"]);
        assert_eq!(set(&json!([ec(), ec()])), ["HED-1009"]);
        assert_eq!(set(&json!([])), ["HED-1005"]);
        assert_eq!(set(&json!(vec![7; 33])), ["HED-1005"]);
        let pointer = String::from("/inline");
        assert_eq!(
            codes(json!({"inline": "{}"})),
            [(pointer.clone(), "HED-1006")]
        );
        assert_eq!(codes(json!({"inline": "keys"})), [(pointer, "HED-1006")]);
        assert_eq!(codes(json!({})), [(String::new(), "HED-1008")]);
    }

    #[test]
    fn sec_a12_keys_come_over_tls_from_a_named_host_alone() {
        let reads = |uri: &str| {
            let remote: RemoteJwks = serde_json::from_value(json!({"uri": uri})).unwrap();
            let read = remote.read()?;
            Some(format!("{}:{}", read.host, read.port))
        };
        assert_eq!(reads("https://a.example/k").unwrap(), "a.example:443");
        assert_eq!(reads("https://a.example:8443").unwrap(), "a.example:8443");
        assert_eq!(reads("https://10.0.0.1/k?x=1").unwrap(), "10.0.0.1:443");
        for uri in [
            "http://a.example/k",
            "file:///etc/passwd",
            "https://",
            "https:///k",
            "https://a.example:0/",
            "https://a.example:70000/",
            "https://a.example:/",
            "https://user@a.example/",
            "https://a.example\\@b.example/",
            "https://a.example/#f",
            "https://[::1]/",
            "HTTPS://a.example/",
        ] {
            assert_eq!(reads(uri), None, "{uri}");
        }
    }

    #[test]
    fn bounds_of_a_remote_set() {
        let remote = |rest: Value| {
            let mut remote = rest;
            remote["uri"] = json!("https://a.example/k");
            codes(json!({"remote": remote}))
        };
        let one = |field: &str, code| vec![(format!("/remote/{field}"), code)];
        assert_eq!(
            remote(json!({"timeout": "99ms"})),
            one("timeout", "HED-1005")
        );
        assert_eq!(
            remote(json!({"timeout": "31s"})),
            one("timeout", "HED-1005")
        );
        assert_eq!(remote(json!({"cache": "59s"})), one("cache", "HED-1005"));
        assert_eq!(remote(json!({"cache": "25h"})), one("cache", "HED-1005"));
        assert_eq!(remote(json!({"timeout": "100ms", "cache": "24h"})), []);
        assert_eq!(remote(json!({"ca": {}})), one("ca", "HED-1008"));
        let pem = |text: &str| remote(json!({"ca": {"pem": text}}));
        let whole = "-----BEGIN CERTIFICATE-----\nMIIB\nAAA=\n-----END CERTIFICATE-----\n";
        assert_eq!(pem(whole), []);
        assert_eq!(pem(&whole.repeat(2)), []);
        for text in [
            "x",
            " ",
            &whole.replace("MIIB", "AAAA"),
            &whole.replace("CERTIFICATE", "PRIVATE KEY"),
            &format!("{whole}x"),
        ] {
            assert_eq!(pem(text), one("ca/pem", "HED-1006"), "{text}");
        }
    }
}

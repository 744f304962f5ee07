//! Where a key in a token is, as a `pkcs11:` URI (RFC 7512): which module, which token, which object, and where the PIN is.
//!
//! Of the attributes of the RFC those that find one key are read; any other is refused by name, since one that is
//! ignored would find another key than was meant. A PIN never stands in the URI: command lines and logs show it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// What a `pkcs11:` URI says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenUri {
    text: String,
    /// The library that speaks PKCS#11.
    pub(crate) module: PathBuf,
    /// File with the PIN of the token's user.
    pub(crate) pin: PathBuf,
    /// The label of the token.
    pub(crate) token: Option<String>,
    /// The serial number of the token.
    pub(crate) serial: Option<String>,
    /// The label of the key (`CKA_LABEL`).
    pub(crate) object: Option<String>,
    /// The id of the key (`CKA_ID`).
    pub(crate) id: Option<Vec<u8>>,
}

/// What is wrong with a `pkcs11:` URI: everything, one after the other.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the pkcs11: URI is not usable: {}", .0.join("; "))]
pub struct TokenUriError(Vec<String>);

impl fmt::Display for TokenUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for TokenUri {
    type Err = TokenUriError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut faults = Vec::new();
        let Some(rest) = text.strip_prefix("pkcs11:") else {
            return Err(TokenUriError(vec![
                "it does not begin with pkcs11:".to_owned(),
            ]));
        };
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut path = attributes(path, ';', &mut faults);
        let mut query = attributes(query, '&', &mut faults);

        let pin = match query.remove("pin-source") {
            Some(source) => text_of("pin-source", source, &mut faults).and_then(|source| {
                let file = source.strip_prefix("file:").map(PathBuf::from);
                if file.is_none() {
                    faults.push("pin-source is not file: and a path".to_owned());
                }
                file
            }),
            None => {
                faults.push("pin-source is missing: the file with the PIN".to_owned());
                None
            }
        };
        let module = match query.remove("module-path") {
            Some(module) => text_of("module-path", module, &mut faults).map(PathBuf::from),
            None => {
                faults.push("module-path is missing: the library of the token".to_owned());
                None
            }
        };
        let mut named = |name: &str| {
            let value = path.remove(name)?;
            text_of(name, value, &mut faults)
        };
        let (token, serial, object) = (named("token"), named("serial"), named("object"));
        if named("type").is_some_and(|kind| kind != "secret-key") {
            faults.push("type is not secret-key".to_owned());
        }
        let id = path.remove("id");
        if token.is_none() && serial.is_none() {
            faults.push("neither token nor serial says which token it is".to_owned());
        }
        if object.is_none() && id.is_none() {
            faults.push("neither object nor id says which key it is".to_owned());
        }
        for name in path.keys().chain(query.keys()) {
            faults.push(match name.as_str() {
                "pin-value" => {
                    "pin-value would show the PIN to whoever sees the command line: put it into a file, and use pin-source"
                        .to_owned()
                }
                other => format!("{other} is not known here"),
            });
        }
        match (module, pin) {
            (Some(module), Some(pin)) if faults.is_empty() => Ok(Self {
                text: text.to_owned(),
                module,
                pin,
                token,
                serial,
                object,
                id,
            }),
            _ => Err(TokenUriError(faults)),
        }
    }
}

/// The attributes of one part of the URI, decoded.
fn attributes(part: &str, separator: char, faults: &mut Vec<String>) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for attribute in part.split(separator).filter(|text| !text.is_empty()) {
        let Some((name, value)) = attribute.split_once('=') else {
            faults.push(format!("{attribute} has no value"));
            continue;
        };
        let Some(value) = decoded(value) else {
            faults.push(format!("{name} has a % without two hexadecimal digits"));
            continue;
        };
        if found.insert(name.to_owned(), value).is_some() {
            faults.push(format!("{name} is there twice"));
        }
    }
    found
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digits = [bytes.next()?, bytes.next()?];
            out.extend(hex::decode(digits).ok()?);
        } else {
            out.push(byte);
        }
    }
    Some(out)
}

fn text_of(name: &str, value: Vec<u8>, faults: &mut Vec<String>) -> Option<String> {
    let text = String::from_utf8(value).ok();
    let text = text.filter(|text| !text.is_empty() && !text.contains('\0'));
    if text.is_none() {
        faults.push(format!("{name} is empty or no text"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_names_module_token_key_and_pin() {
        let uri: TokenUri = "pkcs11:token=Heddle%20CA;object=sealing-2026;id=%01%ff;type=secret-key?module-path=/lib/hsm.so&pin-source=file:/run/pin"
            .parse()
            .expect("a URI");
        assert_eq!(uri.token.as_deref(), Some("Heddle CA"));
        assert_eq!(uri.object.as_deref(), Some("sealing-2026"));
        assert_eq!(uri.id.as_deref(), Some([1, 0xff].as_slice()));
        assert_eq!(uri.module, PathBuf::from("/lib/hsm.so"));
        assert_eq!(uri.pin, PathBuf::from("/run/pin"));
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        let error = "pkcs11:slot-id=7;type=private?pin-value=1234&pin-source=env:PIN"
            .parse::<TokenUri>()
            .expect_err("nothing of it is right")
            .to_string();
        for part in [
            "module-path is missing",
            "pin-source is not file:",
            "neither token nor serial",
            "neither object nor id",
            "type is not secret-key",
            "slot-id is not known",
            "pin-value would show",
        ] {
            assert!(error.contains(part), "{part}: {error}");
        }
        assert!(!error.contains("1234"), "{error}");
        for bad in [
            "",
            "file:/x",
            "pkcs11:",
            "pkcs11:token=%4",
            "pkcs11:token=a;token=b",
        ] {
            assert!(bad.parse::<TokenUri>().is_err(), "{bad}");
        }
    }
}

//! What a provider says of itself (OpenID Connect Discovery 1.0).

use std::fmt;
use std::str::FromStr;

use heddle_egress::{BadTarget, Target};
use jsonwebtoken::Algorithm;
use serde::Deserialize;

use crate::refused::Refused;

/// Where a provider is, letter by letter as it calls itself.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Issuer(String);

/// Why a text is no issuer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadIssuer {
    /// Not an address that could be called.
    #[error(transparent)]
    Target(#[from] BadTarget),
    /// A query in it.
    #[error("an issuer has no query")]
    Query,
}

impl Issuer {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where it says what there is to know of it.
    pub(crate) fn configuration(&self) -> Result<Target, BadTarget> {
        let base = self.0.strip_suffix('/').unwrap_or(&self.0);
        format!("{base}/.well-known/openid-configuration").parse()
    }

    /// The address itself: to ask the guard about.
    pub(crate) fn target(&self) -> Result<Target, BadTarget> {
        self.0.parse()
    }
}

impl FromStr for Issuer {
    type Err = BadIssuer;

    fn from_str(text: &str) -> Result<Self, BadIssuer> {
        let _: Target = text.parse()?;
        if text.contains('?') {
            return Err(BadIssuer::Query);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// How a client shows who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ShowsSecret {
    /// In a header.
    Basic,
    /// In the body.
    Post,
}

/// What is needed of a provider's description of itself.
#[derive(Debug, Clone)]
pub(crate) struct Metadata {
    /// Where browsers are sent.
    pub(crate) authorization: Target,
    /// Where a code becomes an ID token.
    pub(crate) token: Target,
    /// Where its keys are.
    pub(crate) keys: Target,
    /// Whether its answers say whose they are (RFC 9207).
    pub(crate) sends_issuer: bool,
    /// Which algorithms it says that it signs with; `None`: it does not say.
    pub(crate) algorithms: Option<Vec<String>>,
    /// Whether it says that it knows `S256`; `None`: it does not say.
    pub(crate) s256: Option<bool>,
    /// How it wants a secret shown.
    pub(crate) shows_secret: ShowsSecret,
}

#[derive(Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    response_types_supported: Option<Vec<String>>,
    code_challenge_methods_supported: Option<Vec<String>>,
    id_token_signing_alg_values_supported: Option<Vec<String>>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    authorization_response_iss_parameter_supported: Option<bool>,
}

impl Metadata {
    /// Reads the description of a provider, which has to be that of this one.
    pub(crate) fn read(issuer: &Issuer, body: &[u8]) -> Result<Self, Refused> {
        let unfit = |why: String| Refused::Unfit {
            what: format!("what {issuer} says of itself"),
            why,
        };
        let document: Document = serde_json::from_slice(body)
            .map_err(|error| unfit(format!("this is no provider's configuration: {error}")))?;
        if document.issuer != issuer.as_str() {
            let (is, said) = (crate::refused::plain(&document.issuer), issuer);
            return Err(unfit(format!(
                "it calls itself `{is}`, and the connection says `{said}`: the two must be equal, letter by letter"
            )));
        }
        let target = |field: &str, text: &str| {
            let parsed: Result<Target, BadTarget> = text.parse();
            parsed.map_err(|error| unfit(format!("`{field}`: {error}")))
        };
        let has = |all: &Option<Vec<String>>, one: &str| {
            all.as_ref().map(|all| all.iter().any(|x| x == one))
        };
        if has(&document.response_types_supported, "code") == Some(false) {
            return Err(unfit(String::from(
                "it does not know the authorization code flow",
            )));
        }
        let s256 = has(&document.code_challenge_methods_supported, "S256");
        if s256 == Some(false) {
            return Err(unfit(String::from("it does not know PKCE with S256")));
        }
        let methods = &document.token_endpoint_auth_methods_supported;
        // Basic is what counts where nothing is said.
        let shows_secret = match has(methods, "client_secret_basic") {
            Some(false) if has(methods, "client_secret_post") == Some(true) => ShowsSecret::Post,
            _ => ShowsSecret::Basic,
        };
        Ok(Self {
            authorization: target("authorization_endpoint", &document.authorization_endpoint)?,
            token: target("token_endpoint", &document.token_endpoint)?,
            keys: target("jwks_uri", &document.jwks_uri)?,
            sends_issuer: document.authorization_response_iss_parameter_supported == Some(true),
            algorithms: document.id_token_signing_alg_values_supported,
            s256,
            shows_secret,
        })
    }

    /// Whether it says that it signs with this, or says nothing.
    pub(crate) fn signs_with(&self, algorithm: Algorithm) -> bool {
        let name = format!("{algorithm:?}");
        let known = |all: &Vec<String>| all.contains(&name);
        self.algorithms.as_ref().is_none_or(known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const ISSUER: &str = "https://id.example.com/acme";

    fn document() -> Value {
        json!({
            "issuer": ISSUER,
            "authorization_endpoint": "https://id.example.com/authorize?tenant=acme",
            "token_endpoint": "https://id.example.com/token",
            "jwks_uri": "https://id.example.com/keys",
        })
    }

    fn read(document: &Value) -> Result<Metadata, Refused> {
        Metadata::read(&ISSUER.parse().unwrap(), document.to_string().as_bytes())
    }

    #[test]
    fn what_is_not_said_is_what_the_specification_says() {
        let metadata = read(&document()).unwrap();
        assert_eq!(metadata.shows_secret, ShowsSecret::Basic);
        assert!(!metadata.sends_issuer && metadata.signs_with(Algorithm::ES256));
        let mut more = document();
        more["token_endpoint_auth_methods_supported"] = json!(["client_secret_post"]);
        more["id_token_signing_alg_values_supported"] = json!(["RS256", "none"]);
        let metadata = read(&more).unwrap();
        assert_eq!(metadata.shows_secret, ShowsSecret::Post);
        assert!(metadata.signs_with(Algorithm::RS256) && !metadata.signs_with(Algorithm::ES256));
    }

    #[test]
    fn sec_a06_a_provider_is_who_it_says_letter_by_letter() {
        for other in [
            "https://id.example.com/acme/",
            "https://id.example.com/Acme",
            "https://id.example.com/ACME",
            "https://id.example.com",
            "https://id.exampl\u{435}.com/acme",
            "",
        ] {
            let mut document = document();
            document["issuer"] = json!(other);
            let refused = read(&document).unwrap_err().to_string();
            assert!(refused.contains("letter by letter"), "{other}: {refused}");
        }
    }

    #[test]
    fn sec_i11_where_a_provider_sends_us_is_an_address_of_https() {
        for field in ["authorization_endpoint", "token_endpoint", "jwks_uri"] {
            for bad in [
                "http://id.example.com/",
                "javascript:alert(1)",
                "file:///etc/passwd",
                "//x",
            ] {
                let mut document = document();
                document[field] = json!(bad);
                let refused = read(&document).unwrap_err().to_string();
                assert!(refused.contains(field), "{bad}: {refused}");
            }
        }
        assert_eq!(
            "https://id.example.com/?a=b".parse::<Issuer>(),
            Err(BadIssuer::Query)
        );
        assert!("http://id.example.com".parse::<Issuer>().is_err());
        let configuration =
            |issuer: &str| issuer.parse::<Issuer>().unwrap().configuration().unwrap();
        for issuer in [
            "https://id.example.com/acme",
            "https://id.example.com/acme/",
        ] {
            assert_eq!(
                configuration(issuer).as_str(),
                "https://id.example.com/acme/.well-known/openid-configuration"
            );
        }
    }

    #[test]
    fn sec_a07_a_provider_without_pkce_is_of_no_use() {
        let mut document = document();
        document["code_challenge_methods_supported"] = json!(["plain"]);
        assert!(read(&document).unwrap_err().to_string().contains("S256"));
        document["code_challenge_methods_supported"] = json!(["plain", "S256"]);
        assert_eq!(read(&document).unwrap().s256, Some(true));
    }
}

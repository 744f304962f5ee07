//! Whether a connection would work, as far as can be seen without anybody signing in.

use secrecy::SecretString;

use crate::client::Client;
use crate::exchange;
use crate::providers::Providers;
use crate::refused::Refused;

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// What the provider says of itself can be read, and is of use.
    Configuration,
    /// Its keys can be read, and one of them could sign.
    Keys,
    /// It knows the client, and takes its secret.
    Client,
}

impl Check {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Keys => "keys",
            Self::Client => "client",
        }
    }
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// What was looked at.
    pub check: Check,
    /// Whether it is as it should be.
    pub passed: bool,
    /// In words.
    pub detail: String,
}

/// A code that no provider has handed out.
const NO_CODE: &str = "heddle-connection-test";

impl Providers {
    /// Looks at a connection, and ends where going on makes no sense. Reads everything anew.
    pub async fn test(&self, client: &Client) -> Vec<Checked> {
        let mut done = Vec::new();
        let found = |check, found: Result<String, Refused>| Checked {
            check,
            passed: found.is_ok(),
            detail: found.unwrap_or_else(|refused| refused.to_string()),
        };
        let metadata = match self.read_metadata(&client.issuer).await {
            Ok(metadata) => metadata,
            Err(refused) => return vec![found(Check::Configuration, Err(refused))],
        };
        let pkce = match metadata.s256 {
            Some(_) => "knows PKCE",
            None => "does not say whether it knows PKCE",
        };
        let detail = format!("the provider calls itself {} and {pkce}", client.issuer);
        done.push(found(Check::Configuration, Ok(detail)));
        let keys = self.read_keys(&metadata).await;
        let keys = keys.map(|_| format!("there are keys at {}", metadata.keys));
        done.push(found(Check::Keys, keys));
        // A code that is none: whoever is refused for the code was not refused for the client.
        let nothing = SecretString::from(NO_CODE);
        let asked = exchange::redeem(self.caller(), &metadata, client, (&nothing, &nothing)).await;
        let client = match asked {
            Err(Refused::Provider { error, .. }) if error == "invalid_grant" => Ok(String::from(
                "the provider knows the client and takes what it shows",
            )),
            Err(Refused::Provider { error, .. }) if error == "invalid_client" => {
                let description =
                    String::from("the client is unknown there, or its secret is wrong or expired");
                Err(Refused::Provider {
                    error,
                    description: Some(description),
                })
            }
            Err(refused) => Err(refused),
            Ok(_) => Err(Refused::Unfit {
                what: String::from("the provider's token endpoint"),
                why: String::from("it hands out an ID token for a code that it never made"),
            }),
        };
        done.push(found(Check::Client, client));
        done
    }
}

//! What a provider knows us by.

use secrecy::SecretString;

use crate::metadata::Issuer;

/// What was registered at a provider.
pub struct Client {
    /// The provider.
    pub issuer: Issuer,
    /// What it calls us.
    pub id: String,
    /// What we show it; `None`: it asks for nothing but PKCE.
    pub secret: Option<SecretString>,
    /// Where it sends people back to: exactly what was registered there.
    pub redirect_uri: String,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("issuer", &self.issuer)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

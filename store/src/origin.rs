//! Where a write comes from, as history and audit log keep it.

use std::net::IpAddr;

use heddle_model::id::TokenId;

/// What a caller says about its writes. Untrusted text, checked for length and form where it comes in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Note {
    /// Why.
    pub message: Option<String>,
    /// What ties several writes together, such as the run of a tool.
    pub change_group: Option<String>,
}

/// What the database knows the caller's token by. Does not print.
#[derive(Clone)]
pub(crate) struct Digest(pub(crate) Vec<u8>);

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Digest(..)")
    }
}

/// What is known of a write beside who makes it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Origin {
    pub(crate) token: Option<TokenId>,
    pub(crate) digest: Option<Digest>,
    pub(crate) note: Note,
    pub(crate) ip: Option<IpAddr>,
}

/// Who signs in, as far as that is known before.
#[derive(Debug, Clone, Copy, Default)]
pub struct Visitor<'a> {
    /// What the client calls itself. Untrusted.
    pub client: Option<&'a str>,
    /// The other end of the connection.
    pub ip: Option<IpAddr>,
}

impl<'a> From<Option<&'a str>> for Visitor<'a> {
    fn from(client: Option<&'a str>) -> Self {
        Self { client, ip: None }
    }
}

//! The words of single sign-on: the identity providers that members sign in by.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Shown;

pub(crate) const EXAMPLES: &str = "Examples:\n  heddle sso list\n  heddle sso test workforce";

/// Identity providers.
#[derive(Subcommand)]
pub(crate) enum SsoCommand {
    /// List the connections
    #[command(after_help = "Examples:\n  heddle sso list -o json")]
    List(Shown),
    /// Connect a provider (OpenID Connect)
    #[command(
        after_help = "Register the redirect URI of the answer at the provider.\n\n\
        Examples:\n  heddle sso create partners --issuer https://id.example.com --client-id heddle-partners --client-secret-file secret.txt"
    )]
    Create(CreateConnection),
    /// See whether a connection would work: nobody signs in
    #[command(after_help = "Examples:\n  heddle sso test workforce")]
    Test(TestConnection),
    /// Delete a connection, and what members are known by there
    #[command(after_help = "Examples:\n  heddle sso delete workforce")]
    Delete(NamedConnection),
    /// Let members sign in with passwords again
    #[command(after_help = "Examples:\n  heddle sso optional")]
    Optional,
}

#[derive(Args)]
pub(crate) struct CreateConnection {
    /// Its name, unique in the organisation; part of the redirect URI
    pub(crate) name: String,
    /// The provider, letter by letter as it calls itself
    #[arg(long, value_name = "URL")]
    pub(crate) issuer: String,
    /// What the provider calls Heddle
    #[arg(long, value_name = "TEXT")]
    pub(crate) client_id: String,
    /// The file with what Heddle shows the provider; - for standard input [default: nothing but PKCE]
    #[arg(long, value_name = "FILE")]
    pub(crate) client_secret_file: Option<PathBuf>,
    /// What stands on the button that members sign in with
    #[arg(long, value_name = "TEXT")]
    pub(crate) display_name: Option<String>,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

#[derive(Args)]
pub(crate) struct TestConnection {
    /// Its name or its id
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

#[derive(Args)]
pub(crate) struct NamedConnection {
    /// Its name or its id
    pub(crate) name: String,
}

//! The words of certificates for programs that are no proxies.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Note, Shown};

/// What the noun can do.
pub(crate) const EXAMPLES: &str = "For a program that is no proxy: a job, a batch, another proxy. A host that wants its certificates replaced by themselves runs `heddle agent`.\n\n\
    Examples:\n  heddle certificates issue --service payments --out identity";

#[derive(Subcommand)]
pub(crate) enum CertificatesCommand {
    /// Get one for a key that is made here and stays here
    #[command(
        after_help = "The folder gets svid.pem, key.pem (mode 600) and bundle.pem; what an earlier call left there is replaced all at once. It needs the\n\
        permission certificates:issue: a service account with the role `issuer` for this service has it, and nothing else.\n\
        Nobody renews it: call again when half of its life is over.\n\n\
        Examples:\n  heddle certificates issue --service payments --out identity\n  \
        heddle certificates issue --service payments --out identity --dry-run -o json"
    )]
    Issue(IssueCertificate),
}

#[derive(Args)]
pub(crate) struct IssueCertificate {
    /// The service whose identity it has
    #[arg(long, short, value_name = "NAME")]
    pub(crate) service: String,
    /// The folder for key, certificate and bundle; it is made for its owner only when it is not there
    #[arg(long, value_name = "FOLDER")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) note: Note,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

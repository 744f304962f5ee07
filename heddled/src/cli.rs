//! The command line of `heddled`: every sub-command and flag, and nothing that acts on them.

mod backup;
mod quota;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use backup::{BackupArgs, DatabaseCommand, RestoreArgs};
pub(crate) use quota::{QuotaCommand, QuotaList, QuotaSet};

use crate::config::Settings;

/// Heddle: a control plane for stock Envoys.
///
/// `heddled up --demo` starts everything on this machine, with a small shop to try it on.
#[derive(Parser)]
#[command(name = "heddled", version, max_term_width = 100)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The sub-commands.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Run everything on this machine: PostgreSQL, the server and, with --demo, services and Envoys
    Up(Box<UpArgs>),
    /// Run the server: API, xDS and, unless --ca-socket names another process, the certificate authority
    All(Box<Settings>),
    /// Run the certificate authority alone, as the only process with the sealing key: it serves on --ca-socket
    Ca(Box<Settings>),
    /// Bring the database schema up to date, then end
    Migrate(Box<Settings>),
    /// Make organisations and tokens, by direct access to the database
    Admin(AdminArgs),
    /// Back the database up: whole with --to, and with --follow what is written from now on
    Backup(Box<BackupArgs>),
    /// Make a data directory from a backup, and see that its keys open and its authorities sign
    Restore(Box<RestoreArgs>),
    /// One small service of the demo
    #[command(hide = true)]
    DemoApp(DemoAppArgs),
    /// Tie this process to its parent's life, drop privileges and become another program
    #[command(hide = true)]
    Child(ChildArgs),
}

/// `heddled up`.
#[derive(Args)]
pub(crate) struct UpArgs {
    /// Also run the demo: frontend -> checkout -> payments, each behind its own Envoy
    #[arg(long)]
    pub(crate) demo: bool,
    /// Where everything that must survive is kept
    #[arg(
        long,
        value_name = "DIR",
        default_value = ".heddle",
        env = "HEDDLE_DATA_DIR"
    )]
    pub(crate) data_dir: PathBuf,
    /// Write one JSON object with addresses and process ids here once everything serves
    #[arg(long, value_name = "FILE")]
    pub(crate) ready_file: Option<PathBuf>,
    /// The Envoy to run [default: the one that scripts/setup installed, then the one in PATH]
    #[arg(long, value_name = "FILE", env = "HEDDLE_ENVOY")]
    pub(crate) envoy: Option<PathBuf>,
    /// How much the demo's Envoys log
    #[arg(long, value_name = "LEVEL", default_value = "warn")]
    pub(crate) envoy_log_level: EnvoyLogLevel,
    /// Where initdb and postgres are [default: the newest in /usr/lib/postgresql, then PATH]
    #[arg(long, value_name = "DIR", env = "HEDDLE_PG_BIN")]
    pub(crate) pg_bin: Option<PathBuf>,
    /// Run PostgreSQL only
    #[arg(long, hide = true, conflicts_with = "demo")]
    pub(crate) only_postgres: bool,
    /// Stop when the process that started this one ends
    #[arg(long, hide = true)]
    pub(crate) stop_with_parent: bool,
    /// What the server is told.
    #[command(flatten)]
    pub(crate) settings: Settings,
}

/// Envoy's own names for how much it logs.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum EnvoyLogLevel {
    /// Everything.
    Trace,
    /// For finding faults.
    Debug,
    /// What happens.
    Info,
    /// What should not happen.
    Warn,
    /// What failed.
    Error,
    /// What ended the process.
    Critical,
    /// Nothing.
    Off,
}

impl EnvoyLogLevel {
    /// The word that Envoy's `--log-level` takes.
    #[must_use]
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Critical => "critical",
            Self::Off => "off",
        }
    }
}

/// `heddled admin`.
#[derive(Args)]
pub(crate) struct AdminArgs {
    /// What to administer.
    #[command(subcommand)]
    pub(crate) noun: AdminNoun,
}

/// The nouns of `heddled admin`.
#[derive(Subcommand)]
pub(crate) enum AdminNoun {
    /// Organisations
    #[command(subcommand)]
    Org(OrgCommand),
    /// How much an organisation may have
    #[command(subcommand)]
    Quota(QuotaCommand),
    /// Tokens for people and programs that call the API
    #[command(subcommand)]
    Token(TokenCommand),
    /// People who sign in
    #[command(subcommand)]
    Member(MemberCommand),
    /// The keys that sign sessions' tokens
    #[command(subcommand)]
    SessionKeys(SessionKeysCommand),
    /// The keys that seal all private keys in the database
    #[command(subcommand)]
    SealingKeys(SealingKeysCommand),
    /// The audit log
    #[command(subcommand)]
    Audit(AuditCommand),
    /// The database as a whole
    #[command(subcommand)]
    Database(DatabaseCommand),
}

/// `heddled admin sealing-keys`.
#[derive(Subcommand)]
pub(crate) enum SealingKeysCommand {
    /// Say which sealing keys are open here, and how many private keys each has sealed
    List(Box<SealingKeysArgs>),
    /// Seal under the sealing key of now what keys before it have sealed. Servers go on; can be stopped and begun again
    Reseal(Box<SealingKeysArgs>),
}

/// `heddled admin sealing-keys list` and `reseal`.
#[derive(Args)]
pub(crate) struct SealingKeysArgs {
    /// Print one JSON object instead of text
    #[arg(long)]
    pub(crate) json: bool,
    /// Where the database and the keys are.
    #[command(flatten)]
    pub(crate) settings: Settings,
}

/// `heddled admin audit`.
#[derive(Subcommand)]
pub(crate) enum AuditCommand {
    /// Look through an organisation's log, and the journals of its certificates, for what was altered, removed or moved
    Verify(Box<AuditVerify>),
}

/// `heddled admin audit verify`.
#[derive(Args)]
pub(crate) struct AuditVerify {
    /// The organisation
    #[arg(long)]
    pub(crate) org: String,
    /// An earlier export, or the output of --json: the ends of chains in its first line must still be there
    #[arg(long, value_name = "FILE")]
    pub(crate) noted: Option<PathBuf>,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub(crate) json: bool,
    /// Where the database is.
    #[command(flatten)]
    pub(crate) settings: Settings,
}

/// `heddled admin member`.
#[derive(Subcommand)]
pub(crate) enum MemberCommand {
    /// Make a member with a role, such as the first owner; the password is printed once unless it is given
    Create(Box<MemberCreate>),
    /// Take the second factor of a member away who has lost it and all recovery codes; ends the member's sessions
    ResetSecondFactor(Box<MemberReset>),
}

/// `heddled admin session-keys`.
#[derive(Subcommand)]
pub(crate) enum SessionKeysCommand {
    /// Sign with a new key from now on; tokens that were signed with another one live out their minutes
    Rotate(Box<Settings>),
}

/// `heddled admin member create`.
#[derive(Args)]
pub(crate) struct MemberCreate {
    /// The organisation that the member belongs to
    #[arg(long)]
    pub(crate) org: String,
    /// The e-mail address that the member signs in with
    #[arg(long)]
    pub(crate) email: String,
    /// What the member may do in the whole organisation
    #[arg(long)]
    pub(crate) role: MemberRole,
    /// Read the password from standard input instead of making one: 12 to 128 characters, one line
    #[arg(long)]
    pub(crate) password_stdin: bool,
    /// Print one JSON object with `password` instead of text
    #[arg(long)]
    pub(crate) json: bool,
    /// Where the database is.
    #[command(flatten)]
    pub(crate) settings: Settings,
}

/// `heddled admin member reset-second-factor`.
#[derive(Args)]
pub(crate) struct MemberReset {
    /// The organisation that the member belongs to
    #[arg(long)]
    pub(crate) org: String,
    /// The e-mail address that the member signs in with
    #[arg(long)]
    pub(crate) email: String,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub(crate) json: bool,
    /// Where the database is.
    #[command(flatten)]
    pub(crate) settings: Settings,
}

/// The roles that a member can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum MemberRole {
    /// Everything
    Owner,
    /// Everything but making and removing owners
    Admin,
    /// Runs meshes, does not manage members
    Operator,
    /// Changes services and their routes
    Developer,
    /// Reads
    Viewer,
    /// Reads everything, members and their roles too
    Auditor,
}

impl MemberRole {
    /// The word for this role in the API.
    #[must_use]
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Operator => "operator",
            Self::Developer => "developer",
            Self::Viewer => "viewer",
            Self::Auditor => "auditor",
        }
    }
}

/// `heddled admin org`.
#[derive(Subcommand)]
pub(crate) enum OrgCommand {
    /// Make an organisation and its owner token, which is printed once
    Create(Box<OrgCreate>),
    /// Let members sign in with passwords again, when the identity provider that the organisation asks for lets nobody in any more
    AllowPasswords(Box<OrgAllowPasswords>),
}

/// `heddled admin token`.
#[derive(Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token, which is printed once
    Create(Box<TokenCreate>),
}

/// `heddled admin org create`.
#[derive(Args)]
pub(crate) struct OrgCreate {
    /// The organisation's name, as it stands in paths of the API
    pub(crate) name: String,
    /// What people call it
    #[arg(long, value_name = "TEXT")]
    pub(crate) display_name: Option<String>,
    /// Print one JSON object with `token` instead of text
    #[arg(long)]
    pub(crate) json: bool,
    /// Where the database is.
    #[command(flatten)]
    pub(crate) settings: Settings,
}

/// `heddled admin org allow-passwords`.
#[derive(Args)]
pub(crate) struct OrgAllowPasswords {
    /// The organisation
    #[arg(long)]
    pub(crate) org: String,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub(crate) json: bool,
    /// Where the database is.
    #[command(flatten)]
    pub(crate) settings: Settings,
}

/// `heddled admin token create`.
#[derive(Args)]
pub(crate) struct TokenCreate {
    /// The organisation that the token is for
    #[arg(long)]
    pub(crate) org: String,
    /// What the token may do
    #[arg(long)]
    pub(crate) role: TokenRole,
    /// What the token is for, as it is listed later
    #[arg(long)]
    pub(crate) name: String,
    /// Print one JSON object with `token` instead of text
    #[arg(long)]
    pub(crate) json: bool,
    /// Where the database is.
    #[command(flatten)]
    pub(crate) settings: Settings,
}

/// The roles that a token can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TokenRole {
    /// Everything in the organisation
    Admin,
    /// Runs meshes, does not manage members
    Operator,
    /// Changes services and their routes
    Developer,
    /// Reads
    Viewer,
}

impl TokenRole {
    /// The word for this role in the API.
    #[must_use]
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Operator => "operator",
            Self::Developer => "developer",
            Self::Viewer => "viewer",
        }
    }
}

/// `heddled demo-app`.
#[derive(Args)]
pub(crate) struct DemoAppArgs {
    /// The service that this process is an instance of
    #[arg(long)]
    pub(crate) name: String,
    /// The version it reports
    #[arg(long)]
    pub(crate) version: String,
    /// Where it listens
    #[arg(long)]
    pub(crate) listen: std::net::SocketAddr,
    /// The service it asks before it answers
    #[arg(long, requires = "via")]
    pub(crate) calls: Option<String>,
    /// The outbound listener of its own Envoy
    #[arg(long, requires = "calls")]
    pub(crate) via: Option<std::net::SocketAddr>,
}

/// `heddled child`.
#[derive(Args)]
pub(crate) struct ChildArgs {
    /// The supervisor; when it is no longer the parent, nothing is started
    #[arg(long)]
    pub(crate) parent: i32,
    /// The signal that this process gets when its parent ends
    #[arg(long, value_name = "SIGNAL")]
    pub(crate) die_with: nix::sys::signal::Signal,
    /// The user to become
    #[arg(long, requires = "gid")]
    pub(crate) uid: Option<u32>,
    /// The group to become
    #[arg(long, requires = "uid")]
    pub(crate) gid: Option<u32>,
    /// Opened before privileges are dropped; `{dir0}`, `{dir1}`, ... in the arguments stand for them
    #[arg(long, value_name = "DIR")]
    pub(crate) hold_dir: Vec<PathBuf>,
    /// The program and its arguments
    #[arg(last = true, required = true)]
    pub(crate) command: Vec<OsString>,
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_consistent() {
        <super::Cli as clap::CommandFactory>::command().debug_assert();
    }
}

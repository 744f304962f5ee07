//! What a caller of the store can tell apart.

use heddle_model::name::Name;

use crate::quotas::Reached;

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such object, or it is not this organisation's: the two look the same.
    #[error("not found")]
    NotFound,
    /// An object with this name (or another value that must be unique) exists.
    #[error("already exists ({constraint})")]
    AlreadyExists {
        /// The named constraint that says so.
        constraint: String,
    },
    /// Another route of the service has this priority.
    #[error("priority taken by route {by}")]
    PriorityTaken {
        /// That route.
        by: Name,
    },
    /// The object is not in the state that the precondition names.
    #[error("precondition failed")]
    StaleEtag {
        /// The etag of what is there now; `None` when nothing is.
        current: Option<String>,
    },
    /// A text holds a NUL character, which Postgres cannot store.
    #[error("a text contains a NUL character")]
    NulCharacter,
    /// The caller may know of this, but its permission does not reach it.
    #[error("the permission {scope} is missing here")]
    Forbidden {
        /// The permission that is missing, as the API names it.
        scope: &'static str,
    },
    /// The caller's token or session was revoked, or ended, while its transaction ran.
    #[error("the credential was revoked meanwhile")]
    Revoked,
    /// The identity was revoked, or its mesh deleted: it gets no certificate.
    #[error("the identity is revoked, or its mesh deleted")]
    Barred,
    /// The caller would hand on or take away rights that it does not have itself.
    #[error("nobody hands on or takes away more than they have")]
    Escalation,
    /// The caller's token belongs to no member and no service account.
    #[error("the token belongs to nobody")]
    NoPrincipal,
    /// This is for members who signed in, and the caller presents an API token.
    #[error("the caller has no session")]
    NotSignedIn,
    /// The caller signed in too long ago for what it asks.
    #[error("the caller signed in too long ago for this")]
    SignInAgain,
    /// The member has a second factor already.
    #[error("the member has a second factor already")]
    SecondFactorExists,
    /// The member has no second factor, or none that waits to be confirmed.
    #[error("the member has no second factor")]
    NoSecondFactor,
    /// The caller would ask others to sign in by a provider, and did not sign in by one.
    #[error("the caller did not sign in by a provider")]
    SsoUnproven,
    /// The organisation asks its members to sign in by its provider, and there is no other connection.
    #[error("members sign in by this connection alone")]
    SsoInUse,
    /// The webhook is switched off.
    #[error("the webhook is switched off")]
    WebhookDisabled,
    /// Whatever makes, seals or opens keys did not do it; the same call may succeed a little later.
    #[error("what signs and seals is unavailable")]
    Signer(#[source] Cause),
    /// More passwords are being hashed than the process takes on.
    #[error("too many passwords at once")]
    Busy,
    /// The organisation would be left without an owner.
    #[error("the last owner cannot be removed")]
    LastOwner,
    /// The organisation has as many of something as it may have.
    #[error("a quota is reached")]
    LimitReached(Vec<Reached>),
    /// The permission of the transaction does not cover objects of this kind.
    #[error("{scope} does not cover objects of kind {kind}")]
    NotGranted {
        /// The permission.
        scope: &'static str,
        /// The kind.
        kind: &'static str,
    },
    /// A row that this version cannot make sense of.
    #[error("inconsistent row {row} in {table}.{column}: {reason}")]
    Inconsistent {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// Which row, by its identifier.
        row: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The database cannot answer right now; the same call may succeed a little later.
    #[error("the database is unavailable")]
    Unavailable(#[source] Cause),
    /// The login role could pass by row security: the server must not run as one.
    #[error("{role} is a superuser or bypasses row security; log in as heddle_server")]
    PrivilegedLogin {
        /// The login role.
        role: String,
    },
    /// The schema lacks migrations that this version needs.
    #[error("the database schema is at {have}, this version needs {need}: run `heddled migrate`")]
    SchemaOlder {
        /// The newest applied migration; 0 when there is none.
        have: i64,
        /// The newest one that this version has.
        need: i64,
    },
    /// The schema has migrations that this version does not know.
    #[error("the database schema is at {have}, this version knows {know} at most: run a newer one")]
    SchemaNewer {
        /// An applied migration that this version does not have.
        have: i64,
        /// The newest one that this version has.
        know: i64,
    },
    /// Anything else: a defect of ours or of the database.
    #[error("the database refused")]
    Database(#[source] Cause),
}

/// The internal chain of an error: for logs, not for answers.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// What the functions of this crate return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Whether the transaction lost against a concurrent one and may simply be repeated.
    pub(crate) fn is_conflict(&self) -> bool {
        let Self::Unavailable(cause) = self else {
            return false;
        };
        cause
            .downcast_ref::<sqlx::Error>()
            .and_then(sqlx::Error::as_database_error)
            .and_then(|e| e.code().map(|code| is_conflict_code(&code)))
            .unwrap_or(false)
    }
}

fn is_conflict_code(code: &str) -> bool {
    // serialization_failure, deadlock_detected
    matches!(code, "40001" | "40P01")
}

fn is_passing_code(code: &str) -> bool {
    // 08 connection, 53 out of resources, 57 shut down, crashed, starting up or statement timeout;
    // 55P03 lock not available, 25P03 idle in transaction, 25006 read only (a standby).
    is_conflict_code(code)
        || ["08", "53", "57"]
            .iter()
            .any(|class| code.starts_with(class))
        || matches!(code, "55P03" | "25P03" | "25006")
}

/// Whether the connection is gone, and not only this statement.
pub(crate) fn is_broken(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) => true,
        // admin_shutdown, crash_shutdown, idle_session_timeout, and the class of lost connections
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            matches!(code.as_ref(), "57P01" | "57P02" | "57P05") || code.starts_with("08")
        }),
        _ => false,
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(database) => {
                let code = database.code().unwrap_or_default();
                match code.as_ref() {
                    "23505" => Self::AlreadyExists {
                        constraint: database.constraint().unwrap_or_default().to_owned(),
                    },
                    // untranslatable_character (jsonb), character_not_in_repertoire (text)
                    "22P05" | "22021" => Self::NulCharacter,
                    code if is_passing_code(code) => Self::Unavailable(Box::new(error)),
                    _ => Self::Database(Box::new(error)),
                }
            }
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Self::Unavailable(Box::new(error)),
            _ => Self::Database(Box::new(error)),
        }
    }
}

/// How often a transaction that lost against a concurrent one is repeated.
pub(crate) const RETRIES: u32 = 3;

/// Runs a transaction again when it lost against a concurrent one. For work that is entirely inside the store; a
/// transaction that a caller drives is the caller's to repeat. A macro, because the future of an asynchronous
/// closure that borrows cannot be shown to be `Send`.
macro_rules! retry {
    ($attempt:expr) => {{
        let mut left = $crate::error::RETRIES;
        loop {
            match $attempt.await {
                Err(error) if left > 0 && error.is_conflict() => left -= 1,
                result => break result,
            }
        }
    }};
}
pub(crate) use retry;

/// Says which row does not make sense.
pub(crate) fn inconsistent(
    table: &'static str,
    column: &'static str,
    row: impl std::fmt::Display,
    reason: impl std::fmt::Display,
) -> Error {
    Error::Inconsistent {
        table,
        column,
        row: row.to_string(),
        reason: reason.to_string(),
    }
}

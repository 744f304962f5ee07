//! Errors as RFC 9457 problems: the only way an error leaves this crate.
#![deny(clippy::wildcard_enum_match_arm)]

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use heddle_model::code::Code;
use heddle_model::violation::{Violation, Violations};
use heddle_model::wire::Refused;
use heddle_store::quotas::Reached;
use serde_json::{Map, Value, json};

use crate::request;

/// An error as the client sees it. What is wrong inside is logged where it is handled, never sent.
#[derive(Debug)]
pub struct Problem(Box<Parts>);

/// Boxed, so that a `Result` that carries a problem stays small.
#[derive(Debug)]
struct Parts {
    code: Code,
    detail: String,
    errors: Vec<Violation>,
    members: Map<String, Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// A problem with one sentence of detail.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self(Box::new(Parts {
            code,
            detail: detail.into(),
            errors: Vec::new(),
            members: Map::new(),
            headers: Vec::new(),
        }))
    }

    /// The one answer for what does not exist and for what is not the caller's to see.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(Code::NotFound, "there is no such object")
    }

    /// A permission that is missing, here or altogether.
    #[must_use]
    pub fn forbidden(scope: &str) -> Self {
        Self::new(
            Code::Forbidden,
            format!("this needs the permission {scope}"),
        )
        .with("permission", json!(scope))
    }

    /// Several broken rules of one body.
    #[must_use]
    pub fn invalid(violations: Violations) -> Self {
        let errors = violations.into_sorted();
        let detail = match errors.as_slice() {
            [one] => one.detail.clone(),
            many => format!("{} rules are broken; see `errors`", many.len()),
        };
        let mut problem = Self::new(Code::Invalid, detail);
        problem.0.errors = errors;
        problem
    }

    /// Broken rules under a code that says what they are together.
    #[must_use]
    pub fn broken(code: Code, errors: Vec<Violation>) -> Self {
        let detail = match errors.as_slice() {
            [one] => one.detail.clone(),
            many => format!("{} rules are broken; see `errors`", many.len()),
        };
        let mut problem = Self::new(code, detail);
        problem.0.errors = errors;
        problem
    }

    /// A name that another object has.
    #[must_use]
    pub fn taken() -> Self {
        Self::new(
            Code::AlreadyExists,
            "an object of this name exists; PUT replaces it",
        )
    }

    /// Hosts that other services answer for.
    #[must_use]
    pub fn host_taken(taken: Violations) -> Self {
        Self::of_taken(Code::HostTaken, taken)
    }

    /// Local ports at which callers find others.
    #[must_use]
    pub fn local_port_taken(taken: Violations) -> Self {
        Self::of_taken(Code::LocalPortTaken, taken)
    }

    fn of_taken(code: Code, taken: Violations) -> Self {
        let errors = taken.into_sorted();
        let detail = errors
            .iter()
            .map(|e| e.detail.as_str())
            .collect::<Vec<_>>()
            .join("; ");
        let mut problem = Self::new(code, detail);
        problem.0.errors = errors;
        problem
    }

    /// A revision that cannot be taken back. Where nothing but the content is wrong, it is that.
    #[must_use]
    pub fn cannot_go_back(obstacles: Violations) -> Self {
        let errors = obstacles.into_sorted();
        if errors
            .iter()
            .all(|e| e.code.status() == 422 && e.code != Code::UnknownReference)
        {
            let mut invalid = Violations::new();
            errors.into_iter().for_each(|e| invalid.push(e));
            return Self::invalid(invalid);
        }
        let detail = format!("{} obstacles; see `errors`", errors.len());
        let mut problem = Self::new(Code::CannotGoBack, detail);
        problem.0.errors = errors;
        problem
    }

    /// Objects that have what the new guardrails of their mesh would not let anybody write.
    #[must_use]
    pub fn guardrail_too_tight(count: usize, beyond: Violations) -> Self {
        let detail =
            format!("{count} values in this mesh are beyond these guardrails; see `errors`");
        let mut problem = Self::new(Code::GuardrailTooTight, detail);
        problem.0.errors = beyond.into_sorted();
        problem
    }

    /// Limits that were met, which are counted. `pointer` says where the body has what there is no room for.
    #[must_use]
    pub fn limits(reached: &[Reached], pointer: impl Fn(&Reached) -> String) -> Self {
        let violation = |one: &Reached| Violation {
            pointer: pointer(one),
            code: Code::LimitReached,
            detail: met(one),
            hint: Some(format!(
                "Delete {} that are not needed any more, or ask whoever runs the server for more.",
                one.quota.things()
            )),
        };
        for one in reached {
            let quota = one.quota.as_str();
            metrics::counter!("heddle_quota_refused_total", "quota" => quota).increment(1);
        }
        let errors: Vec<Violation> = reached.iter().map(violation).collect();
        let limits: Vec<Value> = reached
            .iter()
            .map(|one| {
                json!({
                    "quota": one.quota.as_str(),
                    "limit": one.limit,
                    "used": one.used,
                    "wanted": one.wanted,
                })
            })
            .collect();
        Self::broken(Code::LimitReached, errors).with("limits", Value::Array(limits))
    }

    /// A bad query parameter.
    #[must_use]
    pub fn parameter(name: &str, detail: impl Into<String>) -> Self {
        Self::new(Code::BadParameter, detail).with("parameter", json!(name))
    }

    /// A parameter that is well formed, but does not fit the others or what is stored.
    #[must_use]
    pub fn unfit(name: &str, detail: impl Into<String>) -> Self {
        Self::new(Code::UnfitParameter, detail).with("parameter", json!(name))
    }

    /// A failure of ours. The cause goes to the log, under the request's id.
    pub fn internal(cause: &dyn std::fmt::Display) -> Self {
        tracing::error!(error = %cause, "request failed");
        Self::new(
            Code::Internal,
            "Heddle failed; the request id leads us to the cause",
        )
    }

    /// The database says nothing, so nobody knows whether what was asked for is done.
    pub(crate) fn silence() -> Self {
        Self::new(
            Code::Unavailable,
            "the database does not answer right now, and what was asked for may or may not be done",
        )
        .header(header::RETRY_AFTER, HeaderValue::from_static("1"))
    }

    /// Adds an extension member.
    #[must_use]
    pub fn with(mut self, name: &str, value: Value) -> Self {
        self.0.members.insert(name.to_owned(), value);
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    /// Its code.
    #[must_use]
    pub const fn code(&self) -> Code {
        self.0.code
    }
}

/// A limit that was met, in a sentence.
fn met(one: &Reached) -> String {
    let Reached {
        quota,
        limit,
        used,
        wanted,
    } = one;
    format!(
        "the organisation has {used} {} and may have {limit}: there is no room for {wanted} more",
        quota.things()
    )
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Parts {
            code,
            detail,
            errors,
            members,
            headers: further,
        } = *self.0;
        let request_id = request::current_id();
        let mut body = Map::new();
        body.insert(
            String::from("type"),
            json!(format!("/v1/codes/{}", code.as_str())),
        );
        body.insert(String::from("title"), json!(code.title()));
        body.insert(String::from("status"), json!(code.status()));
        body.insert(String::from("detail"), json!(detail));
        body.insert(
            String::from("instance"),
            json!(format!("/requests/{request_id}")),
        );
        body.insert(String::from("code"), json!(code.as_str()));
        body.insert(String::from("request_id"), json!(request_id));
        if !errors.is_empty() {
            body.insert(String::from("errors"), json!(errors));
        }
        body.extend(members);
        let status =
            StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(Value::Object(body))).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        headers.extend(further);
        if code == Code::Unauthenticated {
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"heddle\""),
            );
        }
        response
    }
}

impl From<Violation> for Problem {
    fn from(violation: Violation) -> Self {
        let mut violations = Violations::new();
        violations.push(violation);
        Self::invalid(violations)
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Invalid(violations) => Self::invalid(violations),
            Refused::Malformed(one) if one.code.status() == 400 => {
                let mut problem = Self::new(one.code, one.detail.clone());
                problem.0.errors.push(one);
                problem
            }
            Refused::Malformed(one) => one.into(),
        }
    }
}

impl From<heddle_store::Error> for Problem {
    fn from(error: heddle_store::Error) -> Self {
        use heddle_store::Error;
        match error {
            Error::NotFound => Self::not_found(),
            Error::AlreadyExists { .. } => Self::taken(),
            Error::LimitReached(reached) => Self::limits(&reached, |_| String::new()),
            Error::PriorityTaken { by } => {
                let mut violations = Violations::new();
                let detail = format!("route {by} of this service has the same priority");
                violations.push(Violation {
                    pointer: String::from("/priority"),
                    code: Code::PriorityTaken,
                    detail: detail.clone(),
                    hint: None,
                });
                let mut problem = Self::new(Code::PriorityTaken, detail);
                problem.0.errors = violations.into_sorted();
                problem
            }
            Error::StaleEtag { current } => {
                let problem = Self::new(
                    Code::StaleEtag,
                    "the object is not the one that the precondition names",
                );
                match current {
                    Some(current) => problem.with("current_etag", json!(current)),
                    None => problem,
                }
            }
            Error::Unavailable(cause) => {
                tracing::warn!(error = %cause, "database unavailable");
                Self::new(
                    Code::Unavailable,
                    "the database cannot be reached right now",
                )
                .header(header::RETRY_AFTER, HeaderValue::from_static("1"))
            }
            Error::Forbidden { scope } => Self::forbidden(scope),
            Error::Revoked => Self::new(
                Code::Unauthenticated,
                "the credential of this request was revoked or ended before anything was written",
            ),
            Error::Barred => Self::new(
                Code::ProxyRevoked,
                "the identity is revoked, or its mesh was deleted",
            ),
            Error::Escalation => Self::new(
                Code::Escalation,
                "this would hand on, or take away, rights that you do not have yourself",
            ),
            Error::LastOwner => Self::new(
                Code::LastOwner,
                "the organisation would be left without an owner",
            ),
            Error::NotSignedIn => Self::new(
                Code::NotSignedIn,
                "this is for members who signed in; an API token will not do",
            ),
            // RFC 9470: the credential is good, and whoever has it shall show once more that they are who they were.
            Error::SignInAgain => Self::new(
                Code::SignInAgain,
                "you signed in more than five minutes ago, which is too long ago for this",
            )
            .header(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static(
                    "Bearer realm=\"heddle\", error=\"insufficient_user_authentication\", max_age=\"300\"",
                ),
            ),
            Error::SecondFactorExists => Self::new(
                Code::SecondFactorExists,
                "you have a second factor already; remove it first",
            ),
            Error::NoSecondFactor => Self::new(
                Code::NoSecondFactor,
                "there is no second factor that this could be about",
            ),
            Error::SsoUnproven => Self::new(
                Code::SsoUnproven,
                "your session did not begin with the provider: sign in with it first",
            ),
            Error::SsoInUse => Self::new(
                Code::SsoInUse,
                "members have to sign in by a provider, and there is no other connection",
            ),
            Error::WebhookDisabled => Self::new(
                Code::WebhookDisabled,
                "the webhook is switched off: nothing is sent to it",
            ),
            error @ Error::Signer(_) => {
                tracing::warn!(error = chain(&error), "nothing can be signed or sealed");
                Self::new(
                    Code::Unavailable,
                    "the certificate authority cannot be asked right now",
                )
                .header(header::RETRY_AFTER, HeaderValue::from_static("2"))
            }
            Error::Busy => Self::new(Code::Unavailable, "too many passwords are being checked")
                .header(header::RETRY_AFTER, HeaderValue::from_static("1")),
            Error::NoPrincipal => Self::new(
                Code::NoPrincipal,
                "the token of this request belongs to no member and no service account",
            ),
            Error::NulCharacter => Self::new(
                Code::MalformedJson,
                "a text contains a NUL character, which cannot be stored",
            ),
            error @ (Error::PrivilegedLogin { .. }
            | Error::SchemaOlder { .. }
            | Error::SchemaNewer { .. }) => {
                tracing::warn!(%error, "database schema");
                Self::new(Code::Unavailable, "the database is being migrated")
                    .header(header::RETRY_AFTER, HeaderValue::from_static("5"))
            }
            error
            @ (Error::Inconsistent { .. } | Error::NotGranted { .. } | Error::MigrationBlocked { .. } | Error::Database(_)) => {
                Self::internal(&chain(&error))
            }
        }
    }
}

/// An error with everything that caused it, for the log.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

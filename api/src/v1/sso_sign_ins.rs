//! Signing in by a provider: off to it, and back.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use heddle_model::code::Code;
use heddle_oidc::{Asking, Attempt, Identity, Returned};
use heddle_store::Visitor;
use heddle_store::sessions::Step;
use heddle_store::sso_connections::ConnectionRow;
use heddle_store::sso_sign_ins::{self, NotLetIn, Refused, Sent, Taken, Vouched};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{invitations, links, sessions, sso_connections};
use crate::auth::Peer;
use crate::extract::{Headers, JsonBytes, Query, decode};
use crate::problem::Problem;
use crate::state::App;
use crate::view;

/// What somebody can sign in with.
pub(crate) const OPTIONS: &str = "/v1/sso-connections";
/// Where people are sent.
pub(crate) const COLLECTION: &str = "/v1/sso-sign-ins";
/// Where they come back.
pub(crate) const COMPLETIONS: &str = "/v1/sso-sign-ins/completions";

/// Who signs in by a provider.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateSsoSignIn {
    /// The name of the organisation.
    #[schema(max_length = 63, example = "acme")]
    pub(crate) org: String,
    /// The name of the connection. Absent: the only one.
    #[schema(max_length = 63, example = "workforce")]
    pub(crate) connection: Option<String>,
    /// Whether the provider shall ask who they are although it may know: for what takes somebody who signed in just now.
    pub(crate) reauthenticate: Option<bool>,
    /// Whom the provider shall expect.
    #[schema(max_length = 254, example = "ada@example.com")]
    pub(crate) login_hint: Option<String>,
}

/// What the provider sent somebody back with: the query of the address that they came to.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CompleteSsoSignIn {
    /// The name of the organisation, from the address.
    #[schema(max_length = 63, example = "acme")]
    pub(crate) org: String,
    /// The name of the connection, from the address.
    #[schema(max_length = 63, example = "workforce")]
    pub(crate) connection: String,
    /// What the beginning was answered with. It works once.
    #[schema(value_type = String, max_length = 200, example = "heddle_sso_")]
    pub(crate) secret: SecretString,
    /// Of which sign-in it is.
    #[schema(max_length = 512, example = "5u2cRrPg0wCk")]
    pub(crate) state: String,
    /// What the provider hands an identity out for, once.
    #[schema(value_type = Option<String>, max_length = 4096, example = "SplxlOBeZQQYbYS6WxSbIA")]
    pub(crate) code: Option<SecretString>,
    /// Which provider says so.
    #[schema(max_length = 2048, example = "https://id.example.com")]
    pub(crate) iss: Option<String>,
    /// Why there is no code.
    #[schema(max_length = 512, example = "access_denied")]
    pub(crate) error: Option<String>,
    /// In more words.
    #[schema(
        max_length = 4096,
        example = "The user is not assigned to this application."
    )]
    pub(crate) error_description: Option<String>,
    /// The secret of an invitation that is accepted with this.
    #[schema(value_type = Option<String>, max_length = 200, example = "heddle_inv_")]
    pub(crate) invitation: Option<SecretString>,
}

/// An example of the body.
pub(crate) fn sample() -> Value {
    json!({"org": "acme", "connection": "workforce"})
}

/// An example of the body.
pub(crate) fn completion_sample() -> Value {
    json!({"org": "acme", "connection": "workforce", "secret": "heddle_sso_", "state": "5u2cRrPg0wCk", "code": "SplxlOBeZQQYbYS6WxSbIA", "iss": "https://id.example.com"})
}

/// A connection, for whoever is about to sign in.
fn option(row: &ConnectionRow) -> Value {
    json!({"name": row.name, "display_name": row.display_name})
}

pub(crate) async fn options(
    State(app): State<App>,
    mut query: Query,
) -> Result<Json<Value>, Problem> {
    let org = query.take("org").unwrap_or_default();
    query.finish()?;
    let rows = sso_sign_ins::options(&app.store, &org).await?;
    let items: Vec<Value> = rows.iter().map(option).collect();
    Ok(Json(json!({"items": items})))
}

/// What somebody gets who is sent to a provider.
pub(crate) async fn sent(app: &App, sent: &Sent, asking: Asking<'_>) -> Result<Response, Problem> {
    let client = sso_connections::client(app, sent.org_name.as_str(), &sent.connection, None)?;
    let attempt = Attempt::of(&sent.secret);
    let url = app.providers.authorization(&client, &attempt, asking).await;
    let seconds = (sent.expires_at - app.clock.now()).num_seconds().max(0);
    let body = json!({
        "authorization_url": url.map_err(|why| not_vouched(&why))?,
        "secret": sent.secret.expose_secret(),
        "expires_in": seconds,
        "org": sent.org_name,
        "connection": option(&sent.connection),
    });
    Ok(view::secret_answer(StatusCode::CREATED, body, None))
}

/// Why nobody is sent, or comes back.
pub(crate) fn refused(why: Refused) -> Problem {
    match why {
        Refused::Connection => Problem::new(
            Code::NotFound,
            "there is no such connection; with several, say which",
        ),
        Refused::Unknown => Problem::new(
            Code::SsoSignInUnusable,
            "nobody was sent to the provider who comes back with that",
        ),
        Refused::Wait(wait) => links::wait(wait),
    }
}

/// Why the provider's word is not taken.
pub(crate) fn not_vouched(why: &heddle_oidc::Refused) -> Problem {
    use heddle_oidc::Refused;
    let detail = why.to_string();
    match why {
        Refused::Returned(_) => Problem::new(Code::SsoSignInUnusable, detail),
        Refused::Provider { error, description } => Problem::new(Code::ProviderRefused, detail)
            .with("provider_error", json!(error))
            .with("provider_error_description", json!(description)),
        Refused::Unreachable { .. } | Refused::Unfit { .. } => {
            Problem::new(Code::ProviderUnreachable, detail)
        }
        Refused::Token(_) => Problem::new(Code::IdentityInvalid, detail),
    }
}

pub(crate) async fn create(
    State(app): State<App>,
    Peer(ip): Peer,
    Headers(headers): Headers,
    query: Query,
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    query.finish()?;
    let wanted: CreateSsoSignIn = decode(&body)?;
    let from = Visitor {
        client: links::client(&headers),
        ip,
    };
    let which = (wanted.org.as_str(), wanted.connection.as_deref());
    let one = sso_sign_ins::send(&app.store, which, &from).await?;
    let asking = Asking {
        again: wanted.reauthenticate == Some(true),
        login_hint: wanted.login_hint.as_deref(),
    };
    sent(&app, &one.map_err(refused)?, asking).await
}

/// Whom the provider vouches for who sent somebody back with that.
pub(crate) async fn vouched(
    app: &App,
    taken: &Taken,
    wanted: CompleteSsoSignIn,
) -> Result<Identity, heddle_oidc::Refused> {
    if wanted.connection != taken.connection.name.as_str() {
        return Err(heddle_oidc::Refused::Returned(
            "the answer came to the address of another connection",
        ));
    }
    let secret = taken.client_secret.clone();
    let client = sso_connections::client(app, taken.org_name.as_str(), &taken.connection, secret);
    let client =
        client.map_err(|_| heddle_oidc::Refused::Returned("the connection is of no use"))?;
    let attempt = Attempt::of(&wanted.secret);
    let returned = Returned {
        code: wanted.code,
        state: wanted.state,
        issuer: wanted.iss,
        error: wanted.error,
        error_description: wanted.error_description,
    };
    app.providers.redeem(&client, &attempt, returned).await
}

/// The same, as the store takes it.
pub(crate) fn of(identity: &Identity) -> Vouched<'_> {
    Vouched {
        subject: &identity.subject,
        email: identity.email.as_deref(),
        name: identity.name.as_deref(),
        authenticated_at: identity.authenticated_at,
    }
}

/// Nobody is linked with whom the provider vouches for.
fn unlinked(identity: &Identity) -> Problem {
    let known_as = identity.email.as_deref().unwrap_or(&identity.subject);
    Problem::new(
        Code::IdentityUnknown,
        format!("the provider vouches for {known_as}, whom no member is linked with"),
    )
    .with("provider_email", json!(identity.email))
    .with("provider_subject", json!(identity.subject))
}

/// The account, or the member, is linked already.
pub(crate) fn linked() -> Problem {
    Problem::new(
        Code::IdentityTaken,
        "the account is linked with a member, or the member with another account there",
    )
}

pub(crate) async fn complete(
    State(app): State<App>,
    Peer(ip): Peer,
    Headers(headers): Headers,
    query: Query,
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    query.finish()?;
    let wanted: CompleteSsoSignIn = decode(&body)?;
    let from = Visitor {
        client: links::client(&headers),
        ip,
    };
    let (store, sealer) = (&app.store, app.sealer.as_ref());
    let came = (wanted.org.as_str(), &wanted.secret);
    let taken = sso_sign_ins::take(store, sealer, came, &from).await?;
    let taken = taken.map_err(refused)?;
    let invitation = wanted.invitation.clone();
    let identity = match vouched(&app, &taken, wanted).await {
        Ok(identity) => identity,
        Err(why) => {
            sso_sign_ins::refuse(store, &taken, &why.to_string(), &from).await?;
            return Err(not_vouched(&why));
        }
    };
    let who = (&of(&identity), invitation.as_ref());
    let entered = sso_sign_ins::enter(store, sealer, &taken, who, &from).await;
    let step = match entered.map_err(invitations::taken)? {
        Ok(step) => step,
        Err(why) => {
            let reason = format!("{why}: {}", identity.subject);
            sso_sign_ins::refuse(store, &taken, &reason, &from).await?;
            return Err(match why {
                NotLetIn::Unlinked => unlinked(&identity),
                NotLetIn::Invitation(why) => invitations::refused(why),
                NotLetIn::Linked => linked(),
            });
        }
    };
    match step {
        Step::In(signed) => Ok(sessions::signed_in(&signed, app.clock.now())),
        Step::SecondFactor(challenge) => Err(sessions::second_factor(&challenge, app.clock.now())),
    }
}

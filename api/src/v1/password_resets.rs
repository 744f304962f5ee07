//! Members who have forgotten their password: a link by mail, and another password by the link.

use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use heddle_model::email::Email;
use heddle_store::Visitor;
use heddle_store::password_resets::{self, Refused};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::links;
use crate::auth::Peer;
use crate::extract::{Headers, JsonBytes, Query, decode};
use crate::problem::Problem;
use crate::state::App;

/// Where members ask.
pub(crate) const COLLECTION: &str = "/v1/password-resets";
/// Where they set the password.
pub(crate) const COMPLETIONS: &str = "/v1/password-resets/completions";

/// No answer comes earlier: what was found out on the way shows in no time.
const EARLIEST: Duration = Duration::from_millis(250);

/// Who has forgotten the password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreatePasswordReset {
    /// The name of the organisation.
    #[schema(max_length = 63, example = "acme")]
    pub(crate) org: String,
    /// The member's e-mail address.
    pub(crate) email: Email,
}

/// The secret of the link, and the password that it is to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CompletePasswordReset {
    /// The name of the organisation, from the link.
    #[schema(max_length = 63, example = "acme")]
    pub(crate) org: String,
    /// The secret, from the link: what stands after the `#`.
    #[schema(value_type = String, max_length = 200, example = "heddle_rst_")]
    pub(crate) secret: SecretString,
    /// The password as it shall be: 12 to 128 characters.
    #[schema(value_type = String, min_length = 12, max_length = 128, format = "password", example = "staple battery horse correct")]
    pub(crate) new_password: SecretString,
}

/// An example of the body.
pub(crate) fn sample() -> Value {
    json!({"org": "acme", "email": "ada@example.com"})
}

/// An example of the body.
pub(crate) fn completion_sample() -> Value {
    json!({"org": "acme", "secret": "heddle_rst_", "new_password": "staple battery horse correct"})
}

pub(crate) async fn create(
    State(app): State<App>,
    Peer(ip): Peer,
    Headers(headers): Headers,
    query: Query,
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    query.finish()?;
    let wanted: CreatePasswordReset = decode(&body)?;
    let from = Visitor {
        client: links::client(&headers),
        ip,
    };
    let who = (wanted.org.as_str(), &wanted.email);
    let asked = password_resets::ask(&app.store, who, &from);
    let (asked, ()) = tokio::join!(asked, tokio::time::sleep(EARLIEST));
    asked?.map_err(links::wait)?;
    Ok(StatusCode::ACCEPTED.into_response())
}

pub(crate) async fn complete(
    State(app): State<App>,
    Peer(ip): Peer,
    Headers(headers): Headers,
    query: Query,
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    query.finish()?;
    let wanted: CompletePasswordReset = decode(&body)?;
    let from = Visitor {
        client: links::client(&headers),
        ip,
    };
    let link = (wanted.org.as_str(), &wanted.secret);
    let done = password_resets::complete(&app.store, link, wanted.new_password, &from).await?;
    done.map_err(|why| match why {
        Refused::Link(_) => links::unusable(),
        Refused::Wait(wait) => links::wait(wait),
    })?;
    Ok((
        StatusCode::NO_CONTENT,
        [(header::CACHE_CONTROL, "no-store")],
    )
        .into_response())
}

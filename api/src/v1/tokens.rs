//! API tokens: what people and programs call with.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, TimeDelta, Utc};
use heddle_model::authz::permission::{AccountManage, AccountRead};
use heddle_model::authz::{Action, UnknownPermission};
use heddle_model::code::Code;
use heddle_model::duration::HumanDuration;
use heddle_model::id::MeshId;
use heddle_model::name::Name;
use heddle_model::violation::{Pointer, Violations};
use heddle_store::tokens::{self, NewToken, Owner, TokenRow};
use heddle_store::{Principal, Tx, members, meshes, service_accounts};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::role_bindings::{principal, violation};
use super::whoami::principal_json;
use crate::auth::Allow;
use crate::extract::{Headers, JsonBytes, Page, Query, Segments, decode};
use crate::intent::Intent;
use crate::problem::Problem;
use crate::state::App;
use crate::view;

/// The path of the collection.
pub(crate) const COLLECTION: &str = "/v1/orgs/{org}/tokens";
/// The path of one.
pub(crate) const ITEM: &str = "/v1/orgs/{org}/tokens/{api_token}";
/// The path of new secrets of one.
pub(crate) const ROTATIONS: &str = "/v1/orgs/{org}/tokens/{api_token}/rotations";

const DAY: Duration = Duration::from_secs(24 * 3600);
const DEFAULT: Duration = Duration::from_secs(90 * 24 * 3600);
const SHORTEST: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);
const LONGEST_OVERLAP: Duration = Duration::from_secs(7 * 24 * 3600);

/// A new API token: the caller's own, or a service account's.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateApiToken {
    /// Unique among the organisation's tokens that are not revoked.
    pub(crate) name: Name,
    /// The service account that it is for, by name or identifier (takes `tokens:write`); absent: it is the caller's own.
    #[schema(max_length = 254)]
    pub(crate) service_account: Option<String>,
    /// The permissions that it is narrowed to (`config:write`); absent: all that its owner has.
    #[schema(min_items = 1, max_items = 64)]
    pub(crate) scopes: Option<Vec<String>>,
    /// The meshes that it is narrowed to, by name or identifier; absent: all that its owner reaches.
    #[schema(min_items = 1, max_items = 64)]
    pub(crate) meshes: Option<Vec<String>>,
    /// When it stops working, from now: 1 minute to 366 days (8784h). When absent, 90 days.
    pub(crate) expires_in: Option<HumanDuration>,
    /// That it works until it is revoked; for service accounts only.
    pub(crate) never_expires: Option<bool>,
}

/// A new secret for a token.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RotateApiToken {
    /// For how long the old secret works on: at most 7 days (168h); 24h when absent, `0s` for not at all.
    pub(crate) overlap: Option<HumanDuration>,
    /// When the token stops working, from now: 1 minute to 366 days (8784h). When absent, 90 days, or never if that is how
    /// it was made.
    pub(crate) expires_in: Option<HumanDuration>,
}

/// An example of the body.
pub(crate) fn sample() -> Value {
    json!({"name": "deploy-2027", "service_account": "deployer", "scopes": ["meshes:read", "config:read", "config:write"], "expires_in": "720h"})
}

/// An example of the body.
pub(crate) fn rotation_sample() -> Value {
    json!({"overlap": "1h"})
}

fn render(row: &TokenRow, now: DateTime<Utc>) -> Value {
    let (role, owner) = match row.owner {
        Owner::Role(role) => (Some(role), None),
        Owner::Principal(id) => (None, Some(principal_json(id, row.owner_name.as_deref()))),
    };
    let state = if row.revoked_at.is_some() {
        "revoked"
    } else if row.expires_at.is_some_and(|at| at <= now) {
        "expired"
    } else {
        "active"
    };
    let meshes = row.meshes.as_ref();
    json!({
        "name": row.name,
        "owner": owner,
        "role": role,
        "scopes": row.scopes,
        "meshes": meshes.map(|ids| ids.iter().map(ToString::to_string).collect::<Vec<_>>()),
        "expires_at": row.expires_at.map(view::time),
        "state": state,
        "meta": {
            "uid": row.id.to_string(),
            "kind": "token",
            "created_at": view::time(row.created_at),
            "created_by": row.created_by,
            "last_used_at": row.last_used_at.map(view::time),
            "rotated_at": row.rotated_at.map(view::time),
            "previous_secret_until": row.previous_until.filter(|at| *at > now).map(view::time),
            "revoked_at": row.revoked_at.map(view::time),
        },
    })
}

/// When a token ends. `None`: never.
fn end(
    now: DateTime<Utc>,
    expires_in: Option<&HumanDuration>,
    never: bool,
) -> Result<Option<DateTime<Utc>>, Problem> {
    let lifetime = match (expires_in, never) {
        (None, true) => return Ok(None),
        (Some(_), true) => {
            let detail = "either `expires_in` or `never_expires`";
            return Err(violation("/never_expires", Code::ExactlyOne, detail));
        }
        (Some(text), false) => text.get(),
        (None, false) => DEFAULT,
    };
    if lifetime < SHORTEST || lifetime > LONGEST {
        let detail = "between 1m and 8784h (366 days)";
        return Err(violation("/expires_in", Code::OutOfRange, detail));
    }
    Ok(Some(
        now + TimeDelta::from_std(lifetime).unwrap_or(TimeDelta::zero()),
    ))
}

/// Scopes and meshes that a body names: everything that is wrong with them at once.
async fn narrowed(
    tx: &mut Tx<AccountManage>,
    wanted: &CreateApiToken,
) -> Result<(Option<BTreeSet<Action>>, Option<BTreeSet<MeshId>>), Problem> {
    let mut violations = Violations::new();
    let (root, mut scopes, mut ids) = (Pointer::Root, None, None);
    if let Some(names) = &wanted.scopes {
        let at = root.field("scopes");
        let set = scopes.insert(BTreeSet::new());
        for (i, name) in names.iter().enumerate() {
            match name.parse::<Action>() {
                Ok(action) if set.insert(action) => {}
                Ok(_) => violations.add(&at.index(i), Code::Duplicate, "named twice"),
                Err(UnknownPermission) => violations.add_with_hint(
                    &at.index(i),
                    Code::NotOneOf,
                    "there is no such permission",
                    "`GET /v1/whoami` lists yours",
                ),
            }
        }
    }
    if let Some(names) = &wanted.meshes {
        let at = root.field("meshes");
        let set = ids.insert(BTreeSet::new());
        for (i, name) in names.iter().enumerate() {
            match meshes::find(tx, name).await? {
                Some(row) if set.insert(row.id) => {}
                Some(_) => violations.add(&at.index(i), Code::Duplicate, "named twice"),
                None => {
                    violations.add(
                        &at.index(i),
                        Code::UnknownReference,
                        "there is no such mesh",
                    );
                }
            }
        }
    }
    violations.into_result().map_err(Problem::invalid)?;
    Ok((scopes, ids))
}

pub(crate) async fn create(
    Allow(grant): Allow<AccountManage>,
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    (mut query, Headers(headers)): (Query, Headers),
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    let intent = Intent::take(&mut query)?.once(&headers, &uri, &body)?;
    query.finish()?;
    let wanted: CreateApiToken = decode(&body)?;
    let never = wanted.never_expires.unwrap_or(false);
    let now = app.clock.now();
    let expires_at = end(now, wanted.expires_in.as_ref(), never)?;
    if never && wanted.service_account.is_none() {
        let detail = "only a service account's token never expires";
        return Err(violation("/never_expires", Code::NotOneOf, detail));
    }
    let mut tx = app.store.begin(&grant).await?;
    if let Some(answer) = intent.replay(&mut tx).await? {
        return Ok(answer);
    }
    let account = wanted.service_account.as_deref();
    if account.is_some() {
        // Who may not know of service accounts does not learn which there are.
        tokens::require_others(&tx)?;
    }
    let account = principal(&mut tx, None, account).await?;
    let (scopes, meshes) = narrowed(&mut tx, &wanted).await?;
    let new = NewToken {
        name: wanted.name,
        scopes,
        meshes,
        expires_at,
    };
    let created = tokens::create(&mut tx, account.as_ref(), &new).await?;
    let mut answer = render(&created.row, now);
    if !intent.dry_run {
        answer["secret"] = json!(created.secret.expose_secret());
    }
    let location = format!("{}/{}", uri.path(), created.row.name);
    intent
        .finish(
            tx,
            view::secret_answer(StatusCode::CREATED, answer, Some(&location)),
        )
        .await
}

pub(crate) async fn list(
    Allow(grant): Allow<AccountRead>,
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    mut query: Query,
) -> Result<Response, Problem> {
    let page = Page::take(&mut query)?;
    let (member, account) = (query.take("member"), query.take("service_account"));
    query.finish()?;
    let mut tx = app.store.begin(&grant).await?;
    let owner = owner(&mut tx, member.as_deref(), account.as_deref()).await?;
    let rows = tokens::page(&mut tx, owner, page.after.as_deref(), page.limit + 1).await?;
    let now = app.clock.now();
    Ok(view::list(
        rows,
        &page,
        &uri.to_string(),
        |row| row.name.to_string(),
        |row| render(row, now),
    ))
}

/// Whose tokens are listed. Somebody who does not exist has none, and neither has who may not be known.
async fn owner(
    tx: &mut Tx<AccountRead>,
    member: Option<&str>,
    account: Option<&str>,
) -> Result<Option<Principal>, Problem> {
    let found = match (member, account) {
        (None, None) => return Ok(None),
        (Some(member), None) => members::find(tx, member).await?,
        (None, Some(account)) => service_accounts::find(tx, account).await?,
        (Some(_), Some(_)) => {
            return Err(Problem::unfit(
                "member",
                "either `member` or `service_account`",
            ));
        }
    };
    let nobody = Principal::Member(heddle_model::id::MemberId::from_uuid(uuid::Uuid::nil()));
    Ok(Some(found.map_or(nobody, |row| row.id)))
}

pub(crate) async fn get(
    Allow(grant): Allow<AccountRead>,
    State(app): State<App>,
    Segments((_, token)): Segments<(String, String)>,
    query: Query,
) -> Result<Json<Value>, Problem> {
    query.finish()?;
    let mut tx = app.store.begin(&grant).await?;
    let row = tokens::find(&mut tx, &token).await?;
    let row = row.ok_or_else(Problem::not_found)?;
    Ok(Json(render(&row, app.clock.now())))
}

pub(crate) async fn delete(
    Allow(grant): Allow<AccountManage>,
    State(app): State<App>,
    Segments((_, token)): Segments<(String, String)>,
    mut query: Query,
) -> Result<Response, Problem> {
    let intent = Intent::take(&mut query)?;
    query.finish()?;
    let mut tx = app.store.begin(&grant).await?;
    tokens::revoke(&mut tx, &token).await?;
    intent
        .finish(tx, StatusCode::NO_CONTENT.into_response())
        .await
}

pub(crate) async fn rotate(
    Allow(grant): Allow<AccountManage>,
    State(app): State<App>,
    Segments((_, token)): Segments<(String, String)>,
    (mut query, Headers(headers), OriginalUri(uri)): (Query, Headers, OriginalUri),
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    let intent = Intent::take(&mut query)?.once(&headers, &uri, &body)?;
    query.finish()?;
    let wanted: RotateApiToken = decode(&body)?;
    let overlap = wanted.overlap.as_ref().map_or(DAY, HumanDuration::get);
    if overlap > LONGEST_OVERLAP {
        let detail = "at most 168h (7 days)";
        return Err(violation("/overlap", Code::OutOfRange, detail));
    }
    let now = app.clock.now();
    let expires_at = end(now, wanted.expires_in.as_ref(), false)?;
    let keep_endless = wanted.expires_in.is_none();
    let until = now + TimeDelta::from_std(overlap).unwrap_or(TimeDelta::zero());
    let mut tx = app.store.begin(&grant).await?;
    if let Some(answer) = intent.replay(&mut tx).await? {
        return Ok(answer);
    }
    let created = tokens::rotate(&mut tx, &token, expires_at, keep_endless, until).await?;
    let mut answer = render(&created.row, now);
    if !intent.dry_run {
        answer["secret"] = json!(created.secret.expose_secret());
    }
    intent
        .finish(tx, view::secret_answer(StatusCode::CREATED, answer, None))
        .await
}

//! Role bindings: who has which role, in the organisation or at one mesh.

use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use heddle_model::authz::permission::{RoleBindingRead, RoleBindingWrite};
use heddle_model::authz::{Permission, Role};
use heddle_model::code::Code;
use heddle_model::id::RoleBindingId;
use heddle_model::kind::Kind;
use heddle_model::name::Name;
use heddle_model::violation::{Violation, Violations};
use heddle_store::role_bindings::{self, BindingRow};
use heddle_store::{Bound, Error, PrincipalRow, Tx, members, meshes, resources, service_accounts};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::whoami::principal_json;
use crate::auth::Allow;
use crate::extract::{Headers, JsonBytes, Page, Query, Segments, decode};
use crate::intent::Intent;
use crate::problem::Problem;
use crate::state::App;
use crate::view;

/// The path of the collection.
pub(crate) const COLLECTION: &str = "/v1/orgs/{org}/role-bindings";
/// The path of one.
pub(crate) const ITEM: &str = "/v1/orgs/{org}/role-bindings/{role_binding}";

/// A role to be given. Exactly one of `member` and `service_account`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateRoleBinding {
    /// The role. Nobody gives one that permits more than they may do themselves.
    pub(crate) role: Role,
    /// A member: the e-mail address or the identifier.
    #[schema(max_length = 254)]
    pub(crate) member: Option<String>,
    /// A service account: its name or its identifier.
    #[schema(max_length = 254)]
    pub(crate) service_account: Option<String>,
    /// The mesh that the role is bound to, by name or identifier; absent: the whole organisation. `owner` is for the whole
    /// organisation only.
    #[schema(max_length = 254)]
    pub(crate) mesh: Option<String>,
    /// The only service of the mesh that the role is for; absent: all of them. For `issuer` at a mesh.
    pub(crate) service: Option<Name>,
}

/// An example of the body.
pub(crate) fn sample() -> Value {
    json!({"role": "viewer", "service_account": "deployer"})
}

fn render(row: &BindingRow) -> Value {
    json!({
        "role": row.role,
        "principal": principal_json(row.principal, Some(&row.principal_name)),
        "mesh": row.mesh.as_ref().map(|(id, name)| json!({"name": name, "uid": id.to_string()})),
        "service": row.service,
        "meta": {
            "uid": row.id.to_string(),
            "kind": "role_binding",
            "created_at": view::time(row.created_at),
            "created_by": row.created_by,
        },
    })
}

/// One broken rule.
pub(crate) fn violation(pointer: &str, code: Code, detail: impl Into<String>) -> Problem {
    Violation {
        pointer: pointer.to_owned(),
        code,
        detail: detail.into(),
        hint: None,
    }
    .into()
}

/// The member or service account that a body names.
pub(crate) async fn principal<P: Permission>(
    tx: &mut Tx<P>,
    member: Option<&str>,
    account: Option<&str>,
) -> Result<Option<PrincipalRow>, Problem> {
    let (pointer, found) = match (member, account) {
        (None, None) => return Ok(None),
        (Some(member), None) => ("/member", members::find(tx, member).await?),
        (None, Some(account)) => (
            "/service_account",
            service_accounts::find(tx, account).await?,
        ),
        (Some(_), Some(_)) => {
            return Err(violation(
                "",
                Code::ExactlyOne,
                "of `member` and `service_account` exactly one",
            ));
        }
    };
    let missing = || {
        violation(
            pointer,
            Code::UnknownReference,
            "there is nobody of that name",
        )
    };
    found.ok_or_else(missing).map(Some)
}

pub(crate) async fn list(
    Allow(grant): Allow<RoleBindingRead>,
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    mut query: Query,
) -> Result<Response, Problem> {
    let page = Page::take(&mut query)?;
    let (member, account) = (query.take("member"), query.take("service_account"));
    let mesh = query.take("mesh");
    query.finish()?;
    let after = page.parse_after(|text| text.parse::<RoleBindingId>().ok())?;
    let unknown = |name: &str| Problem::unfit(name, format!("`{name}`: there is no such one"));
    let mut tx = app.store.begin(&grant).await?;
    let whose = match (&member, &account) {
        (Some(_), Some(_)) => {
            return Err(Problem::unfit(
                "member",
                "either `member` or `service_account`",
            ));
        }
        (Some(m), None) => {
            let row = members::find(&mut tx, m).await?;
            Some(row.ok_or_else(|| unknown("member"))?.id)
        }
        (None, Some(a)) => {
            let row = service_accounts::find(&mut tx, a).await?;
            Some(row.ok_or_else(|| unknown("service_account"))?.id)
        }
        (None, None) => None,
    };
    let mesh = match mesh {
        None => None,
        Some(name) => {
            let row = meshes::find(&mut tx, &name).await?;
            Some(row.ok_or_else(|| unknown("mesh"))?.id)
        }
    };
    let rows = role_bindings::page(&mut tx, whose, mesh, after, page.limit + 1).await?;
    Ok(view::list(
        rows,
        &page,
        &uri.to_string(),
        |row| row.id.to_string(),
        render,
    ))
}

pub(crate) async fn create(
    Allow(grant): Allow<RoleBindingWrite>,
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    (mut query, Headers(headers)): (Query, Headers),
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    let intent = Intent::take(&mut query)?.once(&headers, &uri, &body)?;
    query.finish()?;
    let wanted: CreateRoleBinding = decode(&body)?;
    check(&wanted).map_err(Problem::invalid)?;
    let mut tx = app.store.begin(&grant).await?;
    if let Some(answer) = intent.replay(&mut tx).await? {
        return Ok(answer);
    }
    let mesh = match &wanted.mesh {
        None => None,
        Some(mesh) => {
            let row = meshes::find(&mut tx, mesh).await?;
            let row = row.ok_or_else(|| {
                violation("/mesh", Code::UnknownReference, "there is no such mesh")
            })?;
            Some(row.id)
        }
    };
    if let (Some(mesh), Some(service)) = (mesh, &wanted.service) {
        let found = resources::find(&mut tx, mesh, Kind::Service, None, service.as_str()).await?;
        found.ok_or_else(|| {
            violation(
                "/service",
                Code::UnknownReference,
                "the mesh has no such service",
            )
        })?;
    }
    let whose = principal(
        &mut tx,
        wanted.member.as_deref(),
        wanted.service_account.as_deref(),
    );
    let whose = whose.await?.ok_or_else(Problem::not_found)?;
    let bound = Bound {
        role: wanted.role,
        mesh,
    };
    let made = role_bindings::create(&mut tx, &whose, bound, wanted.service.as_ref()).await;
    let row = made.map_err(|error| match error {
        Error::AlreadyExists { .. } => {
            Problem::new(Code::AlreadyExists, "it has this role there already")
        }
        other => other.into(),
    })?;
    let location = format!("{}/{}", uri.path(), row.id);
    let headers = [(http::header::LOCATION, location)];
    let answer = (StatusCode::CREATED, headers, Json(render(&row))).into_response();
    intent.finish(tx, answer).await
}

fn check(wanted: &CreateRoleBinding) -> Result<(), Violations> {
    let mut violations = Violations::new();
    let mut broken = |pointer: &str, code, detail: &str| {
        violations.push(Violation {
            pointer: pointer.to_owned(),
            code,
            detail: detail.to_owned(),
            hint: None,
        });
    };
    if wanted.member.is_some() == wanted.service_account.is_some() {
        let detail = "of `member` and `service_account` exactly one";
        broken("", Code::ExactlyOne, detail);
    }
    if wanted.role == Role::Owner && wanted.mesh.is_some() {
        let detail = "an organisation has owners, a mesh has not; its strongest role is admin";
        broken("/role", Code::NotOneOf, detail);
    }
    if wanted.service.is_some() && wanted.role != Role::Issuer {
        let detail = "of the roles only `issuer` can be for one service";
        broken("/service", Code::Mismatch, detail);
    }
    if wanted.service.is_some() && wanted.mesh.is_none() {
        let detail = "the mesh that the service is in is missing";
        broken("/mesh", Code::MissingField, detail);
    }
    violations.into_result()
}

pub(crate) async fn get(
    Allow(grant): Allow<RoleBindingRead>,
    State(app): State<App>,
    Segments((_, binding)): Segments<(String, String)>,
    query: Query,
) -> Result<Json<Value>, Problem> {
    query.finish()?;
    let mut tx = app.store.begin(&grant).await?;
    let row = role_bindings::find(&mut tx, &binding).await?;
    Ok(Json(render(&row.ok_or_else(Problem::not_found)?)))
}

pub(crate) async fn delete(
    Allow(grant): Allow<RoleBindingWrite>,
    State(app): State<App>,
    Segments((_, binding)): Segments<(String, String)>,
    mut query: Query,
) -> Result<Response, Problem> {
    let intent = Intent::take(&mut query)?;
    query.finish()?;
    let mut tx = app.store.begin(&grant).await?;
    let row = role_bindings::find(&mut tx, &binding).await?;
    role_bindings::delete(&mut tx, &row.ok_or_else(Problem::not_found)?).await?;
    intent
        .finish(tx, StatusCode::NO_CONTENT.into_response())
        .await
}

//! What proxies have told of the requests that they take: who calls in plain text, and whom a rule that only reports would refuse.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, TimeDelta, Utc};
use heddle_model::authz::permission::{ConfigRead, ProxyRead};
use heddle_model::id::AccessRuleId;
use heddle_model::kind::access_rule::Effect;
use heddle_model::kind::{AccessRule, Kind, Mesh, Service};
use heddle_model::name::Name;
use heddle_model::wire;
use heddle_store::meshes::MeshRow;
use heddle_store::observations::{self, Seen, What};
use heddle_store::resources::{self, Stored};
use heddle_store::{Tx, meshes};
use serde_json::{Value, json};

use crate::auth::{Allow, Maybe};
use crate::extract::{Query, Segments};
use crate::problem::Problem;
use crate::readiness::{self, Readiness, State as Ready, Watched};
use crate::state::App;
use crate::v1::audit_log::time;
use crate::view;

/// The path of the readiness of a service.
pub(crate) const OF_SERVICE: &str =
    "/v1/orgs/{org}/meshes/{mesh}/services/{service}/mtls/readiness";
/// The path of that of a mesh.
pub(crate) const OF_MESH: &str = "/v1/orgs/{org}/meshes/{mesh}/mtls/readiness";
/// The path of what rules would refuse.
pub(crate) const WOULD_DENY: &str =
    "/v1/orgs/{org}/meshes/{mesh}/services/{service}/access/would-deny";

/// How far back is looked when nobody says.
const USUAL: TimeDelta = TimeDelta::days(7);

/// The moment from which on callers count: no earlier than anything is remembered.
fn since(query: &mut Query, now: DateTime<Utc>) -> Result<DateTime<Utc>, Problem> {
    let wanted = time(query, "since")?.unwrap_or(now - USUAL);
    Ok(wanted.max(now - observations::REMEMBER))
}

fn mesh_of(row: &MeshRow) -> Mesh {
    wire::read_object(&row.spec.sent).unwrap_or_default()
}

async fn service(
    tx: &mut Tx<ProxyRead>,
    mesh: &MeshRow,
    name: &str,
) -> Result<(Stored, Service), Problem> {
    let found = resources::find(tx, mesh.id, Kind::Service, None, name).await?;
    let stored = found.ok_or_else(Problem::not_found)?;
    let spec = wire::read_object::<Service>(&stored.sent);
    let spec = spec.ok_or_else(|| Problem::internal(&"a stored service does not decode"))?;
    Ok((stored, spec))
}

pub(crate) async fn of_service(
    Allow(grant): Allow<ProxyRead>,
    Maybe(config): Maybe<ConfigRead>,
    State(app): State<App>,
    Segments((_, mesh, name)): Segments<(String, String, String)>,
    mut query: Query,
) -> Result<Json<Value>, Problem> {
    let since = since(&mut query, app.clock.now())?;
    query.finish()?;
    // What a port takes is configuration.
    let mut tx = app.store.begin(&config?).await?;
    meshes::require(&mut tx, &mesh).await?;
    drop(tx);
    let mut tx = app.store.begin(&grant).await?;
    let mesh = meshes::require(&mut tx, &mesh).await?;
    let (stored, spec) = service(&mut tx, &mesh, &name).await?;
    let name = &stored.name;
    let seen = observations::seen(&mut tx, mesh.id, Some(name), since).await?;
    let proxies = observations::observers(&mut tx, mesh.id, Some(name)).await?;
    let gone = observations::gone(&mut tx, mesh.id, Some(name), since).await?;
    // What was not there yet was not called.
    let since = since.max(stored.created_at);
    let watched = Watched::new(proxies.iter(), gone.iter(), since, tx.now());
    let seen: Vec<&Seen> = seen.iter().collect();
    let found = readiness::of(&mesh_of(&mesh), (name, &spec), &seen, &watched);
    Ok(Json(found.body))
}

pub(crate) async fn of_mesh(
    Allow(grant): Allow<ProxyRead>,
    Maybe(config): Maybe<ConfigRead>,
    State(app): State<App>,
    Segments((_, mesh)): Segments<(String, String)>,
    mut query: Query,
) -> Result<Json<Value>, Problem> {
    let since = since(&mut query, app.clock.now())?;
    query.finish()?;
    let mut tx = app.store.begin(&config?).await?;
    meshes::require(&mut tx, &mesh).await?;
    drop(tx);
    let mut tx = app.store.begin(&grant).await?;
    let mesh = meshes::require(&mut tx, &mesh).await?;
    let services = resources::all(&mut tx, mesh.id, Kind::Service, None).await?;
    let seen = observations::seen(&mut tx, mesh.id, None, since).await?;
    let proxies = observations::observers(&mut tx, mesh.id, None).await?;
    let gone = observations::gone(&mut tx, mesh.id, None, since).await?;
    let (of, now) = (mesh_of(&mesh), tx.now());
    let judged = services.iter().filter_map(|stored| {
        let spec = wire::read_object::<Service>(&stored.sent)?;
        let name = &stored.name;
        let own = proxies.iter().filter(|proxy| proxy.service == *name);
        let seen: Vec<&Seen> = seen.iter().filter(|one| one.service == *name).collect();
        let gone = gone.iter().filter(|one| one.service == *name);
        let watched = Watched::new(own, gone, since.max(stored.created_at), now);
        Some(readiness::of(&of, (name, &spec), &seen, &watched))
    });
    let (strict, open): (Vec<Readiness>, Vec<Readiness>) =
        judged.partition(|one| one.state == Ready::Strict);
    let worst = open.iter().map(|one| one.state).max();
    let services: Vec<Value> = open.into_iter().map(|one| one.body).collect();
    Ok(Json(json!({
        "state": worst.unwrap_or(Ready::Strict).as_str(),
        "since": view::time(since),
        "strict": strict.len(),
        "services": services,
    })))
}

pub(crate) async fn would_deny(
    Allow(grant): Allow<ProxyRead>,
    Maybe(config): Maybe<ConfigRead>,
    State(app): State<App>,
    Segments((_, mesh, name)): Segments<(String, String, String)>,
    mut query: Query,
) -> Result<Json<Value>, Problem> {
    let since = since(&mut query, app.clock.now())?;
    query.finish()?;
    let mut tx = app.store.begin(&config?).await?;
    meshes::require(&mut tx, &mesh).await?;
    drop(tx);
    let mut tx = app.store.begin(&grant).await?;
    let mesh = meshes::require(&mut tx, &mesh).await?;
    let (stored, _) = service(&mut tx, &mesh, &name).await?;
    let rules = resources::all(&mut tx, mesh.id, Kind::AccessRule, Some(stored.id)).await?;
    let name = &stored.name;
    let seen = observations::seen(&mut tx, mesh.id, Some(name), since).await?;
    let proxies = observations::observers(&mut tx, mesh.id, Some(name)).await?;
    let gone = observations::gone(&mut tx, mesh.id, Some(name), since).await?;
    let watched = Watched::new(
        proxies.iter(),
        gone.iter(),
        since.max(stored.created_at),
        tx.now(),
    );
    let prefix = format!("spiffe://{}/service/", mesh.trust_domain);
    let rules = rules.iter().filter_map(|rule| {
        let spec = wire::read_object::<AccessRule>(&rule.sent)?;
        let reports = spec.action == Effect::Deny && spec.is_report_only();
        reports.then(|| of_rule(rule, &seen, &prefix))
    });
    let rules: Vec<Value> = rules.collect();
    let doubt = watched.doubt().filter(|_| !rules.is_empty());
    Ok(Json(json!({
        "service": name,
        "since": view::time(since),
        "rules": rules,
        "doubt": doubt,
        "proxies": watched.render(),
    })))
}

/// What a rule would have refused.
fn of_rule(rule: &Stored, seen: &[Seen], prefix: &str) -> Value {
    let id = AccessRuleId::from_uuid(rule.id);
    let of_rule = seen.iter().filter(|one| one.what == What::Rule(id));
    let callers: Vec<Value> = of_rule
        .clone()
        .map(|one| {
            let spiffe = one.caller.as_deref().filter(|who| who.contains("://"));
            let service: Option<Name> = spiffe.and_then(|id| id.strip_prefix(prefix)?.parse().ok());
            json!({
                "spiffe": spiffe,
                "service": service,
                "address": one.caller.as_deref().filter(|_| spiffe.is_none()),
                "probably": one.probably,
                "port": one.port,
                "requests": one.requests.max(1),
                "refused": one.refused,
                "first_seen": view::time(one.first_seen),
                "last_seen": view::time(one.last_seen),
            })
        })
        .collect();
    json!({
        "rule": rule.name,
        "uid": id.to_string(),
        "requests": of_rule.map(|one| one.requests.max(1)).sum::<u64>(),
        "callers": callers,
    })
}

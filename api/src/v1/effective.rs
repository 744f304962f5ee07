//! Every setting of a service or a route: the value in force, and who set it. Resolved as translation resolves it.

use axum::Json;
use axum::extract::{OriginalUri, State};
use heddle_model::authz::permission::ConfigRead;
use heddle_model::kind::{Kind, Mesh, Profile, Route, Service, Spec};
use heddle_model::mtls;
use heddle_model::name::Name;
use heddle_model::settings::{Level, Levels, Settings};
use heddle_model::wire;
use heddle_store::meshes;
use heddle_store::resources::{self, Stored};
use serde_json::{Value, json};

use crate::auth::Allow;
use crate::extract::{Query, Segments};
use crate::problem::Problem;
use crate::state::App;

/// The path of a service's settings.
pub(crate) const SERVICE: &str = "/v1/orgs/{org}/meshes/{mesh}/services/{service}/effective";
/// The path of a route's settings.
pub(crate) const ROUTE: &str =
    "/v1/orgs/{org}/meshes/{mesh}/services/{service}/routes/{route}/effective";

/// For a service, the settings of a call that no route of it takes; for a route, of one that it takes. With a caller,
/// those of the calls of that service, which may have made an exception for itself.
pub(crate) async fn get(
    Allow(grant): Allow<ConfigRead>,
    State(app): State<App>,
    Segments(path): Segments<Vec<String>>,
    OriginalUri(uri): OriginalUri,
    mut query: Query,
) -> Result<Json<Value>, Problem> {
    let caller = query.parse::<Name>("caller")?;
    query.finish()?;
    let segment = |at: usize| path.get(at).map(String::as_str);
    let mut tx = app.store.begin(&grant).await?;
    let mesh = meshes::require(&mut tx, segment(1).unwrap_or_default()).await?;
    let name = segment(2).unwrap_or_default();
    let service = resources::find(&mut tx, mesh.id, Kind::Service, None, name)
        .await?
        .ok_or_else(Problem::not_found)?;
    let route = match segment(3) {
        None => None,
        Some(name) => {
            let parent = Some(service.id);
            let found = resources::find(&mut tx, mesh.id, Kind::Route, parent, name).await?;
            Some(found.ok_or_else(Problem::not_found)?)
        }
    };
    let of_service = spec::<Service>(&service)?;
    // One that was deleted counts for nothing, as in translation.
    let profile = match &of_service.profile {
        None => None,
        Some(name) => resources::find(&mut tx, mesh.id, Kind::Profile, None, name.as_str()).await?,
    };
    let caller = match &caller {
        None => None,
        Some(name) => {
            let found =
                resources::find(&mut tx, mesh.id, Kind::Service, None, name.as_str()).await?;
            Some(found.ok_or_else(|| {
                Problem::unfit("caller", format!("there is no service {name} in this mesh"))
            })?)
        }
    };
    drop(tx);
    let of_caller = caller.as_ref().map(spec::<Service>).transpose()?;
    let upstreams = of_caller.iter().flat_map(|caller| caller.upstreams.iter());
    let exception = upstreams
        .flatten()
        .find(|upstream| upstream.service == service.name)
        .and_then(|upstream| upstream.exception.as_ref());
    let of_whole = spec::<Mesh>(&mesh.spec)?;
    let of_mesh = of_whole.defaults.as_ref();
    let of_profile = profile.as_ref().map(spec::<Profile>).transpose()?;
    let of_route = route.as_ref().map(spec::<Route>).transpose()?;
    let of_route = of_route.and_then(|route| route.settings);
    let levels = Levels {
        mesh: of_mesh,
        profile: of_profile.as_ref().map(|profile| &profile.settings),
        service: of_service.defaults.as_ref(),
        route: of_route.as_ref(),
        upstream: exception,
        protocol: of_service.ports.first().map(|port| port.protocol),
    };
    let object = |level: Level| match level {
        Level::Mesh => Some(&mesh.spec),
        Level::Service => Some(&service),
        Level::Route => route.as_ref(),
        Level::Profile => profile.as_ref(),
        Level::Upstream => caller.as_ref(),
        Level::BuiltIn => None,
    };
    let items: Vec<Value> = Settings::effective(&levels)
        .into_iter()
        .map(|one| {
            let mut from = json!({ "level": one.from });
            if let Some(stored) = object(one.from) {
                from["kind"] = json!(stored.kind);
                from["name"] = json!(stored.name);
                from["revision"] = json!(stored.revision);
            }
            json!({"field": one.field, "value": one.value, "from": from})
        })
        .collect();
    let mut answer = json!({"items": items, "self": uri.to_string()});
    let local = of_service.ports.iter().filter_map(|port| {
        let number = port.local_port(&service.name)?;
        Some(json!({"port": port.name, "local_port": number, "derived": port.local_port.is_none()}))
    });
    let local: Vec<Value> = local.collect();
    if !local.is_empty() {
        answer["local_ports"] = json!(local);
    }
    let modes = of_service.ports.iter().map(|port| {
        let found = mtls::in_force(&of_whole, &of_service, port);
        json!({"port": port.name, "mode": found.mode, "from": found.said})
    });
    answer["mtls"] = modes.collect();
    Ok(Json(answer))
}

fn spec<T: Spec>(stored: &Stored) -> Result<T, Problem> {
    wire::decode_object(&stored.sent)
        .map_err(|_| Problem::internal(&format!("object {} does not decode", stored.id)))
}

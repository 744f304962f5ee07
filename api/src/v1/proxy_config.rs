//! The effective configuration of a proxy: every Envoy resource that its server sends it, how far the proxy is with each, and the
//! object and field that it came from.
//!
//! It is worked out here, from the mesh as it is, as every server works it out: translation is pure, and a version is the hash of
//! what stands in a resource. So the answer does not depend on which server the proxy is connected to. How far the proxy is comes
//! from what that server wrote down: acknowledged revision, types under way, refusals. Nothing is known of a proxy that is not
//! connected but what it would get, and nothing of its listeners when it never said how it is set up; the answer says so.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use heddle_model::authz::permission::{ConfigRead, ProxyRead};
use heddle_model::name::Name;
use heddle_store::authorities::AuthorityRow;
use heddle_store::certificates::IssuedLeaf;
use heddle_store::proxies::ProxyRow;
use heddle_store::{MeshRef, authorities, certificates, meshes, proxies};
use heddle_translate::{
    ListenerPlaces, Options, Origin, Output, ProxyView, Resource, ResourceType, naming, readable,
    trust_secret, whole, whole_of_service,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::auth::{Allow, Maybe};
use crate::extract::{Page, Query, Segments};
use crate::problem::Problem;
use crate::state::App;
use crate::view;

/// The path.
pub(crate) const PATH: &str = "/v1/orgs/{org}/meshes/{mesh}/proxies/{proxy}/config";

/// The types, as a filter names them.
pub(crate) const TYPES: [&str; 5] = ["cluster", "endpoints", "listener", "route", "secret"];

/// What one says of the other.
const fn word(kind: ResourceType) -> &'static str {
    match kind {
        ResourceType::Cluster => TYPES[0],
        ResourceType::Endpoints => TYPES[1],
        ResourceType::Listener => TYPES[2],
        ResourceType::Route => TYPES[3],
        ResourceType::Secret => TYPES[4],
    }
}

/// How a proxy is set up, as its server wrote it down.
#[derive(Debug, Deserialize)]
struct Setup {
    bind_address: IpAddr,
    app_address: IpAddr,
    outbound_port: u16,
    inbound_ports: BTreeMap<Name, u16>,
}

/// One line of the answer before it is written.
struct Line {
    kind: ResourceType,
    name: String,
    version: String,
    origins: Vec<Origin>,
    body: Body,
}

enum Body {
    Resource(Box<Resource>),
    /// Public facts of certificates; never the certificates, and never a key.
    Certificates(Vec<Value>),
}

impl Line {
    fn of(resource: Resource) -> Self {
        Self {
            kind: resource.kind,
            name: resource.name.clone(),
            version: resource.version.clone(),
            origins: resource.origins.clone(),
            body: Body::Resource(Box::new(resource)),
        }
    }

    /// What a page continues after: types stand in the order in which they are sent.
    fn key(&self) -> String {
        format!("{}/{}", place(self.kind), self.name)
    }
}

fn place(kind: ResourceType) -> usize {
    TYPES
        .iter()
        .position(|one| *one == word(kind))
        .unwrap_or_default()
}

/// How far the proxy is.
struct Standing<'a> {
    row: &'a ProxyRow,
    mesh_revision: u64,
    /// The versions of the revision that it has acknowledged, where that is not the newest.
    before: BTreeMap<(ResourceType, String), String>,
}

impl Standing<'_> {
    fn nack(&self, line: &Line) -> Option<&Value> {
        let nacks = self.row.nacks.as_array()?;
        nacks
            .iter()
            .find(|nack| nack["type"] == line.kind.short_name() && nack["resource"] == *line.name)
    }

    /// A type with a refusal is not acknowledged as a whole; its server has singled out what is refused, and the rest is.
    fn is_pending(&self, kind: ResourceType) -> bool {
        let short = kind.short_name();
        let refuses = |nacks: &Vec<Value>| nacks.iter().any(|nack| nack["type"] == short);
        let pending = self.row.pending_types.iter().any(|one| one == short);
        pending && !self.row.nacks.as_array().is_some_and(refuses)
    }

    fn state(&self, line: &Line) -> &'static str {
        if !self.row.connected {
            return "computed";
        }
        if let Some(nack) = self.nack(line) {
            // A later version of the same is on its way.
            let same = nack["version"].as_str().is_none_or(|v| v == line.version);
            return if same { "rejected" } else { "sent" };
        }
        let Some(acked) = acked(self.row) else {
            return "sent";
        };
        let pending = self.is_pending(line.kind);
        if acked >= self.mesh_revision && !pending {
            return "acked";
        }
        let before = self.before.get(&(line.kind, line.name.clone()));
        let same = match line.kind {
            // Where workloads are is in no revision, and a leaf is of none.
            ResourceType::Endpoints => before.is_some() && !pending,
            ResourceType::Secret => !pending,
            ResourceType::Cluster | ResourceType::Listener | ResourceType::Route => {
                before == Some(&line.version)
            }
        };
        if same { "acked" } else { "sent" }
    }

    fn render(&self, line: &Line) -> Value {
        let mut item = json!({
            "type": word(line.kind),
            "name": line.name,
            "version": line.version,
            "state": self.state(line),
            "origins": line.origins.iter().map(origin).collect::<Vec<_>>(),
        });
        if let Some(nack) = self.nack(line) {
            item["nack"] = nack.clone();
        }
        match &line.body {
            Body::Resource(resource) => item["config"] = readable(resource),
            Body::Certificates(all) => item["certificates"] = json!(all),
        }
        item
    }
}

fn origin(of: &Origin) -> Value {
    json!({
        "kind": of.kind,
        "uid": of.id,
        "name": of.name,
        "pointer": of.pointer,
        "revision": of.revision,
        "within": of.within,
    })
}

/// The secrets that a proxy is given, by what is public of them.
fn secrets(leaf: Option<IssuedLeaf>, roots: &[AuthorityRow]) -> Vec<Line> {
    let line = |name: &str, version: String, certificates| Line {
        kind: ResourceType::Secret,
        name: name.to_owned(),
        version,
        origins: Vec::new(),
        body: Body::Certificates(certificates),
    };
    let mut lines = Vec::new();
    if let Some(leaf) = leaf {
        let facts = json!({
            "use": "identity",
            "spiffe_id": leaf.spiffe_id,
            "serial": leaf.serial,
            "not_before": view::time(leaf.not_before),
            "not_after": view::time(leaf.not_after),
        });
        lines.push(line(naming::IDENTITY, leaf.serial, vec![facts]));
    }
    // In the order in which they are given out, so that this is the version that proxies acknowledge.
    let mut roots: Vec<&AuthorityRow> = authorities::trusted(roots).collect();
    roots.sort_unstable_by_key(|row| row.id);
    if !roots.is_empty() {
        let bundle: String = roots
            .iter()
            .map(|row| row.certificate_pem.as_str())
            .collect();
        let version = trust_secret(&bundle).version;
        let facts = |row: &&AuthorityRow| {
            json!({
                "use": "trust",
                "serial": row.serial,
                "not_before": view::time(row.not_before),
                "not_after": view::time(row.not_after),
            })
        };
        lines.push(line(
            naming::TRUST,
            version,
            roots.iter().map(facts).collect(),
        ));
    }
    lines
}

/// The revision of which a proxy has everything that it does not refuse and that is not under way.
fn acked(row: &ProxyRow) -> Option<u64> {
    match row.nacks.as_array() {
        Some(nacks) if !nacks.is_empty() => row.acked_revision.max(row.target_revision),
        _ => row.acked_revision,
    }
}

/// What is worked out of a mesh for one proxy.
struct Computed<'a> {
    app: &'a App,
    mesh: MeshRef,
    row: &'a ProxyRow,
    view: Option<ProxyView>,
    options: Options,
}

impl Computed<'_> {
    /// The resources at a revision, or now; `None` when there is none such.
    async fn at(&self, revision: Option<u64>) -> Result<Option<(u64, Output)>, Problem> {
        let store = &self.app.store;
        let loaded = match revision {
            None => store.snapshot(&self.mesh).await?,
            Some(revision) => store.snapshot_at(&self.mesh, revision).await?,
        };
        let Some(mut loaded) = loaded else {
            return Ok(None);
        };
        if revision.is_none() {
            let _next = loaded.snapshot.drop_expired(self.app.clock.now());
        }
        // Servers keep what they have until such a row is mended.
        if !loaded.skipped.is_empty() {
            return Err(Problem::internal(&"a stored object does not parse"));
        }
        let workloads = proxies::endpoints(store, &self.mesh).await?;
        let snapshot = &loaded.snapshot;
        let output = match &self.view {
            Some(view) => {
                let mut output = whole(snapshot, view, &workloads, &self.options);
                // An Envoy asks for the routes that its listeners name; those of an overlay name none of ours.
                if view.listeners.is_none() {
                    let routes = ResourceType::Route;
                    output.resources.retain(|resource| resource.kind != routes);
                }
                output
            }
            None => whole_of_service(snapshot, &self.row.service, &workloads, &self.options),
        };
        Ok(Some((snapshot.revision, output)))
    }
}

fn view_of(app: &App, row: &ProxyRow) -> Option<ProxyView> {
    let listeners = if row.augments {
        None
    } else {
        let setup: Setup = serde_json::from_value(row.setup.clone()?).ok()?;
        Some(ListenerPlaces {
            bind_address: setup.bind_address,
            app_address: setup.app_address,
            outbound_port: setup.outbound_port,
            inbound_ports: setup.inbound_ports,
        })
    };
    Some(ProxyView {
        service: row.service.clone(),
        node_id: String::new(),
        listeners,
        leaf_lifetime: app.xds.leaf_lifetime,
        reports: Some(Arc::clone(&app.xds.reports)),
    })
}

pub(crate) async fn get(
    Allow(grant): Allow<ProxyRead>,
    Maybe(config): Maybe<ConfigRead>,
    State(app): State<App>,
    Segments((_, mesh, proxy)): Segments<(String, String, String)>,
    (OriginalUri(uri), mut query): (OriginalUri, Query),
) -> Result<Response, Problem> {
    let page = Page::take(&mut query)?;
    let wanted = query.take("type");
    query.finish()?;
    let mut tx = app.store.begin(&grant).await?;
    let found = meshes::require(&mut tx, &mesh).await?;
    let row = proxies::find(&mut tx, found.id, &proxy)
        .await?
        .ok_or_else(Problem::not_found)?;
    let leaf = certificates::newest(&mut tx, found.id, row.id).await?;
    let mesh_ref = tx.mesh_ref(&found);
    drop(tx);
    // What an Envoy is told shows the objects of the mesh: routes, access rules, settings.
    let mut tx = app.store.begin(&config?).await?;
    meshes::require(&mut tx, &mesh).await?;
    drop(tx);

    let view = view_of(&app, &row);
    let whole_view = view.is_some();
    let computed = Computed {
        app: &app,
        mesh: mesh_ref,
        row: &row,
        view,
        options: Options {
            leaf_lifetime: app.xds.leaf_lifetime,
        },
    };
    let (revision, output) = computed.at(None).await?.ok_or_else(Problem::not_found)?;
    let roots = authorities::load(&app.store, &mesh_ref).await?;
    let diagnostics: Vec<Value> = output
        .diagnostics
        .iter()
        .map(|one| json!({"origin": origin(&one.origin), "message": one.message}))
        .collect();
    let mut lines: Vec<Line> = output.resources.into_iter().map(Line::of).collect();
    lines.extend(secrets(leaf, &roots));
    lines.sort_by_key(Line::key);

    let mut standing = Standing {
        row: &row,
        mesh_revision: revision,
        before: BTreeMap::new(),
    };
    let behind = acked(&row).filter(|acked| {
        row.connected && *acked > 0 && (*acked < revision || !row.pending_types.is_empty())
    });
    if let Some(acked) = behind
        && let Some((_, before)) = computed.at(Some(acked.min(revision))).await?
    {
        let known = before.resources.into_iter();
        standing.before = known.map(|r| ((r.kind, r.name), r.version)).collect();
    }
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for line in &lines {
        *counts.entry(standing.state(line)).or_default() += 1;
    }
    lines.retain(|line| wanted.as_deref().is_none_or(|kind| kind == word(line.kind)));
    if let Some(after) = &page.after {
        lines.retain(|line| line.key() > *after);
    }
    lines.truncate(page.limit as usize + 1);

    let mut body = Map::new();
    body.insert(String::from("proxy"), json!(row.node_id));
    body.insert(String::from("uid"), json!(row.id.to_string()));
    body.insert(String::from("service"), json!(row.service));
    body.insert(String::from("connected"), json!(row.connected));
    body.insert(String::from("listeners_known"), json!(whole_view));
    body.insert(
        String::from("revision"),
        json!({"computed": revision, "acked": row.acked_revision, "pending_types": row.pending_types}),
    );
    body.insert(String::from("counts"), json!(counts));
    body.insert(String::from("diagnostics"), json!(diagnostics));
    let items = view::page(lines, &page, &uri.to_string(), Line::key, |line| {
        standing.render(line)
    });
    body.extend(items);
    let mut response = Json(Value::Object(body)).into_response();
    let private = HeaderValue::from_static("private, no-store");
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, private);
    Ok(response)
}

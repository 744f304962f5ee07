//! The bootstrap of a proxy: what a stock Envoy starts with, unchanged.
//!
//! Two kinds of callers: a member with an API token, who names the service and gets a bootstrap that reads the join
//! token from a file; or whoever holds a join token, who gets that very token inlined (nothing is disclosed that the
//! caller did not send).
//!
//! Both get, with `mode=augment`, an overlay instead: for an Envoy that keeps its own file and listeners.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use heddle_model::authz::permission::BootstrapRead;
use heddle_model::code::Code;
use heddle_model::id::MeshId;
use heddle_model::kind::{Kind, Service};
use heddle_model::name::Name;
use heddle_model::wire;
use heddle_store::{Tx, meshes, proxies, resources};
use heddle_translate::bootstrap::{Bootstrap, ControlPlane, Credential, Overlay, render};
use secrecy::SecretString;

use crate::auth;
use crate::extract::{Headers, Query, Segments};
use crate::limits;
use crate::problem::Problem;
use crate::state::App;

/// The path.
pub(crate) const PATH: &str = "/v1/orgs/{org}/meshes/{mesh}/bootstrap";

const DEFAULT_OUTBOUND: u16 = 15001;
const DEFAULT_INBOUND: u16 = 15006;
const DEFAULT_ADMIN: u16 = 15000;
const DEFAULT_TOKEN_FILE: &str = "/etc/heddle/token";

/// The bearer token, not yet looked up: which kind it is decides what it opens.
pub(crate) struct Bearer(SecretString);

impl FromRequestParts<App> for Bearer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        auth::bearer(parts).map(|token| Self(SecretString::from(token.to_owned())))
    }
}

/// What the credential opens.
struct Scope {
    org: Name,
    mesh: Name,
    service: Name,
    ports: Vec<(Name, u16)>,
    credential: Credential,
}

pub(crate) async fn get(
    State(app): State<App>,
    Bearer(token): Bearer,
    Segments((org, mesh)): Segments<(String, String)>,
    Headers(headers): Headers,
    mut query: Query,
) -> Result<Response, Problem> {
    use secrecy::ExposeSecret;
    let service = query.parse::<Name>("service")?;
    let token_file = query.take("token_file");
    let scope = if token.expose_secret().starts_with("heddle_join_") {
        with_join_token(
            &app,
            token,
            &org,
            &mesh,
            service.as_ref(),
            token_file.as_deref(),
        )
        .await?
    } else {
        let service = service
            .ok_or_else(|| Problem::unfit("service", "`service` is required with an API token"))?;
        with_api_token(
            &app,
            token.expose_secret(),
            &org,
            &mesh,
            &service,
            token_file,
        )
        .await?
    };
    let control_plane = ControlPlane {
        host: app.xds.host.clone(),
        port: app.xds.port,
        ca_pem: app.xds.ca_pem.clone(),
        credential: scope.credential.clone(),
    };
    let body = match query.parse::<Mode>("mode")?.unwrap_or(Mode::Managed) {
        Mode::Managed => render(&read_query(control_plane, scope, query)?),
        Mode::Augment => read_overlay(control_plane, scope, query)?.render(),
    };
    let wants_yaml = headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("yaml"));
    let mut response = if wants_yaml {
        let text = serde_yaml_ng::to_string(&body).map_err(|error| Problem::internal(&error))?;
        (
            [(
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/yaml"),
            )],
            text,
        )
            .into_response()
    } else {
        axum::Json(body).into_response()
    };
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

async fn with_join_token(
    app: &App,
    token: SecretString,
    org: &str,
    mesh: &str,
    service: Option<&Name>,
    token_file: Option<&str>,
) -> Result<Scope, Problem> {
    use secrecy::ExposeSecret;
    let scope = proxies::token_scope(&app.store, token.expose_secret())
        .await?
        .ok_or_else(|| {
            Problem::new(
                Code::Unauthenticated,
                "the join token is unknown, revoked or belongs to a mesh that is gone",
            )
        })?;
    // Another organisation's mesh looks like none at all.
    let own_org =
        org == "-" || org == scope.org_name.as_str() || org == scope.mesh.org().to_string();
    let own_mesh = mesh == scope.mesh_name.as_str() || mesh == scope.mesh.mesh().to_string();
    if !own_org || !own_mesh {
        return Err(Problem::not_found());
    }
    if scope.revoked {
        return Err(Problem::new(
            Code::ProxyRevoked,
            format!("the service {} is revoked in this mesh", scope.service),
        ));
    }
    if service.is_some_and(|service| *service != scope.service) {
        return Err(Problem::unfit(
            "service",
            format!("this join token is for the service {}", scope.service),
        ));
    }
    let mut tx = app.store.begin(&scope.grant()).await?;
    let (service, ports) = ports(&mut tx, scope.mesh.mesh(), &scope.service).await?;
    let credential = match token_file {
        None => Credential::Inline(token),
        Some(path) => Credential::File(path.to_owned()),
    };
    Ok(Scope {
        org: scope.org_name,
        mesh: scope.mesh_name,
        service,
        ports,
        credential,
    })
}

/// The service as it is stored, with its ports.
async fn ports(
    tx: &mut Tx<BootstrapRead>,
    mesh: MeshId,
    service: &Name,
) -> Result<(Name, Vec<(Name, u16)>), Problem> {
    let found = resources::find(tx, mesh, Kind::Service, None, service.as_str()).await?;
    let stored = found.ok_or_else(|| {
        Problem::unfit(
            "service",
            format!("there is no service {service} in this mesh"),
        )
    })?;
    let spec: Service = wire::decode_object(&stored.sent)
        .map_err(|_| Problem::internal(&"a stored service no longer parses"))?;
    Ok((
        stored.name,
        spec.ports
            .into_iter()
            .map(|port| (port.name, port.port))
            .collect(),
    ))
}

async fn with_api_token(
    app: &App,
    token: &str,
    org: &str,
    mesh: &str,
    service: &Name,
    token_file: Option<String>,
) -> Result<Scope, Problem> {
    let caller = app.store.authenticate(token).await?.ok_or_else(|| {
        Problem::new(
            Code::Unauthenticated,
            "send `Authorization: Bearer` with a token that is valid now",
        )
    })?;
    limits::learn(&caller);
    let grant = auth::grant::<BootstrapRead>(&caller, org)?;
    let mut tx = app.store.begin(&grant).await?;
    let mesh = meshes::require(&mut tx, mesh).await?;
    let (service, ports) = ports(&mut tx, mesh.id, service).await?;
    Ok(Scope {
        org: caller.org_name().clone(),
        mesh: mesh.name,
        service,
        ports,
        credential: Credential::File(token_file.unwrap_or_else(|| DEFAULT_TOKEN_FILE.to_owned())),
    })
}

/// Whose listeners the proxy has.
enum Mode {
    /// It gets them.
    Managed,
    /// It keeps its own.
    Augment,
}

impl FromStr for Mode {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "managed" => Ok(Self::Managed),
            "augment" => Ok(Self::Augment),
            _ => Err("`managed` or `augment`"),
        }
    }
}

/// What is said of listeners and of the process: the affair of an Envoy's own file, if it has one.
const OF_MANAGED: [&str; 9] = [
    "admin_address",
    "admin_port",
    "advertise_address",
    "app_address",
    "bind_address",
    "inbound_port",
    "inbound_ports",
    "outbound_port",
    "version",
];

fn read_overlay(
    control_plane: ControlPlane,
    scope: Scope,
    mut query: Query,
) -> Result<Overlay, Problem> {
    let (proxy, keep_node) = (node_id(&mut query)?, query.flag("keep_node")?);
    check_token_file(&scope)?;
    for name in OF_MANAGED {
        if query.take(name).is_some() {
            let detail = format!(
                "`{name}` goes with `mode=managed`: in an overlay, listeners are the affair of the file beside it"
            );
            return Err(Problem::unfit(name, detail));
        }
    }
    query.finish()?;
    Ok(Overlay {
        service: scope.service,
        proxy,
        keep_node,
        control_plane,
    })
}

fn node_id(query: &mut Query) -> Result<String, Problem> {
    let node_id = query.take("proxy").ok_or_else(|| {
        Problem::parameter(
            "proxy",
            "`proxy` is required: a name for this Envoy, unique within its service",
        )
    })?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if node_id.is_empty() || node_id.len() > 128 || !node_id.bytes().all(plain) {
        return Err(Problem::parameter(
            "proxy",
            "`proxy`: 1 to 128 letters, digits and any of `-_.`",
        ));
    }
    Ok(node_id)
}

fn check_token_file(scope: &Scope) -> Result<(), Problem> {
    let printable = |b: u8| (b' '..=b'~').contains(&b);
    if let Credential::File(path) = &scope.credential
        && (!path.starts_with('/') || path.len() > 1024 || !path.bytes().all(printable))
    {
        return Err(Problem::parameter(
            "token_file",
            "`token_file`: an absolute path of at most 1024 printable ASCII characters",
        ));
    }
    Ok(())
}

fn read_query(
    control_plane: ControlPlane,
    scope: Scope,
    mut query: Query,
) -> Result<Bootstrap, Problem> {
    let node_id = node_id(&mut query)?;
    check_token_file(&scope)?;
    if query.take("keep_node").is_some() {
        let detail =
            "`keep_node` goes with `mode=augment`: a whole bootstrap says what the node is";
        return Err(Problem::unfit("keep_node", detail));
    }
    let version = query.parse::<Name>("version")?;
    let bind_address = query
        .parse::<IpAddr>("bind_address")?
        .unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let app_address = query
        .parse::<IpAddr>("app_address")?
        .unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let advertise_address = match query.parse::<IpAddr>("advertise_address")? {
        Some(address) => address,
        None if !bind_address.is_unspecified() => bind_address,
        None => {
            return Err(Problem::unfit(
                "advertise_address",
                "`advertise_address` is required: the IP address at which other proxies reach this one",
            ));
        }
    };
    if advertise_address.is_unspecified() || advertise_address.is_multicast() {
        return Err(Problem::unfit(
            "advertise_address",
            "`advertise_address`: an address that can be called",
        ));
    }
    let outbound_port = port(&mut query, "outbound_port")?.unwrap_or(DEFAULT_OUTBOUND);
    let admin_port = port(&mut query, "admin_port")?.unwrap_or(DEFAULT_ADMIN);
    let admin_address =
        query
            .parse::<IpAddr>("admin_address")?
            .unwrap_or(if bind_address.is_loopback() {
                bind_address
            } else {
                IpAddr::V4(Ipv4Addr::LOCALHOST)
            });
    let inbound_ports = inbound_ports(&mut query, &scope.ports)?;
    query.finish()?;
    let mut seen = BTreeMap::new();
    let named = inbound_ports
        .iter()
        .map(|(name, port)| (format!("inbound port {name}"), *port));
    let mut listeners: Vec<_> = named
        .chain([(String::from("outbound_port"), outbound_port)])
        .collect();
    if admin_address == bind_address
        || admin_address.is_unspecified()
        || bind_address.is_unspecified()
    {
        listeners.push((String::from("admin_port"), admin_port));
    }
    for (what, port) in listeners {
        if let Some(other) = seen.insert(port, what.clone()) {
            let parameter = if what == "admin_port" {
                "admin_port"
            } else {
                "outbound_port"
            };
            return Err(Problem::unfit(
                parameter,
                format!("{other} and {what} are both {port}"),
            ));
        }
    }
    Ok(Bootstrap {
        org: scope.org.to_string(),
        mesh: scope.mesh,
        service: scope.service,
        node_id,
        version,
        bind_address,
        advertise_address,
        app_address,
        inbound_ports,
        outbound_port,
        admin_address,
        admin_port,
        control_plane,
    })
}

fn port(query: &mut Query, name: &str) -> Result<Option<u16>, Problem> {
    let port = query.integer(name, 1, u32::MAX)?;
    port.map(u16::try_from)
        .transpose()
        .map_err(|_| Problem::parameter(name, format!("`{name}`: 1 to 65535")))
}

/// `inbound_port=15006` counts up from there in the order of the service's ports; `inbound_ports=http:15006,grpc:15007`
/// names each.
fn inbound_ports(query: &mut Query, ports: &[(Name, u16)]) -> Result<BTreeMap<Name, u16>, Problem> {
    let first = port(query, "inbound_port")?;
    let Some(list) = query.take("inbound_ports") else {
        let first = first.unwrap_or(DEFAULT_INBOUND);
        return ports
            .iter()
            .enumerate()
            .map(|(i, (name, _))| {
                let port = u16::try_from(i).ok().and_then(|i| first.checked_add(i));
                port.map(|port| (name.clone(), port)).ok_or_else(|| {
                    Problem::unfit(
                        "inbound_port",
                        "`inbound_port`: too high for all ports of the service",
                    )
                })
            })
            .collect();
    };
    let bad = |detail: String| Problem::unfit("inbound_ports", detail);
    if first.is_some() {
        return Err(bad(String::from(
            "either `inbound_port` or `inbound_ports`",
        )));
    }
    let mut named = BTreeMap::new();
    for entry in list.split(',') {
        let (name, number) = entry.split_once(':').ok_or_else(|| {
            bad(String::from(
                "`inbound_ports`: `<port name>:<port>`, separated by commas",
            ))
        })?;
        let known = ports.iter().find(|(known, _)| known.as_str() == name);
        let (name, _) = known.ok_or_else(|| {
            bad(String::from(
                "`inbound_ports` names a port that the service does not have",
            ))
        })?;
        let number: u16 = number
            .parse()
            .ok()
            .filter(|n| *n > 0)
            .ok_or_else(|| bad(String::from("`inbound_ports`: 1 to 65535")))?;
        if named.insert(name.clone(), number).is_some() {
            return Err(bad(format!("`inbound_ports` names {name} twice")));
        }
    }
    match ports.iter().find(|(name, _)| !named.contains_key(name)) {
        None => Ok(named),
        Some((missing, _)) => Err(bad(format!(
            "`inbound_ports` lacks the service's port {missing}"
        ))),
    }
}

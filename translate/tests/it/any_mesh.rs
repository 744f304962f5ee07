//! Any mesh that a user could have described: what the property tests draw from.

use std::collections::{BTreeMap, BTreeSet};

use heddle_model::kind::access_rule::{AccessRule, Caller, Effect, PathRule, Target};
use heddle_model::kind::mesh::AccessDefault;
use heddle_model::kind::route::{Backend, Match, Method, PathMatch};
use heddle_model::kind::service::{Port, Protocol, Upstream};
use heddle_model::kind::split::Weight;
use heddle_model::kind::{Mesh, Profile, Route, Service, Split};
use heddle_model::mtls::MtlsMode;
use heddle_model::name::Name;
use heddle_model::settings::Settings;
use heddle_model::settings::health_check::Check;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Map, Value};

use crate::case::{Case, Description, RouteDescription, ServiceDescription};

const SERVICES: [&str; 4] = ["catalog", "frontend", "local", "payments"];
const VERSIONS: [&str; 3] = ["v1", "v2", "v3"];
const HOSTS: [&str; 4] = ["a.example", "b.example", "payments", "local"];
const PORTS: [&str; 3] = ["grpc", "http", "web"];

pub(crate) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

const OF_ROUTES: [&str; 3] = [
    r#"{"timeout": "3s"}"#,
    r#"{"timeout": "1h", "retries": {"attempts": 0}}"#,
    r#"{"retries": {"attempts": 3, "on": ["server_error"], "per_try_timeout": "1s"}}"#,
];
const OF_CLUSTERS: [&str; 3] = [
    r#"{"outlier_detection": {"consecutive_5xx": 3, "base_ejection": "1s"}}"#,
    r#"{"outlier_detection": {"consecutive_gateway_errors": 1}, "circuit_breaking": {"max_requests": 1}}"#,
    r#"{"circuit_breaking": {"max_pending_requests": 1, "max_connections": 3, "max_retries": 0}}"#,
];
const OF_WORKLOADS: [&str; 6] = [
    r#"{"health_check": {"check": "grpc", "grpc_service": "a.B"}, "access_log": {"inbound": "none", "outbound": "none"}}"#,
    r#"{"health_check": {"check": "http", "path": "/h", "statuses": [204]}, "access_log": {"to": [{"file": {"path": "/tmp/x"}}]}}"#,
    r#"{"health_check": {"check": "tcp", "interval": "1s"}, "access_log": {"sample_percent": 1.5, "outbound": "all"}}"#,
    r#"{"authentication": {"required": true, "open_paths": [{"prefix": "/v1/x"}, {"template": "/{*}/l"}, {"exact": "/a"}]}}"#,
    r#"{"authentication": {"providers": [
        {"name": "accounts", "issuer": "https://a.example/", "audiences": ["a", "b"], "jwks": {"inline": "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"a\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}"},
         "claims_to_headers": [{"claim": ["sub"], "header": "x-user"}, {"claim": ["a", "b"], "header": "x-b"}], "forward": false},
        {"name": "partners", "issuer": "partners", "audiences": ["a"], "token": {"header": "x-token"}, "clock_skew": "5m",
         "jwks": {"remote": {"uri": "https://a.example:8443/k", "timeout": "1s", "cache": "1h"}}}]}}"#,
    r#"{"access_log": {"inbound": "failed", "to": [{"stdout": {}}, {"otlp": {"host": "c.example", "port": 4317}}]}}"#,
];

fn one_of(texts: &[&[&'static str]]) -> impl Strategy<Value = Option<Settings>> + use<> {
    proptest::option::of(select(texts.concat()))
        .prop_map(|text| text.map(|text| serde_json::from_str(text).unwrap()))
}

fn mode() -> impl Strategy<Value = Option<MtlsMode>> + use<> {
    proptest::option::of(select(vec![
        MtlsMode::Strict,
        MtlsMode::Permissive,
        MtlsMode::Off,
    ]))
}

/// What may stand for a whole service.
fn settings() -> impl Strategy<Value = Option<Settings>> {
    one_of(&[&OF_ROUTES, &OF_CLUSTERS, &OF_WORKLOADS])
}

fn path() -> impl Strategy<Value = PathMatch> {
    (select(vec!["/", "/v1", "/v1/x/", "/a_b.c"]), any::<bool>()).prop_map(|(path, exact)| {
        let path = Some(path.to_owned());
        match exact {
            true => PathMatch {
                exact: path,
                prefix: None,
            },
            false => PathMatch {
                exact: None,
                prefix: path,
            },
        }
    })
}

fn methods() -> impl Strategy<Value = Option<Vec<Method>>> {
    let all = vec![Method::Get, Method::Post, Method::Delete];
    proptest::option::of(subsequence(all, 1..=3))
}

fn backends() -> impl Strategy<Value = Vec<Backend>> {
    // One of the services is never there.
    let service = ["catalog", "payments", "gone"].map(|service| Backend {
        version: None,
        service: Some(name(service)),
    });
    let version = ["v1", "v2"].map(|version| Backend {
        version: Some(name(version)),
        service: None,
    });
    subsequence([service.to_vec(), version.to_vec()].concat(), 1..=4)
}

fn route() -> impl Strategy<Value = (Route, Option<Split>)> {
    let one = (proptest::option::of(path()), methods()).prop_map(|(path, methods)| Match {
        path,
        methods,
        headers: None,
    });
    let matches = proptest::option::of(proptest::collection::vec(one, 1..3));
    let weights = subsequence(VERSIONS.to_vec(), 1..=3).prop_flat_map(|versions| {
        let weight = |version| {
            (1_u32..100).prop_map(move |weight| Weight {
                version: name(version),
                weight,
            })
        };
        versions.into_iter().map(weight).collect::<Vec<_>>()
    });
    let split = proptest::option::of(weights.prop_map(|weights| Split {
        labels: None,
        annotations: None,
        weights,
    }));
    (0_u32..5, matches, backends(), one_of(&[&OF_ROUTES]), split).prop_map(
        |(priority, matches, backends, settings, split)| {
            let route = Route {
                display_name: None,
                labels: None,
                annotations: None,
                priority,
                matches,
                backends,
                settings,
            };
            (route, split)
        },
    )
}

fn rule() -> impl Strategy<Value = AccessRule> {
    let rule = |path: PathMatch| PathRule {
        exact: path.exact,
        prefix: path.prefix,
        template: None,
    };
    let ports = proptest::option::of(subsequence(PORTS.to_vec(), 1..=2));
    let paths = proptest::collection::vec(path().prop_map(rule), 1..3);
    let target = (methods(), paths, ports).prop_map(|(methods, paths, ports)| Target {
        methods,
        paths: Some(paths),
        ports: ports.map(|ports| ports.into_iter().map(name).collect()),
        ..Target::default()
    });
    let to = proptest::option::of(proptest::collection::vec(target, 1..3));
    let from = proptest::option::of(subsequence(SERVICES.to_vec(), 1..=3));
    (any::<bool>(), any::<bool>(), from, to).prop_map(|(deny, report, from, to)| AccessRule {
        display_name: None,
        labels: None,
        annotations: None,
        action: if deny { Effect::Deny } else { Effect::Allow },
        from: from.map(|from| {
            // One of the three whose tokens are asked for never has any.
            let token = |service: &str| match service {
                "catalog" => Some(r#"{"provider": "accounts"}"#),
                "frontend" => Some(r#"{"provider": "partners", "claims": [{"claim": ["a", "b"], "values": ["3", "x"]}]}"#),
                "local" => Some(r#"{"provider": "gone", "claims": [{"claim": ["scope"], "values": ["true"]}]}"#),
                _ => None,
            };
            let caller = |service| Caller {
                service: Some(name(service)),
                token: token(service).map(|text| serde_json::from_str(text).unwrap()),
                ..Caller::default()
            };
            from.into_iter().map(caller).collect()
        }),
        to,
        report_only: report.then_some(true),
        expires: None,
        reason: None,
    })
}

fn sent(spec: &impl serde::Serialize) -> Map<String, Value> {
    serde_json::from_value(serde_json::to_value(spec).unwrap()).unwrap()
}

fn service() -> impl Strategy<Value = ServiceDescription> {
    let protocol = select(vec![
        Protocol::Http,
        Protocol::Http2,
        Protocol::Grpc,
        Protocol::Tcp,
    ]);
    let ports = subsequence(PORTS.to_vec(), 1..=3).prop_shuffle();
    let ports = ports.prop_flat_map(move |names| {
        let port = |(i, port): (usize, &'static str)| {
            let number = 8000 + u16::try_from(i).unwrap();
            // Some are another's, too.
            let local = proptest::option::of(15_006 + 2 * u16::try_from(i).unwrap()..15_012);
            (protocol.clone(), local, mode()).prop_map(move |(protocol, local, mtls)| Port {
                name: name(port),
                port: number,
                protocol,
                local_port: local.filter(|_| protocol.is_tcp()),
                mtls,
            })
        };
        names.into_iter().enumerate().map(port).collect::<Vec<_>>()
    });
    let hostnames = subsequence(HOSTS.to_vec(), 0..=4).prop_shuffle();
    // One of the services, and one of the profiles, is never there.
    let profile = proptest::option::of(select(vec!["std", "none"]));
    let upstreams =
        subsequence([&SERVICES[..], &["gone"]].concat(), 0..=3).prop_flat_map(|names| {
            let upstream = |called| {
                one_of(&[&OF_ROUTES, &OF_CLUSTERS]).prop_map(move |exception| Upstream {
                    service: name(called),
                    exception,
                })
            };
            names.into_iter().map(upstream).collect::<Vec<_>>()
        });
    let spec = (ports, hostnames, settings(), profile, upstreams, mode()).prop_map(
        |(mut ports, hostnames, defaults, profile, upstreams, mtls)| {
            let mut local = BTreeSet::new();
            for port in &mut ports {
                port.local_port = port.local_port.filter(|number| local.insert(*number));
            }
            let check = defaults
                .as_ref()
                .and_then(|d| d.health_check.as_ref()?.check);
            // A service cannot say so of a first port that speaks something else; its profile and its mesh can.
            match check {
                Some(Check::Grpc) => {
                    ports[0].protocol = Protocol::Grpc;
                    ports[0].local_port = None;
                }
                Some(Check::Http) if ports[0].protocol.is_tcp() => {
                    ports[0].protocol = Protocol::Http;
                    ports[0].local_port = None;
                }
                _ => {}
            }
            // Nor that whoever calls it needs a token, where no call can have one.
            let required = defaults
                .as_ref()
                .and_then(|d| d.authentication.as_ref()?.required);
            if required == Some(true) {
                for port in ports.iter_mut().filter(|port| port.protocol.is_tcp()) {
                    port.protocol = Protocol::Http2;
                    port.local_port = None;
                }
            }
            // Plain text has no meaning for connections.
            let plain = |mode: &MtlsMode| mode.takes_plain_text();
            for port in ports.iter_mut().filter(|port| port.protocol.is_tcp()) {
                port.mtls = port.mtls.filter(|mode| !plain(mode));
            }
            let requests = ports.iter().any(|port| !port.protocol.is_tcp());
            let mtls = mtls.filter(|mode| requests || !plain(mode));
            Service {
                display_name: None,
                labels: None,
                annotations: None,
                hostnames: Some(hostnames.iter().map(|host| host.parse().unwrap()).collect()),
                ports,
                mtls,
                profile: profile.map(name),
                defaults,
                upstreams: Some(upstreams),
            }
        },
    );
    let routes = proptest::collection::vec(route(), 0..4);
    let rules = proptest::collection::vec(rule(), 0..4);
    (spec, routes, rules).prop_map(|(spec, routes, rules)| {
        let route = |(i, (spec, split)): (usize, (Route, Option<Split>))| {
            let description = RouteDescription {
                spec: sent(&spec),
                split: split.map(|split| sent(&split)),
            };
            (name(&format!("r{i}")), description)
        };
        let rule = |(i, spec): (usize, AccessRule)| (name(&format!("a{i}")), sent(&spec));
        ServiceDescription {
            spec: sent(&spec),
            routes: routes.into_iter().enumerate().map(route).collect(),
            access_rules: rules.into_iter().enumerate().map(rule).collect(),
        }
    })
}

/// Any mesh of up to four services, with a proxy of `payments`, which may not be there.
pub(crate) fn case() -> impl Strategy<Value = Case> {
    let services = subsequence(SERVICES.to_vec(), 0..=4).prop_flat_map(|names| {
        let one = |called| service().prop_map(move |parts| (name(called), parts));
        names.into_iter().map(one).collect::<Vec<_>>()
    });
    let mesh = (settings(), settings(), any::<bool>(), mode());
    let revoked = subsequence(SERVICES.to_vec(), 0..=2);
    (services, mesh, revoked).prop_map(|(services, (defaults, profile, allow, mtls), revoked)| {
        let profile = profile.map(|settings| {
            let profile = Profile {
                display_name: None,
                labels: None,
                annotations: None,
                settings,
            };
            (name("std"), sent(&profile))
        });
        let proxy = "{service: payments, bind_address: 10.0.0.1, app_address: 127.0.0.1, \
                     outbound_port: 15001, inbound_ports: {http: 15006, grpc: 15007, web: 15008}}";
        let mesh = Mesh {
            defaults,
            mtls,
            access_default: allow.then_some(AccessDefault::Allow),
            ..Mesh::default()
        };
        Case::build(Description {
            mesh: sent(&mesh),
            profiles: profile.into_iter().collect(),
            services: services.into_iter().collect(),
            revoked: revoked.into_iter().map(name).collect(),
            endpoints: BTreeMap::new(),
            proxy: serde_yaml_ng::from_str(proxy).unwrap(),
        })
    })
}

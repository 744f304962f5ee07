//! What is asked: a call that somebody thinks of, or what a proxy wrote about one.

use std::net::{IpAddr, Ipv4Addr};

use heddle_model::access::{Call, Token};
use heddle_model::code::Code;
use heddle_model::name::Name;
use heddle_model::snapshot::{MeshSnapshot, ServiceNode};
use heddle_model::violation::{Pointer, Violations};
use heddle_translate::naming;
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// A question about access: exactly one of the two.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CheckAccess {
    /// A call that somebody thinks of, decided by the rules as they are now.
    pub(crate) call: Option<AccessCall>,
    /// What the proxy of the called service wrote about a call: a line of its access log as JSON, or the response code details of
    /// a 401 or 403.
    #[schema(
        min_length = 1,
        max_length = 65_536,
        example = "rbac_access_denied_matched_policy[none]"
    )]
    pub(crate) log: Option<String>,
}

/// A call.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccessCall {
    /// Who calls; absent: somebody without an identity.
    pub(crate) from: Option<AccessCallFrom>,
    /// Where the connection comes from, as the called service's proxy sees it; absent: from no network in particular.
    #[schema(max_length = 45, example = "10.0.3.17")]
    pub(crate) address: Option<String>,
    /// The service that is called, by name.
    pub(crate) service: Name,
    /// Its port, by name; absent: its only one. Of a connection to a `tcp` port only `from` and `address` count.
    pub(crate) port: Option<Name>,
    /// The method; absent: `GET`.
    #[schema(pattern = "^[!-~]+$", max_length = 64, example = "POST")]
    pub(crate) method: Option<String>,
    /// The path as it is sent, in any spelling; absent: `/`.
    #[schema(pattern = "^[!-~]+$", max_length = 8192, example = "/v1/charges")]
    pub(crate) path: Option<String>,
    /// The host; absent: the name of the service.
    #[schema(pattern = "^[!-~]+$", max_length = 512, example = "payments")]
    pub(crate) host: Option<String>,
    /// All further headers, in their order.
    #[schema(max_items = 64)]
    pub(crate) headers: Option<Vec<AccessCallHeader>>,
    /// The token of an end user that it carries, taken for one that holds; absent: none.
    pub(crate) token: Option<AccessCallToken>,
}

/// A token of an end user.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccessCallToken {
    /// Who issued it, as the service's `authentication` calls it. The tokens of others do not count.
    pub(crate) provider: Name,
    /// What it says: a JSON object, as text.
    #[schema(
        min_length = 2,
        max_length = 16_384,
        example = r#"{"sub": "7", "roles": ["cashier"]}"#
    )]
    pub(crate) claims: Option<String>,
}

/// Who calls: exactly one of the two.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccessCallFrom {
    /// A service of this mesh, by name.
    pub(crate) service: Option<Name>,
    /// A SPIFFE id.
    #[schema(
        pattern = "^spiffe://[a-z0-9._-]{1,255}(/[A-Za-z0-9._-]+)+$",
        max_length = 2048,
        example = "spiffe://partner.example/app"
    )]
    pub(crate) spiffe: Option<String>,
}

/// A header of a call.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccessCallHeader {
    /// Its name, in any letter case.
    #[schema(
        pattern = "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$",
        max_length = 256,
        example = "x-team"
    )]
    pub(crate) name: String,
    /// Its value.
    #[schema(max_length = 8192, example = "billing")]
    pub(crate) value: String,
}

/// A call with nothing left out.
pub(super) struct Whole<'a> {
    pub(super) node: &'a ServiceNode,
    caller: String,
    address: IpAddr,
    port: &'a Name,
    headers: Vec<(String, String)>,
    claims: Map<String, Value>,
    asked: &'a AccessCall,
}

impl Whole<'_> {
    /// As the evaluator wants it.
    pub(super) fn call(&self) -> Call<'_> {
        let asked = self.asked;
        Call {
            caller: &self.caller,
            address: self.address,
            port: self.port,
            method: asked.method.as_deref().unwrap_or("GET"),
            host: asked.host.as_deref().unwrap_or(asked.service.as_str()),
            path: asked.path.as_deref().unwrap_or("/"),
            headers: &self.headers,
            token: asked.token.as_ref().map(|token| Token {
                provider: token.provider.as_str(),
                claims: &self.claims,
            }),
        }
    }
}

impl AccessCall {
    /// Fills in what was left out; `None` when there is a violation.
    pub(super) fn complete<'a>(
        &'a self,
        snapshot: &'a MeshSnapshot,
        violations: &mut Violations,
    ) -> Option<Whole<'a>> {
        let at = Pointer::Root;
        let at = at.field("call");
        let caller = self.caller(snapshot, &at, violations);
        let address = self.address(&at, violations);
        let node = snapshot.services.get(&self.service);
        if node.is_none() {
            violations.add(
                &at.field("service"),
                Code::UnknownReference,
                "this mesh has no such service",
            );
        }
        let port = node.and_then(|node| self.port(node, &at, violations));
        let claims = self.claims();
        if claims.is_none() {
            violations.add(
                &at.field("token").field("claims"),
                Code::BadFormat,
                "a JSON object",
            );
        }
        let headers = self.headers.iter().flatten();
        let headers = headers.map(|one| (one.name.to_ascii_lowercase(), one.value.clone()));
        Some(Whole {
            node: node?,
            caller: caller?,
            address: address?,
            port: port?,
            headers: headers.collect(),
            claims: claims?,
            asked: self,
        })
    }

    /// What the token says; `None` when that is not an object.
    fn claims(&self) -> Option<Map<String, Value>> {
        let claims = self
            .token
            .as_ref()
            .and_then(|token| token.claims.as_deref());
        claims.map_or_else(|| Some(Map::new()), |text| serde_json::from_str(text).ok())
    }

    fn caller(
        &self,
        snapshot: &MeshSnapshot,
        at: &Pointer<'_>,
        violations: &mut Violations,
    ) -> Option<String> {
        let Some(from) = &self.from else {
            return Some(String::new());
        };
        let at = at.field("from");
        match (&from.service, &from.spiffe) {
            (Some(service), None) if snapshot.services.contains_key(service) => {
                Some(naming::spiffe_id(&snapshot.trust_domain, service))
            }
            (Some(_), None) => {
                let detail = "this mesh has no such service";
                violations.add(&at.field("service"), Code::UnknownReference, detail);
                None
            }
            (None, Some(id)) => Some(id.clone()),
            (None, None) | (Some(_), Some(_)) => {
                let detail = "exactly one of `service` and `spiffe`";
                violations.add(&at, Code::ExactlyOne, detail);
                None
            }
        }
    }

    fn address(&self, at: &Pointer<'_>, violations: &mut Violations) -> Option<IpAddr> {
        let Some(address) = &self.address else {
            return Some(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        };
        let parsed = address.parse().ok();
        if parsed.is_none() {
            let detail = "an IPv4 or IPv6 address";
            violations.add(&at.field("address"), Code::BadFormat, detail);
        }
        parsed
    }

    fn port<'a>(
        &self,
        node: &'a ServiceNode,
        at: &Pointer<'_>,
        violations: &mut Violations,
    ) -> Option<&'a Name> {
        let ports = &node.service.spec.ports;
        let at = at.field("port");
        match (&self.port, ports.as_slice()) {
            (None, [only]) => Some(&only.name),
            (None, _) => {
                let detail = "the service does not have exactly one port: say which";
                violations.add(&at, Code::MissingField, detail);
                None
            }
            (Some(wanted), ports) => {
                let found = ports.iter().find(|port| port.name == *wanted);
                if found.is_none() {
                    let detail = "the service has no such port";
                    violations.add(&at, Code::UnknownReference, detail);
                }
                found.map(|port| &port.name)
            }
        }
    }
}

//! What stands against a mode: access rules that would be about nobody, and the step from one mode to another that some caller
//! would stumble over.

use crate::code::Code;
use crate::kind::access_rule::Effect;
use crate::kind::service::Port;
use crate::kind::{AccessRule, Mesh, Service};
use crate::name::Name;

use super::{InForce, MtlsMode, Said, in_force};

/// A service in its mesh, as it is or as it would be.
#[derive(Debug, Clone, Copy)]
pub struct Side<'a> {
    /// The mesh.
    pub mesh: &'a Mesh,
    /// The service.
    pub service: &'a Service,
}

/// Why a port cannot have the mode that it would have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Objection {
    /// Where the service says it: a pointer into the service, to the whole port when the mesh says it.
    pub pointer: String,
    /// Who says it.
    pub said: Said,
    /// The access rule that stands against it, if one does.
    pub rule: Option<Name>,
    /// Which rule of ours.
    pub code: Code,
    /// What would happen, and what to do.
    pub detail: String,
}

/// A port that takes plain text and would do so no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// Its name.
    pub port: Name,
    /// Where the service says its mode, as in an [`Objection`].
    pub pointer: String,
    /// Who says it.
    pub said: Said,
}

/// Where the service says the mode of a port: a pointer into it.
fn place(index: usize, said: Said) -> String {
    match said {
        Said::Service => String::from("/mtls"),
        Said::Port => format!("/ports/{index}/mtls"),
        Said::Mesh | Said::BuiltIn | Said::Protocol => format!("/ports/{index}"),
    }
}

/// The ports that callers in plain text would be turned away from. Not those that go away: whoever takes one away means it.
#[must_use]
pub fn closed(before: Side<'_>, after: Side<'_>) -> Vec<Closed> {
    let ports = after.service.ports.iter().enumerate();
    let closed = ports.filter_map(|(index, port)| {
        let now = in_force(after.mesh, after.service, port);
        let was = before.mode(&port.name)?;
        let closes = was.takes_plain_text() && !now.mode.takes_plain_text();
        closes.then(|| Closed {
            port: port.name.clone(),
            pointer: place(index, now.said),
            said: now.said,
        })
    });
    closed.collect()
}

/// What stands against the modes of a service as it would be, with the access rules that it would have.
#[must_use]
pub fn judge(
    before: Option<Side<'_>>,
    after: Side<'_>,
    rules: &[(Name, AccessRule)],
) -> Vec<Objection> {
    let mut objections = Vec::new();
    for (index, port) in after.service.ports.iter().enumerate() {
        let now = in_force(after.mesh, after.service, port);
        let pointer = place(index, now.said);
        let objection = |rule: Option<&Name>, code: Code, detail: String| Objection {
            pointer: pointer.clone(),
            said: now.said,
            rule: rule.cloned(),
            code,
            detail,
        };
        if let Some(was) = before.and_then(|before| before.mode(&port.name))
            && let Some(detail) = stumble(port, was, now)
        {
            objections.push(objection(None, Code::MtlsStep, detail));
        }
        for (name, rule) in rules {
            if let Some(detail) = about_nobody(port, now.mode, name, rule) {
                objections.push(objection(Some(name), Code::MtlsNeedsIdentity, detail));
            }
        }
    }
    objections
}

impl Side<'_> {
    fn mode(self, name: &Name) -> Option<MtlsMode> {
        let mut ports = self.service.ports.iter();
        let port = ports.find(|port| port.name == *name)?;
        Some(in_force(self.mesh, self.service, port).mode)
    }
}

/// Between these two, a caller and a callee that hear of the change one after the other do not understand each other.
fn stumble(port: &Port, was: MtlsMode, now: InForce) -> Option<String> {
    let name = &port.name;
    let (from, to) = (was.as_str(), now.mode.as_str());
    match (was, now.mode) {
        (MtlsMode::Strict, MtlsMode::Off) | (MtlsMode::Off, MtlsMode::Strict) => Some(format!(
            "port {name} would go from `{from}` to `{to}` at once, and calls would fail until every proxy has heard of it: \
             make it `permissive` first, which takes both, wait until all proxies have that, and then `{to}`"
        )),
        _ => None,
    }
}

/// The rule says who calls, and nobody who calls in plain text is anyone.
fn about_nobody(port: &Port, mode: MtlsMode, name: &Name, rule: &AccessRule) -> Option<String> {
    let concerned = rule.is_about(&port.name) && !rule.is_report_only() && rule.asks_who_calls();
    if !concerned {
        return None;
    }
    let port = &port.name;
    match (mode, rule.action) {
        (MtlsMode::Strict, _) | (MtlsMode::Permissive, Effect::Allow) => None,
        (MtlsMode::Permissive | MtlsMode::Off, Effect::Deny) => Some(format!(
            "access rule {name} refuses callers by who they are, and port {port} would take calls in plain text, which do not say it: \
             whom the rule refuses could call all the same. Refuse by `networks` or `token` in it, take it away, or keep port {port} \
             `strict`"
        )),
        (MtlsMode::Off, Effect::Allow) => Some(format!(
            "access rule {name} lets callers in by who they are, and port {port} would be called in plain text, which does not say it: \
             the calls that it allows would be refused. Let them in by `networks` or `token` in it (a rule without `from` is about \
             workloads of the mesh, too), or leave port {port} at `permissive`"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mesh(mtls: &str) -> Mesh {
        serde_json::from_str(&format!(r#"{{"mtls": "{mtls}"}}"#)).unwrap()
    }

    fn service(ports: &[(&str, &str, &str)]) -> Service {
        let ports = ports.iter().enumerate().map(|(i, (name, protocol, mtls))| {
            let mut port = serde_json::json!({"name": name, "port": i + 1, "protocol": protocol});
            if !mtls.is_empty() {
                port["mtls"] = serde_json::json!(mtls);
            }
            port
        });
        let ports: Vec<_> = ports.collect();
        serde_json::from_value(serde_json::json!({ "ports": ports })).unwrap()
    }

    #[test]
    fn between_strict_and_off_stands_permissive() {
        let modes = ["strict", "permissive", "off"];
        for from in modes {
            for to in modes {
                let direct = [from, to].contains(&"strict") && [from, to].contains(&"off");
                // Whoever says it: what counts is what comes of it.
                let (inherits, says) = (service(&[("a", "http", "")]), [from, to]);
                let says = says.map(|mode| service(&[("a", "http", mode)]));
                let (was, is, plain) = (mesh(from), mesh(to), mesh("permissive"));
                let by_mesh = [(&was, &inherits), (&is, &inherits)];
                let by_port = [(&plain, &says[0]), (&plain, &says[1])];
                for [before, after] in [by_mesh, by_port] {
                    let side = |(mesh, service)| Side { mesh, service };
                    let found = judge(Some(side(before)), side(after), &[]);
                    let codes: Vec<Code> = found.iter().map(|one| one.code).collect();
                    let expected = if direct { vec![Code::MtlsStep] } else { vec![] };
                    assert_eq!(codes, expected, "{from} to {to}");
                }
            }
        }
        // A port that there was not before has no callers yet, and one that speaks tcp stays as it is.
        let (strict, off) = (mesh("strict"), mesh("off"));
        let before = service(&[("a", "http", "permissive"), ("raw", "tcp", "")]);
        let after = service(&[("a", "http", ""), ("raw", "tcp", ""), ("b", "http", "")]);
        let before = Side {
            mesh: &strict,
            service: &before,
        };
        let after = Side {
            mesh: &off,
            service: &after,
        };
        assert_eq!(judge(Some(before), after, &[]), []);
        assert_eq!(judge(None, after, &[]), []);
    }

    #[test]
    fn a_port_is_closed_by_whoever_says_so_nearest() {
        let (permissive, strict) = (mesh("permissive"), mesh("strict"));
        let own = service(&[
            ("a", "http", ""),
            ("b", "http", "permissive"),
            ("raw", "tcp", ""),
        ]);
        let side = |mesh, service| Side { mesh, service };
        let places = |before, after| {
            let all = closed(before, after).into_iter();
            all.map(|one| format!("{} {}", one.port, one.pointer))
                .collect::<Vec<_>>()
        };
        let (open, shut) = (side(&permissive, &own), side(&strict, &own));
        assert_eq!(places(open, shut), ["a /ports/0"]);
        assert_eq!(places(shut, open), [""; 0]);
        assert_eq!(places(open, open), [""; 0]);
        let said = service(&[("b", "http", "strict"), ("c", "http", "strict")]);
        assert_eq!(places(open, side(&permissive, &said)), ["b /ports/0/mtls"]);
        let became = service(&[("a", "tcp", "")]);
        assert_eq!(places(open, side(&permissive, &became)), ["a /ports/0"]);
    }

    #[test]
    fn sec_z04_no_rule_about_somebody_stands_where_everybody_is_nobody() {
        let mesh = mesh("strict");
        let service = service(&[
            ("s", "http", "strict"),
            ("p", "http", "permissive"),
            ("o", "http", "off"),
            ("t", "tcp", ""),
        ]);
        let against = |rule: &str| {
            let rule: AccessRule = serde_json::from_str(rule).unwrap();
            let rules = [("r".parse().unwrap(), rule)];
            let side = Side {
                mesh: &mesh,
                service: &service,
            };
            let found = judge(Some(side), side, &rules).into_iter();
            let found = found.map(|one| {
                assert_eq!(one.code, Code::MtlsNeedsIdentity);
                assert_eq!(one.rule, Some("r".parse().unwrap()));
                one.pointer
            });
            found.collect::<Vec<_>>().join(" ")
        };
        let (p, o) = ("/ports/1/mtls", "/ports/2/mtls");
        let both = format!("{p} {o}");
        let by_name = r#"[{"networks": ["10.0.0.0/8"]}, {"service": "x"}]"#;
        assert_eq!(
            against(&format!(r#"{{"action": "allow", "from": {by_name}}}"#)),
            o
        );
        assert_eq!(
            against(&format!(r#"{{"action": "deny", "from": {by_name}}}"#)),
            both
        );
        // Every workload of the mesh may, and nobody at all may.
        assert_eq!(against(r#"{"action": "allow"}"#), o);
        assert_eq!(against(r#"{"action": "deny"}"#), "");
        let elsewhere = r#"{"networks": ["10.0.0.0/8"]}, {"token": {"provider": "a"}}"#;
        for action in ["allow", "deny"] {
            let rule = format!(r#"{{"action": "{action}", "from": [{elsewhere}]}}"#);
            assert_eq!(against(&rule), "");
            let to = r#"[{"ports": ["s", "t"]}]"#;
            let rule = format!(r#"{{"action": "{action}", "from": {by_name}, "to": {to}}}"#);
            assert_eq!(against(&rule), "");
            let rule =
                format!(r#"{{"action": "{action}", "from": {by_name}, "report_only": true}}"#);
            assert_eq!(against(&rule), "");
        }
    }
}

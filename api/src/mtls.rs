//! The modes of mutual TLS of a mesh at the moment of a write: no access rule is about somebody where everybody is nobody, and
//! no step from one mode to another is one that callers would stumble over.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use heddle_model::authz::{Permission, access};
use heddle_model::code::Code;
use heddle_model::id::{MeshId, ServiceId};
use heddle_model::kind::{AccessRule, Kind, Mesh, Service};
use heddle_model::mtls::{self, Objection, Side};
use heddle_model::name::Name;
use heddle_model::violation::Violation;
use heddle_model::wire;
use heddle_store::Tx;
use heddle_store::meshes::MeshRow;
use heddle_store::observations::{self, Seen};
use heddle_store::resources::{self, Stored};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::problem::Problem;
use crate::readiness;

/// Whoever called in plain text within so long counts as somebody who still does.
const LATELY: TimeDelta = TimeDelta::days(1);

/// The most objections that one answer lists.
const LISTED: usize = 1000;

/// What an object has to do with the modes of its mesh.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Concern<'a> {
    /// Nothing.
    No,
    /// It has ports that have modes.
    Service(&'a Service),
    /// It may ask who calls.
    Rule(&'a AccessRule),
}

impl Concern<'_> {
    /// Whether what took the place of another object can be judged by that one.
    pub(crate) fn is_like(self, before: Concern<'_>) -> bool {
        match (self, before) {
            (Self::No, _) => true,
            (Self::Service(now), Concern::Service(was)) => {
                now.mtls == was.mtls && said(now).eq(said(was))
            }
            (Self::Rule(now), Concern::Rule(was)) => {
                !decides_by_identity(now)
                    || (decides_by_identity(was)
                        && now.action == was.action
                        && now.expires == was.expires
                        && reach(now) == reach(was))
            }
            _ => false,
        }
    }
}

/// What the ports of a service say.
fn said(service: &Service) -> impl Iterator<Item = (&Name, bool, Option<mtls::MtlsMode>)> {
    let ports = service.ports.iter();
    ports.map(|port| (&port.name, port.protocol.is_tcp(), port.mtls))
}

/// The ports that a rule is about; `None`: all.
fn reach(rule: &AccessRule) -> Option<Vec<&Option<Vec<Name>>>> {
    let targets = rule.to.as_ref()?;
    Some(targets.iter().map(|target| &target.ports).collect())
}

fn decides_by_identity(rule: &AccessRule) -> bool {
    rule.asks_who_calls() && !rule.is_report_only()
}

fn takes_plain_text(side: Side<'_>) -> bool {
    let mut ports = side.service.ports.iter();
    ports.any(|port| {
        let found = mtls::in_force(side.mesh, side.service, port);
        found.mode.takes_plain_text()
    })
}

/// A stored mesh that cannot be read says nothing, as in translation.
fn mesh_of(row: &MeshRow) -> Mesh {
    wire::read_object(&row.spec.sent).unwrap_or_default()
}

/// What is to be written fits the modes of its mesh. Called under the lock of the mesh; `above` is the service of a rule.
pub(crate) async fn check<P: Permission<Access = access::Write>>(
    tx: &mut Tx<P>,
    row: &MeshRow,
    above: Option<Uuid>,
    (name, now): (&Name, Concern<'_>),
    existing: Option<&Stored>,
) -> Result<(), Problem> {
    match now {
        Concern::No => Ok(()),
        Concern::Service(service) => {
            let mesh = mesh_of(row);
            let was = existing.and_then(|stored| wire::read_object::<Service>(&stored.sent));
            let mesh = &mesh;
            let after = Side { mesh, service };
            let before = was.as_ref().map(|service| Side { mesh, service });
            let plain = takes_plain_text(after);
            if !plain && !before.is_some_and(takes_plain_text) {
                return Ok(());
            }
            let rules = match existing.filter(|_| plain) {
                None => Vec::new(),
                Some(stored) => {
                    let own = Some(stored.id);
                    let own = resources::all(tx, row.id, Kind::AccessRule, own).await?;
                    rules(own.iter(), tx.now())
                }
            };
            let objections = mtls::judge(before, after, &rules).into_iter();
            refuse(objections.map(|one| (one.pointer.clone(), one)))
        }
        Concern::Rule(rule) => {
            let Some(above) =
                above.filter(|_| decides_by_identity(rule) && !is_over(rule, tx.now()))
            else {
                return Ok(());
            };
            let above = ServiceId::from_uuid(above).to_string();
            let stored = resources::find(tx, row.id, Kind::Service, None, &above).await?;
            let Some(service) = stored.and_then(|one| wire::read_object::<Service>(&one.sent))
            else {
                return Ok(());
            };
            let (mesh, service) = (&mesh_of(row), &service);
            let rules = [(name.clone(), rule.clone())];
            let objections = mtls::judge(None, Side { mesh, service }, &rules).into_iter();
            refuse(objections.map(|one| (in_rule(rule), one)))
        }
    }
}

/// No port of a service is closed to somebody who calls it in plain text. Called under the lock of the mesh.
pub(crate) async fn check_callers<P: Permission<Access = access::Write>>(
    tx: &mut Tx<P>,
    row: &MeshRow,
    (name, now): (&Name, Concern<'_>),
    existing: Option<&Stored>,
) -> Result<(), Problem> {
    let (Concern::Service(service), Some(stored)) = (now, existing) else {
        return Ok(());
    };
    let Some(was) = wire::read_object::<Service>(&stored.sent) else {
        return Ok(());
    };
    let mesh = &mesh_of(row);
    let side = |service| Side { mesh, service };
    let sides = (side(&was), side(service));
    let objections = plain_callers(tx, row.id, name, sides).await?.into_iter();
    refuse(objections.map(|one| (one.pointer.clone(), one)))
}

/// Who called in plain text within the last day, at ports that would not take it any more.
async fn plain_callers<P: Permission<Access = access::Write>>(
    tx: &mut Tx<P>,
    mesh: MeshId,
    service: &Name,
    (before, after): (Side<'_>, Side<'_>),
) -> Result<Vec<Objection>, Problem> {
    let closed = mtls::closed(before, after);
    if closed.is_empty() {
        return Ok(Vec::new());
    }
    let since = tx.now() - LATELY;
    let seen = observations::seen(tx, mesh, Some(service), since).await?;
    let objection = |port: mtls::Closed| {
        let of_port = seen.iter().filter(|one| one.port == port.port);
        let left: Vec<&Seen> = of_port.filter(|one| readiness::would_fail(one)).collect();
        let detail = readiness::named(&left)?;
        Some(Objection {
            pointer: port.pointer,
            said: port.said,
            rule: None,
            code: Code::PlainCallersLeft,
            detail: format!(
                "port {} would take mutual TLS alone, and within the last day it was called in plain text by {detail}",
                port.port
            ),
        })
    };
    Ok(closed.into_iter().filter_map(objection).collect())
}

/// Where a rule asks who calls.
fn in_rule(rule: &AccessRule) -> String {
    let field = match rule.from {
        Some(_) => "/from",
        // All workloads of the mesh.
        None => "",
    };
    field.to_owned()
}

/// A rule whose time is over decides nothing; whoever gives it more time writes it.
fn is_over(rule: &AccessRule, now: DateTime<Utc>) -> bool {
    rule.ends().is_some_and(|at| at <= now)
}

/// Those that are in force.
fn rules<'a>(
    stored: impl Iterator<Item = &'a Stored>,
    now: DateTime<Utc>,
) -> Vec<(Name, AccessRule)> {
    let read = |stored: &Stored| {
        let rule = wire::read_object::<AccessRule>(&stored.sent)?;
        (!is_over(&rule, now)).then(|| (stored.name.clone(), rule))
    };
    stored.filter_map(read).collect()
}

/// Under the code of the first: rules that would be about nobody before steps.
fn refuse(objections: impl Iterator<Item = (String, Objection)>) -> Result<(), Problem> {
    let violation = |(pointer, one): (String, Objection)| Violation {
        pointer,
        code: one.code,
        detail: one.detail,
        hint: None,
    };
    let mut errors: Vec<Violation> = objections.map(violation).take(LISTED).collect();
    errors.sort_by(|a, b| (a.code, &a.pointer).cmp(&(b.code, &b.pointer)));
    match errors.first() {
        None => Ok(()),
        Some(first) => Err(Problem::broken(first.code, errors)),
    }
}

/// A mesh that says another mode than before fits its services and their rules. Called once it is written, so that nobody writes
/// anything in between.
pub(crate) async fn check_mesh<P: Permission<Access = access::Write>>(
    tx: &mut Tx<P>,
    row: &MeshRow,
    after: &Mesh,
    accept_plain_callers: bool,
) -> Result<(), Problem> {
    let before = mesh_of(row);
    if before.mtls == after.mtls {
        return Ok(());
    }
    let found = Surroundings::new(before, after.clone(), accept_plain_callers)
        .judge(tx, row.id)
        .await?;
    refuse(found.into_iter().map(|Found { service, objection }| {
        let detail = format!("service {service}: {}", objection.detail);
        (
            String::from("/mtls"),
            Objection {
                detail,
                ..objection
            },
        )
    }))
}

/// A mesh before and after a write of several objects.
pub(crate) struct Surroundings {
    before: Mesh,
    after: Mesh,
    /// The services that were something else before, or nothing.
    were: BTreeMap<Uuid, Option<Service>>,
    /// Ports may be closed although somebody calls them in plain text.
    accept_plain_callers: bool,
}

/// What stands against the modes of a service.
pub(crate) struct Found {
    pub(crate) service: Name,
    pub(crate) objection: Objection,
}

impl Surroundings {
    /// The mesh itself before and after.
    pub(crate) const fn new(before: Mesh, after: Mesh, accept_plain_callers: bool) -> Self {
        Self {
            before,
            after,
            were: BTreeMap::new(),
            accept_plain_callers,
        }
    }

    /// The same mesh before and after.
    pub(crate) fn of(row: &MeshRow, accept_plain_callers: bool) -> Self {
        Self::new(mesh_of(row), mesh_of(row), accept_plain_callers)
    }

    /// A service was this before it was written.
    pub(crate) fn was(&mut self, service: Uuid, sent: Option<&Map<String, Value>>) {
        self.were.insert(service, sent.and_then(wire::read_object));
    }

    /// Judges all services of the mesh as they were written.
    pub(crate) async fn judge<P: Permission<Access = access::Write>>(
        &self,
        tx: &mut Tx<P>,
        mesh: MeshId,
    ) -> Result<Vec<Found>, Problem> {
        let now = tx.now();
        let all = resources::placed(tx, mesh, &[Kind::Service, Kind::AccessRule]).await?;
        let mut found = Vec::new();
        // Most services of most meshes are never called in plain text.
        let called = match self.accept_plain_callers {
            true => BTreeSet::new(),
            false => observations::called(tx, mesh, now - LATELY).await?,
        };
        for placed in all.iter().filter(|one| one.stored.kind == Kind::Service) {
            let stored = &placed.stored;
            let Some(service) = wire::read_object::<Service>(&stored.sent) else {
                continue;
            };
            let was = match self.were.get(&stored.id) {
                Some(was) => was.as_ref(),
                None => Some(&service),
            };
            let before = was.map(|service| Side {
                mesh: &self.before,
                service,
            });
            let after = Side {
                mesh: &self.after,
                service: &service,
            };
            let rules = match takes_plain_text(after) {
                true => {
                    let of_service = |one: &&Stored| {
                        one.kind == Kind::AccessRule && one.parent == Some(stored.id)
                    };
                    let all = all.iter().map(|placed| &placed.stored);
                    rules(all.filter(of_service), now)
                }
                false => Vec::new(),
            };
            let mut objections = mtls::judge(before, after, &rules);
            if let Some(before) = before.filter(|_| called.contains(&stored.name)) {
                let (tx, name) = (&mut *tx, &stored.name);
                objections.extend(plain_callers(tx, mesh, name, (before, after)).await?);
            }
            found.extend(objections.into_iter().map(|objection| Found {
                service: stored.name.clone(),
                objection,
            }));
        }
        Ok(found)
    }
}

/// The same as [`refuse`] for objects in a list of their own.
pub(crate) fn refuse_at(
    found: Vec<Found>,
    place: impl Fn(&Found) -> Option<String>,
) -> Result<(), Problem> {
    let placed = found
        .into_iter()
        .filter_map(|one| Some((place(&one)?, one.objection)));
    refuse(placed)
}

/// Whether what was sent as a service could be about modes.
pub(crate) fn is_mentioned(sent: &Map<String, Value>) -> bool {
    let ports = sent.get("ports").and_then(Value::as_array);
    let mut ports = ports.into_iter().flatten();
    sent.contains_key("mtls") || ports.any(|port| port.get("mtls").is_some())
}

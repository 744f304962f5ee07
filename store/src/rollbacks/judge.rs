//! What must hold of a mesh after a step back: every rule that is broken, at once.

use std::collections::{BTreeMap, BTreeSet};

use heddle_model::code::Code;
use heddle_model::id::MeshId;
use heddle_model::kind::{self, Kind, Service};
use heddle_model::name::Name;
use heddle_model::wire;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::Obstacle;
use crate::error::{Result, inconsistent};
use crate::meshes::MeshRow;
use crate::revisions::{Difference, Placed};
use crate::tx::Work;

/// Rules about single objects that what would be written breaks: newer than the revision, or broken by a merge.
pub(super) fn content(steps: &[Placed<Difference>]) -> Vec<Obstacle> {
    let mut obstacles = Vec::new();
    for step in steps {
        let Some(after) = &step.object.after else {
            continue;
        };
        if let Err(violations) = kind::references(step.object.kind, after) {
            let broken = violations.into_sorted().into_iter();
            obstacles.extend(broken.map(|v| obstacle(step, v.pointer, v.code, v.detail)));
        }
    }
    obstacles
}

fn obstacle(
    step: &Placed<Difference>,
    pointer: String,
    code: Code,
    detail: impl Into<String>,
) -> Obstacle {
    let side = |spec: &Option<Map<String, Value>>| {
        let whole = Value::Object(spec.clone()?);
        whole.pointer(&pointer).cloned()
    };
    let (current, wanted) = (side(&step.object.before), side(&step.object.after));
    Obstacle {
        id: step.object.id,
        kind: step.object.kind,
        name: step.object.name.clone(),
        parents: step.parents.clone(),
        pointer,
        code,
        detail: detail.into(),
        current,
        wanted,
    }
}

/// An object of the mesh as it is now.
struct Now {
    id: Uuid,
    kind: Kind,
    parent: Option<Uuid>,
    name: Name,
    spec: Map<String, Value>,
}

/// An object as it would be.
struct Seen<'a> {
    kind: Kind,
    parent: Option<Uuid>,
    name: &'a Name,
    spec: &'a Map<String, Value>,
}

/// The mesh as it would be: what is there now, with the steps taken.
struct Outcome<'a> {
    objects: BTreeMap<Uuid, Seen<'a>>,
}

/// Rules about several objects that would be broken by a step: parents, names, priorities, references, hosts, local ports.
pub(super) async fn surroundings(
    work: &mut Work,
    mesh: &MeshRow,
    steps: &[Placed<Difference>],
) -> Result<Vec<Obstacle>> {
    let now = everything(work, mesh.id).await?;
    let mut objects = BTreeMap::new();
    for one in &now {
        objects.insert(
            one.id,
            Seen {
                kind: one.kind,
                parent: one.parent,
                name: &one.name,
                spec: &one.spec,
            },
        );
    }
    for Placed { object, .. } in steps {
        match &object.after {
            Some(after) => {
                let entry = Seen {
                    kind: object.kind,
                    parent: object.parent,
                    name: &object.name,
                    spec: after,
                };
                objects.insert(object.id, entry);
            }
            None => drop(objects.remove(&object.id)),
        }
    }
    let outcome = Outcome { objects };
    let mut obstacles = Vec::new();
    for step in steps {
        match &step.object.after {
            None => outcome.judge_removal(step, &mut obstacles),
            Some(after) => {
                outcome.judge_place(step, &mut obstacles);
                outcome.judge_references(step, after, &mut obstacles);
            }
        }
    }
    outcome.judge_hosts(mesh, steps, &mut obstacles);
    outcome.judge_local_ports(steps, &mut obstacles);
    Ok(obstacles)
}

async fn everything(work: &mut Work, mesh: MeshId) -> Result<Vec<Now>> {
    let rows: Vec<(Uuid, String, Option<Uuid>, String, Value)> = sqlx::query_as(
        "select r.id, r.kind, r.parent_id, r.name, r.spec from heddle.resources r \
         where r.mesh_id = $1 and r.to_revision is null",
    )
    .bind(mesh.uuid())
    .fetch_all(work.conn())
    .await?;
    rows.into_iter()
        .map(|(id, kind, parent, name, spec)| {
            let Value::Object(spec) = spec else {
                return Err(inconsistent("resources", "spec", id, "not an object"));
            };
            Ok(Now {
                id,
                kind: kind
                    .parse()
                    .map_err(|e| inconsistent("resources", "kind", id, e))?,
                parent,
                name: name
                    .parse()
                    .map_err(|e| inconsistent("resources", "name", id, e))?,
                spec,
            })
        })
        .collect()
}

impl Outcome<'_> {
    fn has(&self, wanted: Kind, called: &Name) -> bool {
        let mut all = self.objects.values();
        all.any(|one| one.kind == wanted && one.name == called)
    }

    /// What goes takes nothing along that came later. What refers to it stays as it is, as with every other way to delete.
    fn judge_removal(&self, step: &Placed<Difference>, obstacles: &mut Vec<Obstacle>) {
        let gone = &step.object;
        for below in self.objects.values() {
            if below.parent == Some(gone.id) {
                let (kind, name) = (below.kind.as_str(), below.name);
                let detail = format!("{kind} {name} was added below it by a later revision");
                obstacles.push(obstacle(step, String::new(), Code::EditConflict, detail));
            }
        }
    }

    /// What comes back has something to be below, and its name and priority are free.
    fn judge_place(&self, step: &Placed<Difference>, obstacles: &mut Vec<Obstacle>) {
        let object = &step.object;
        let orphaned = object
            .parent
            .is_some_and(|parent| !self.objects.contains_key(&parent));
        if orphaned {
            let detail = "what it was below was deleted by a later revision";
            obstacles.push(obstacle(step, String::new(), Code::EditConflict, detail));
        }
        let siblings = self.objects.iter().filter(|(id, one)| {
            **id != object.id && one.kind == object.kind && one.parent == object.parent
        });
        for (
            _,
            Seen {
                kind, name, spec, ..
            },
        ) in siblings
        {
            if object.before.is_none() && **name == object.name {
                let detail = "another object has this name now";
                obstacles.push(obstacle(
                    step,
                    String::from("/name"),
                    Code::AlreadyExists,
                    detail,
                ));
            }
            let priority = object
                .after
                .as_ref()
                .and_then(|after| after.get("priority"));
            if *kind == Kind::Route && priority.is_some() && spec.get("priority") == priority {
                let detail = format!("route {name} of this service has the same priority");
                obstacles.push(obstacle(
                    step,
                    String::from("/priority"),
                    Code::PriorityTaken,
                    detail,
                ));
            }
        }
    }

    fn judge_references(
        &self,
        step: &Placed<Difference>,
        after: &Map<String, Value>,
        obstacles: &mut Vec<Obstacle>,
    ) {
        let references = kind::references(step.object.kind, after).unwrap_or_default();
        for (pointer, kind, name) in references {
            if !self.has(kind, &name) {
                let kind = kind.as_str();
                let detail = format!("there is no {kind} {name} in this mesh any more");
                obstacles.push(obstacle(step, pointer, Code::UnknownReference, detail));
            }
        }
    }

    /// Every local port that a step claims is claimed once.
    fn judge_local_ports(&self, steps: &[Placed<Difference>], obstacles: &mut Vec<Obstacle>) {
        let services = self.objects.iter();
        let services = services.filter(|(_, seen)| seen.kind == Kind::Service);
        let mut owners: BTreeMap<u16, Vec<(Uuid, &Name)>> = BTreeMap::new();
        for (id, seen) in services {
            for (_, port) in local_ports(seen.spec, seen.name) {
                owners.entry(port).or_default().push((*id, seen.name));
            }
        }
        let steps = steps
            .iter()
            .filter(|step| step.object.kind == Kind::Service);
        for step in steps {
            let Some(after) = &step.object.after else {
                continue;
            };
            for (pointer, port) in local_ports(after, &step.object.name) {
                let others = owners.get(&port).into_iter().flatten();
                for (_, owner) in others.filter(|(id, _)| *id != step.object.id) {
                    let detail = format!("callers of service {owner} have local port {port}");
                    obstacles.push(obstacle(
                        step,
                        pointer.clone(),
                        Code::LocalPortTaken,
                        detail,
                    ));
                }
            }
        }
    }

    /// Every host that a step claims is claimed once.
    fn judge_hosts(
        &self,
        mesh: &MeshRow,
        steps: &[Placed<Difference>],
        obstacles: &mut Vec<Obstacle>,
    ) {
        let mut owners: BTreeMap<String, BTreeSet<(Uuid, &Name)>> = BTreeMap::new();
        for (
            id,
            Seen {
                kind, name, spec, ..
            },
        ) in &self.objects
        {
            if *kind == Kind::Service {
                let own = [name.to_string(), format!("{name}.{}.mesh", mesh.name)];
                for host in own
                    .into_iter()
                    .chain(hostnames(spec).map(|(_, host)| host.to_owned()))
                {
                    owners.entry(host).or_default().insert((*id, *name));
                }
            }
        }
        for step in steps {
            let Some(after) = step
                .object
                .after
                .as_ref()
                .filter(|_| step.object.kind == Kind::Service)
            else {
                continue;
            };
            let own = (String::from("/name"), step.object.name.as_str());
            for (pointer, host) in std::iter::once(own).chain(hostnames(after)) {
                let others = owners.get(host).into_iter().flatten();
                for (_, owner) in others.filter(|(id, _)| *id != step.object.id) {
                    let detail = format!("service {owner} answers for the host {host}");
                    obstacles.push(obstacle(step, pointer.clone(), Code::HostTaken, detail));
                }
            }
        }
    }
}

/// What a service that can be read claims.
fn local_ports(spec: &Map<String, Value>, name: &Name) -> Vec<(String, u16)> {
    let service = wire::read_object::<Service>(spec);
    let ports = service.map(|service| service.ports).unwrap_or_default();
    let ports = ports.iter().enumerate();
    ports
        .filter_map(|(i, port)| Some((format!("/ports/{i}/local_port"), port.local_port(name)?)))
        .collect()
}

fn hostnames(spec: &Map<String, Value>) -> impl Iterator<Item = (String, &str)> {
    let listed = spec.get("hostnames").and_then(Value::as_array);
    let listed = listed.into_iter().flatten().enumerate();
    listed.filter_map(|(i, host)| Some((format!("/hostnames/{i}"), host.as_str()?)))
}

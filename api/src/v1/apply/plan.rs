//! What an apply will do, and everything that stands against it. Pure: the objects of the mesh in, a plan out.

use std::collections::{BTreeMap, BTreeSet};

use heddle_model::code::Code;
use heddle_model::kind::Kind;
use heddle_model::kind::changes::Changes;
use heddle_model::manager::ManagedBy;
use heddle_model::name::Name;
use heddle_model::violation::{Violation, Violations};
use heddle_store::resources::{Pair, Stored};
use serde::Serialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::body::{ApplyMode, Item, Wanted};
use crate::declared::kinds::Described;
use crate::ownership::Writer;

/// What becomes of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Done {
    Created,
    Replaced,
    Unchanged,
    Deleted,
    /// It would go, but something below it is not the manager's.
    Kept,
}

/// A kind and the names of what an object is below, outermost first, with its own.
type Key = (Kind, Vec<Name>);

/// Who has something that only one may have: by name, and where the list says so.
type Holders<P> = Vec<(Name, Option<P>)>;

/// One item of the list, with what there is of it.
#[derive(Debug)]
pub(super) struct Planned<'a> {
    pub(super) item: &'a Item<'a>,
    pub(super) index: usize,
    pub(super) existing: Option<&'a Stored>,
    pub(super) done: Done,
    pub(super) owner: Option<ManagedBy>,
    pub(super) finding: Option<Violation>,
}

/// The plan. Its items are in an order in which parents come first.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    there: BTreeMap<Key, &'a Stored>,
    pub(super) items: Vec<Planned<'a>>,
    /// What goes, and what would go if it could.
    pub(super) left: Vec<(&'a Stored, Key, Done)>,
}

fn at(index: usize, inside: &str) -> String {
    format!("/resources/{index}{inside}")
}

fn broken(pointer: String, code: Code, detail: impl Into<String>) -> Violation {
    Violation {
        pointer,
        code,
        detail: detail.into(),
        hint: None,
    }
}

/// What the objects of a mesh are called. An object without its parent is not called anything.
fn keys<'a>(current: &'a [Stored]) -> BTreeMap<Key, &'a Stored> {
    let by_id: BTreeMap<Uuid, &Stored> = current.iter().map(|one| (one.id, one)).collect();
    let path = |stored: &'a Stored| {
        let mut path = vec![stored.name.clone()];
        let mut next = stored.parent;
        while let Some(id) = next {
            let parent = by_id.get(&id)?;
            path.push(parent.name.clone());
            next = parent.parent;
        }
        path.reverse();
        Some(path)
    };
    current
        .iter()
        .filter_map(|stored| Some(((stored.kind, path(stored)?), stored)))
        .collect()
}

impl<'a> Plan<'a> {
    /// Finds what there is of each item, and judges the mesh as it would be.
    pub(super) fn make(
        wanted: &'a Wanted<'a>,
        current: &'a [Stored],
        described: &[Described],
        writer: &Writer,
        changes: &Changes,
        mesh: &Name,
    ) -> Result<Self, Violations> {
        let mut violations = Violations::new();
        let there = keys(current);
        let listed: BTreeMap<Key, usize> = wanted
            .items
            .iter()
            .enumerate()
            .map(|(index, item)| ((item.described.kind, item.path().to_vec()), index))
            .collect();
        let left = left(wanted, &there, &listed, writer, described);
        let gone: BTreeSet<&Key> = left
            .iter()
            .filter(|(_, _, done)| *done == Done::Deleted)
            .map(|(_, key, _)| key)
            .collect();
        let will_be = |key: &Key| {
            listed.contains_key(key) || (there.contains_key(key) && !gone.contains(key))
        };

        let mut items = Vec::new();
        for (index, item) in wanted.items.iter().enumerate() {
            let key = (item.described.kind, item.path().to_vec());
            for (depth, parent) in item.described.parents.iter().enumerate() {
                let key = (*parent, item.path()[..=depth].to_vec());
                if !will_be(&key) {
                    let kind = parent.as_str();
                    let name = &item.path()[depth];
                    let detail =
                        format!("there is no {kind} {name}, neither in the mesh nor in the list");
                    let pointer = at(index, &format!("/{kind}"));
                    violations.push(broken(pointer, Code::UnknownReference, detail));
                    break;
                }
            }
            let existing = there.get(&key).copied();
            if let Some(etag) = &item.etag
                && existing.map(Stored::etag).as_ref() != Some(etag)
            {
                let detail = "the object is not in the state that `meta.etag` names";
                violations.push(broken(at(index, "/meta/etag"), Code::StaleEtag, detail));
            }
            let before = existing.map(|stored| (item.described.facts)(&stored.sent, &stored.name));
            for (inside, kind, name) in (item.described.facts)(&item.sent, &item.name).references {
                let known = before.iter().flat_map(|facts| &facts.references);
                let mut known = known.map(|(_, kind, name)| (kind, name));
                if !will_be(&(kind, vec![name.clone()])) && !known.any(|one| one == (&kind, &name))
                {
                    let detail = format!("there is no {} {name} in this mesh", kind.as_str());
                    violations.push(broken(at(index, &inside), Code::UnknownReference, detail));
                }
            }
            let owner = existing.and_then(|stored| stored.managed_by.as_ref());
            match writer.judge(owner, changes) {
                Ok(verdict) => items.push(Planned {
                    item,
                    index,
                    existing,
                    done: if existing.is_some() {
                        Done::Unchanged
                    } else {
                        Done::Created
                    },
                    owner: verdict.owner,
                    finding: verdict.finding,
                }),
                Err(detail) => {
                    violations.push(broken(at(index, ""), Code::ManagedElsewhere, detail));
                }
            }
        }
        unique(
            wanted,
            &there,
            &listed,
            &gone,
            described,
            mesh,
            &mut violations,
        );
        violations.into_result()?;
        items.sort_by_key(|planned| planned.item.path().len());
        Ok(Self { there, items, left })
    }

    /// What there is and what is wanted instead, of each item that exists.
    pub(super) fn pairs(&self) -> Vec<Pair<'a>> {
        let pair = |planned: &Planned<'a>| Some((&planned.existing?.sent, &planned.item.sent));
        self.items.iter().filter_map(pair).collect()
    }

    /// Learns which of those pairs are equal, and what the mesh demands of changes.
    pub(super) fn settle(&mut self, equal: &[bool], changes: &Changes) -> Result<(), Violations> {
        let mut violations = Violations::new();
        let existing = self
            .items
            .iter_mut()
            .filter(|planned| planned.existing.is_some());
        for (planned, equal) in existing.zip(equal) {
            if *equal {
                planned.finding = None;
                continue;
            }
            planned.done = Done::Replaced;
            if changes.requires_if_match() && planned.item.etag.is_none() {
                let detail = "this mesh wants `meta.etag` with every change of what exists";
                let pointer = at(planned.index, "/meta/etag");
                violations.push(broken(pointer, Code::PreconditionRequired, detail));
            }
        }
        violations.into_result()
    }

    /// The identifier of what an item is below, when the mesh has it already.
    pub(super) fn parent_there(&self, item: &Item<'_>) -> Option<Uuid> {
        let kind = item.described.parents.last()?;
        let above = item.path()[..item.path().len() - 1].to_vec();
        self.there.get(&(*kind, above)).map(|stored| stored.id)
    }

    /// What goes.
    pub(super) fn pruned(&self) -> impl Iterator<Item = &'a Stored> + '_ {
        let gone = self
            .left
            .iter()
            .filter(|(_, _, done)| *done == Done::Deleted);
        gone.map(|(stored, _, _)| *stored)
    }

    /// Whether anything of this kind is written or goes.
    pub(super) fn touches(&self, kind: Kind) -> bool {
        let written = self.items.iter().any(|planned| {
            planned.item.described.kind == kind
                && (planned.done != Done::Unchanged
                    || planned
                        .existing
                        .is_some_and(|stored| stored.managed_by != planned.owner))
        });
        written || self.pruned().any(|stored| stored.kind == kind)
    }
}

/// Of what the manager of a sync manages and does not list: what goes, and what stays because something that is not its
/// own, or that it lists, is below it.
fn left<'a>(
    wanted: &Wanted<'_>,
    there: &BTreeMap<Key, &'a Stored>,
    listed: &BTreeMap<Key, usize>,
    writer: &Writer,
    described: &[Described],
) -> Vec<(&'a Stored, Key, Done)> {
    let Some(manager) = writer
        .manager
        .as_ref()
        .filter(|_| wanted.mode == ApplyMode::Sync)
    else {
        return Vec::new();
    };
    let own = |key: &Key, stored: &Stored| {
        !listed.contains_key(key)
            && stored
                .managed_by
                .as_ref()
                .is_some_and(|owner| owner.is(manager))
    };
    let parents = |kind: Kind| {
        let found = described.iter().find(|one| one.kind == kind);
        found.map_or(&[][..], |one| one.parents)
    };
    let mut held = BTreeSet::new();
    let foreign = there
        .iter()
        .filter(|(key, stored)| !own(key, stored))
        .map(|(key, _)| key);
    for (kind, path) in foreign.chain(listed.keys()) {
        for (depth, parent) in parents(*kind).iter().enumerate() {
            held.insert((*parent, path[..=depth].to_vec()));
        }
    }
    let mut left: Vec<_> = there
        .iter()
        .filter(|(key, stored)| own(key, stored))
        .map(|(key, stored)| {
            let done = if held.contains(key) {
                Done::Kept
            } else {
                Done::Deleted
            };
            (*stored, key.clone(), done)
        })
        .collect();
    left.sort_by(|a, b| a.1.cmp(&b.1));
    left
}

/// Hosts and local ports belong to one service, priorities to one route of theirs, in the mesh as it would be.
fn unique(
    wanted: &Wanted<'_>,
    there: &BTreeMap<Key, &Stored>,
    listed: &BTreeMap<Key, usize>,
    gone: &BTreeSet<&Key>,
    described: &[Described],
    mesh: &Name,
    violations: &mut Violations,
) {
    let mut hosts: BTreeMap<String, Holders<(usize, String)>> = BTreeMap::new();
    let mut local_ports: BTreeMap<u16, Holders<(usize, String)>> = BTreeMap::new();
    let mut priorities: BTreeMap<(Vec<Name>, String), Holders<usize>> = BTreeMap::new();
    let mut add = |key: &Key, sent: &Map<String, Value>, index: Option<usize>| {
        let (Some(described), Some(name)) =
            (described.iter().find(|one| one.kind == key.0), key.1.last())
        else {
            return;
        };
        let facts = (described.facts)(sent, name);
        for (inside, port) in facts.local_ports {
            let holder = (name.clone(), index.map(|index| (index, inside)));
            local_ports.entry(port).or_default().push(holder);
        }
        for (inside, host) in facts.hosts {
            let holder = (name.clone(), index.map(|index| (index, inside)));
            hosts.entry(host).or_default().push(holder);
        }
        if key.0 == Kind::Service {
            hosts
                .entry(format!("{name}.{mesh}.mesh"))
                .or_default()
                .push((name.clone(), None));
        }
        if let Some(priority) = sent.get("priority").filter(|_| key.0 == Kind::Route) {
            let siblings = key.1[..key.1.len() - 1].to_vec();
            priorities
                .entry((siblings, priority.to_string()))
                .or_default()
                .push((name.clone(), index));
        }
    };
    for (key, stored) in there
        .iter()
        .filter(|(key, _)| !listed.contains_key(key) && !gone.contains(key))
    {
        add(key, &stored.sent, None);
    }
    for (key, index) in listed {
        add(key, &wanted.items[*index].sent, Some(*index));
    }
    for (host, holders) in hosts {
        for (name, place) in &holders {
            let other = holders.iter().find(|(other, _)| other != name);
            if let (Some((index, inside)), Some((other, _))) = (place, other) {
                let detail = format!("service {other} answers for the host {host}");
                violations.push(broken(at(*index, inside), Code::HostTaken, detail));
            }
        }
    }
    for (port, holders) in local_ports {
        for (i, (_, place)) in holders.iter().enumerate() {
            let others = holders.iter().enumerate();
            let other = others
                .filter(|(other, _)| *other != i)
                .map(|(_, one)| one)
                .next();
            if let (Some((index, inside)), Some((other, _))) = (place, other) {
                let detail = format!("callers of service {other} have local port {port}");
                violations.push(broken(at(*index, inside), Code::LocalPortTaken, detail));
            }
        }
    }
    for (_, holders) in priorities {
        for (name, place) in &holders {
            let other = holders.iter().find(|(other, _)| other != name);
            if let (Some(index), Some((other, _))) = (place, other) {
                let detail = format!("route {other} of this service has the same priority");
                violations.push(broken(at(*index, "/priority"), Code::PriorityTaken, detail));
            }
        }
    }
}

/// A finding about an object that a sync leaves although its manager does not list it.
pub(super) fn kept() -> Value {
    json!([broken(
        String::new(),
        Code::ManagedElsewhere,
        "something below it is listed or not managed by the same program, so it stays",
    )])
}

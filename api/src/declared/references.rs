//! What an object names and what it claims, judged against the other objects of its mesh.

use std::collections::{BTreeMap, BTreeSet};

use heddle_model::code::Code;
use heddle_model::kind::{Kind, Service};
use heddle_model::name::Name;
use heddle_model::violation::{Violation, Violations};
use heddle_model::wire;
use heddle_store::Tx;
use heddle_store::resources::{self, Stored};

use super::{Declared, Place};
use crate::problem::Problem;
use crate::{guardrails, mtls};

/// What an object newly names and claims, each with its pointer.
#[derive(Debug, Default)]
struct New {
    services: Vec<(String, Name)>,
    profile: Option<(String, Name)>,
    hosts: Vec<(String, String)>,
    local_ports: Vec<(String, u16)>,
}

impl New {
    /// What it named before is not asked for again: a service may go while others refer to it, and they can still be written. What
    /// hosts it had, nobody else got.
    fn of<T: Declared>(value: &T, name: &Name, existing: Option<&Stored>) -> Self {
        let mut new = Self {
            services: value.service_references(),
            profile: value.profile_reference(),
            hosts: value.hosts(name),
            local_ports: value.local_ports(name),
        };
        if let Some(before) = existing.and_then(|stored| wire::read_object::<T>(&stored.sent)) {
            let had = before.hosts(name);
            new.hosts
                .retain(|(_, host)| !had.iter().any(|(_, had)| had == host));
            let bound = before.local_ports(name);
            new.local_ports
                .retain(|(_, port)| !bound.iter().any(|(_, had)| had == port));
            let profile = before.profile_reference().map(|(_, name)| name);
            new.profile = new.profile.filter(|(_, now)| profile.as_ref() != Some(now));
            let named = before.service_references();
            new.services
                .retain(|(_, name)| !named.iter().any(|(_, named)| named == name));
        }
        new
    }
}

/// Whether an object can take the place of another without a look at the rest of its mesh.
pub(super) fn names_nothing_new<T: Declared>(value: &T, name: &Name, existing: &Stored) -> bool {
    let before = wire::read_object::<T>(&existing.sent);
    let new = New::of(value, name, Some(existing));
    new.services.is_empty()
        && new.profile.is_none()
        && new.hosts.is_empty()
        && new.local_ports.is_empty()
        && before.is_some_and(|before| value.mtls().is_like(before.mtls()))
}

/// An object keeps the guardrails of its mesh. What it names must exist in this mesh, and the hosts that it claims must be free. What it named before is not
/// asked for again: a service may go while others refer to it, and they can still be written.
pub(super) async fn check_references<T: Declared>(
    tx: &mut Tx<T::Write>,
    place: &Place,
    value: &T,
    name: &Name,
    existing: Option<&Stored>,
) -> Result<(), Problem> {
    guardrails::check(&place.mesh, value)?;
    // The mesh is locked.
    let New {
        services: references,
        profile,
        hosts,
        local_ports,
    } = New::of(value, name, existing);
    let names: Vec<Name> = references.iter().map(|(_, name)| name.clone()).collect();
    let exists = match names.as_slice() {
        [] => Vec::new(),
        names => resources::service_exists(tx, place.mesh.id, names).await?,
    };
    let mut violations = Violations::new();
    for ((pointer, name), exists) in references.into_iter().zip(exists) {
        if !exists {
            violations.push(Violation {
                pointer,
                code: Code::UnknownReference,
                detail: format!("there is no service {name} in this mesh"),
                hint: None,
            });
        }
    }
    if let Some((pointer, profile)) = profile {
        let names = [profile];
        let exists = resources::exists(tx, place.mesh.id, Kind::Profile, &names).await?;
        if exists != [true] {
            violations.push(Violation {
                pointer,
                code: Code::UnknownReference,
                detail: format!("there is no profile {} in this mesh", names[0]),
                hint: None,
            });
        }
    }
    violations.into_result().map_err(Problem::invalid)?;
    let mut taken = Violations::new();
    let own = existing.map(|stored| stored.id);
    for (pointer, host) in hosts {
        if let Some(owner) = resources::host_owner(tx, place.mesh.id, &host, own).await? {
            taken.push(Violation {
                pointer,
                code: Code::HostTaken,
                detail: format!("service {owner} answers for the host {host}"),
                hint: None,
            });
        }
    }
    taken.into_result().map_err(Problem::host_taken)?;
    check_local_ports::<T>(tx, place, local_ports, own).await?;
    let judged = (name, value.mtls());
    mtls::check(tx, &place.mesh, place.parent, judged, existing).await
}

/// Callers find one `tcp` port of the mesh at each local port.
async fn check_local_ports<T: Declared>(
    tx: &mut Tx<T::Write>,
    place: &Place,
    claimed: Vec<(String, u16)>,
    own: Option<uuid::Uuid>,
) -> Result<(), Problem> {
    if claimed.is_empty() {
        return Ok(());
    }
    let services = resources::placed(tx, place.mesh.id, &[Kind::Service]).await?;
    let others = services
        .iter()
        .map(|placed| &placed.stored)
        .filter(|stored| Some(stored.id) != own);
    let mut owners = BTreeMap::new();
    for stored in others {
        let Some(service) = wire::read_object::<Service>(&stored.sent) else {
            continue;
        };
        for (_, port) in service.local_ports(&stored.name) {
            owners.entry(port).or_insert(&stored.name);
        }
    }
    let mut taken = Violations::new();
    let mut here = BTreeSet::new();
    for (pointer, port) in claimed {
        let detail = match owners.get(&port) {
            _ if !here.insert(port) => format!("another port of the service has local port {port}"),
            Some(owner) => format!("callers of service {owner} have local port {port}"),
            None => continue,
        };
        taken.push(Violation {
            pointer,
            code: Code::LocalPortTaken,
            detail,
            hint: None,
        });
    }
    taken.into_result().map_err(Problem::local_port_taken)
}

//! The kinds as values: for work on objects of several kinds at once.

use heddle_model::authz::{Action, Permission};
use heddle_model::guardrails::Guardrails;
use heddle_model::kind::{AccessRule, Kind, Profile, Route, Service, Split};
use heddle_model::name::Name;
use heddle_model::violation::Violations;
use heddle_model::wire;
use serde_json::{Map, Value};

use super::Declared;
use crate::guardrails;

/// A kind without its type.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Described {
    pub(crate) kind: Kind,
    pub(crate) parents: &'static [Kind],
    /// Whether its parent has at most one.
    pub(crate) single: bool,
    /// What may write it.
    pub(crate) action: Action,
    /// Judges what was sent.
    pub(crate) decode: fn(Map<String, Value>) -> Result<Parsed, Violations>,
    /// What of it the guardrails of the mesh do not let anybody write.
    pub(crate) guard: fn(&Guardrails, &Map<String, Value>) -> Violations,
    /// What follows from what was sent; nothing from what makes no sense.
    pub(crate) facts: fn(&Map<String, Value>, &Name) -> Facts,
}

/// An object that was judged by itself.
#[derive(Debug, Clone)]
pub(crate) struct Parsed {
    pub(crate) sent: Map<String, Value>,
    pub(crate) etag: Option<String>,
}

/// What an object means to others, each with its pointer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts {
    /// The objects directly below the mesh that it names.
    pub(crate) references: Vec<(String, Kind, Name)>,
    /// The hosts that it claims.
    pub(crate) hosts: Vec<(String, String)>,
    /// The local ports that it claims.
    pub(crate) local_ports: Vec<(String, u16)>,
}

impl Described {
    fn of<T: Declared>() -> Self {
        Self {
            kind: T::KIND,
            parents: T::PARENTS,
            single: T::SINGLE,
            action: <T::Write as Permission>::ACTION,
            decode: |sent| {
                let decoded = wire::decode_sent::<T>(sent)?;
                Ok(Parsed {
                    sent: decoded.sent,
                    etag: decoded.etag,
                })
            },
            guard: guardrails::broken::<T>,
            facts: |sent, name| {
                wire::decode_object::<T>(sent)
                    .map(|value| facts(&value, name))
                    .unwrap_or_default()
            },
        }
    }
}

/// What an object means to others.
fn facts<T: Declared>(value: &T, name: &Name) -> Facts {
    let services = value.service_references().into_iter();
    let services = services.map(|(pointer, name)| (pointer, Kind::Service, name));
    let profile = value.profile_reference();
    let profile = profile.map(|(pointer, name)| (pointer, Kind::Profile, name));
    Facts {
        references: services.chain(profile).collect(),
        hosts: value.hosts(name),
        local_ports: value.local_ports(name),
    }
}

/// Every kind below a mesh, parents first.
pub(crate) fn all() -> Vec<Described> {
    vec![
        Described::of::<Profile>(),
        Described::of::<Service>(),
        Described::of::<Route>(),
        Described::of::<Split>(),
        Described::of::<AccessRule>(),
    ]
}

//! The declarative kinds: one line each.

pub mod access_rule;
pub mod annotations;
pub mod changes;
pub mod labels;
pub mod mesh;
pub mod profile;
pub mod route;
pub mod service;
pub mod split;

pub use access_rule::AccessRule;
pub use mesh::Mesh;
pub use profile::Profile;
pub use route::Route;
pub use service::Service;
pub use split::Split;

use serde::{Serialize, de::DeserializeOwned};

use crate::guardrails::Guardrails;
use crate::violation::{Pointer, Violations};

/// Which declarative kind an object is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// [`Mesh`].
    Mesh,
    /// [`Service`].
    Service,
    /// [`Route`]: its parent is a service.
    Route,
    /// [`Split`]: its parent is a route.
    Split,
    /// [`AccessRule`]: its parent is a service.
    AccessRule,
    /// [`Profile`].
    Profile,
}

impl Kind {
    /// All kinds, parents first.
    pub const ALL: [Self; 6] = [
        Self::Mesh,
        Self::Profile,
        Self::Service,
        Self::Route,
        Self::Split,
        Self::AccessRule,
    ];

    /// The text form used in the API and the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mesh => "mesh",
            Self::Service => "service",
            Self::Route => "route",
            Self::Split => "split",
            Self::AccessRule => "access_rule",
            Self::Profile => "profile",
        }
    }
}

impl std::str::FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or(UnknownKind)
    }
}

/// The text names no kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no such kind")]
pub struct UnknownKind;

/// What every declarative kind has: validation that needs nothing but the value, and what it refers to.
pub trait Spec: DeserializeOwned + utoipa::ToSchema + Send + Sync + 'static {
    /// Which kind this is.
    const KIND: Kind;

    /// Adds every rule that the schema cannot express and that this value breaks.
    fn validate(&self, at: &Pointer<'_>, violations: &mut Violations);

    /// The services of the same mesh that this value names, each with its pointer.
    fn service_references(&self) -> Vec<(String, crate::name::Name)> {
        Vec::new()
    }

    /// The profile of the same mesh that this value names, with its pointer.
    fn profile_reference(&self) -> Option<(String, crate::name::Name)> {
        None
    }

    /// Adds what this value has that the guardrails of its mesh do not let anybody write.
    fn guard(&self, _guardrails: &Guardrails, _at: &Pointer<'_>, _violations: &mut Violations) {}

    /// A complete, valid value: the example of the API document and the seed of tests.
    fn sample() -> serde_json::Value;
}

/// The objects directly below the mesh that an object of any kind names, with pointers into it.
///
/// # Errors
/// Every rule about single objects that it breaks.
pub fn references(
    kind: Kind,
    sent: &serde_json::Map<String, serde_json::Value>,
) -> Result<Vec<(String, Kind, crate::name::Name)>, Violations> {
    fn of<T: Spec>(
        sent: &serde_json::Map<String, serde_json::Value>,
    ) -> Result<Vec<(String, Kind, crate::name::Name)>, Violations> {
        let value: T = crate::wire::decode_object(sent)?;
        let mut violations = Violations::new();
        value.validate(&Pointer::Root, &mut violations);
        violations.into_result()?;
        let services = value.service_references().into_iter();
        let services = services.map(|(pointer, name)| (pointer, Kind::Service, name));
        let profile = value.profile_reference();
        let profile = profile.map(|(pointer, name)| (pointer, Kind::Profile, name));
        Ok(services.chain(profile).collect())
    }
    match kind {
        Kind::Mesh => of::<Mesh>(sent),
        Kind::Profile => of::<Profile>(sent),
        Kind::Service => of::<Service>(sent),
        Kind::Route => of::<Route>(sent),
        Kind::Split => of::<Split>(sent),
        Kind::AccessRule => of::<AccessRule>(sent),
    }
}

//! Who calls, as an access rule names it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::user_token::UserToken;
use crate::code::Code;
use crate::name::Name;
use crate::net::Cidr;
use crate::violation::{Pointer, Violations};

/// A caller: at most one of `service`, `spiffe` and `spiffe_prefix`, where it calls from, and for which user. Without any of the
/// three: whoever calls from there, or for such a user.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AccessCaller)]
pub struct Caller {
    /// A service of this mesh, by name.
    pub service: Option<Name>,
    /// One exact SPIFFE id.
    #[schema(
        pattern = "^spiffe://[a-z0-9._-]{1,255}(/[A-Za-z0-9._-]+)+$",
        max_length = 2048,
        example = "spiffe://partner.example/app"
    )]
    pub spiffe: Option<String>,
    /// A SPIFFE id and every one below it, at segment boundaries: `spiffe://td/pay` takes in `spiffe://td/pay/api`, not
    /// `spiffe://td/payroll`. A trust domain alone takes in all of its ids.
    #[schema(
        pattern = "^spiffe://[a-z0-9._-]{1,255}(/[A-Za-z0-9._-]+)*$",
        max_length = 2048,
        example = "spiffe://partner.example/batch"
    )]
    pub spiffe_prefix: Option<String>,
    /// The connection comes from any of these networks. What counts is the address that the callee's proxy sees; no header
    /// changes it.
    #[schema(value_type = Option<Vec<Cidr>>, min_items = 1, max_items = 64)]
    pub networks: Option<Vec<String>>,
    /// The call carries such a token of an end user.
    pub token: Option<UserToken>,
}

/// What a [`Caller`] names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who<'a> {
    /// Whoever calls from its networks, or with its token.
    Anybody,
    /// The workloads of a service of this mesh.
    Service(&'a Name),
    /// One whole SPIFFE id.
    Spiffe(&'a str),
    /// A SPIFFE id, or a trust domain, and whatever is below it.
    Below(&'a str),
}

impl Caller {
    /// What it names; `None` when that is nothing, or more than one thing.
    #[must_use]
    pub fn who(&self) -> Option<Who<'_>> {
        let Self {
            service,
            spiffe,
            spiffe_prefix,
            networks,
            token,
        } = self;
        match (service, spiffe, spiffe_prefix) {
            (Some(service), None, None) => Some(Who::Service(service)),
            (None, Some(id), None) => Some(Who::Spiffe(id)),
            (None, None, Some(prefix)) => Some(Who::Below(prefix)),
            (None, None, None) => (networks.is_some() || token.is_some()).then_some(Who::Anybody),
            (Some(_), Some(_), _) | (Some(_), _, Some(_)) | (None, Some(_), Some(_)) => None,
        }
    }

    /// Whether it is about an identity, however it is named.
    pub(super) const fn is_somebody(&self) -> bool {
        self.service.is_some() || self.spiffe.is_some() || self.spiffe_prefix.is_some()
    }

    /// Whether it names nobody in particular: neither a workload nor a user.
    pub(super) fn is_anybody(&self) -> bool {
        match self.who() {
            _ if self.token.is_some() => false,
            Some(Who::Below(prefix)) => prefix.split('/').count() <= 3,
            Some(Who::Anybody) => true,
            Some(Who::Service(_) | Who::Spiffe(_)) | None => false,
        }
    }

    pub(super) fn validate(&self, at: &Pointer<'_>, violations: &mut Violations) {
        if self.who().is_none() {
            violations.add(
                at,
                Code::ExactlyOne,
                "exactly one of `service`, `spiffe` and `spiffe_prefix`, or `networks` or `token` without any",
            );
        }
        let ids = [
            ("spiffe", &self.spiffe),
            ("spiffe_prefix", &self.spiffe_prefix),
        ];
        for (field, id) in ids {
            let mut segments = id.iter().flat_map(|id| id.split('/').skip(3));
            if segments.any(|segment| segment == "." || segment == "..") {
                let detail = "a SPIFFE id has no `.` or `..` segments";
                violations.add(&at.field(field), Code::BadFormat, detail);
            }
        }
        if let Some(token) = &self.token {
            token.validate(&at.field("token"), violations);
        }
        let networks = at.field("networks");
        for (i, network) in self.networks.iter().flatten().enumerate() {
            if let Err(problem) = network.parse::<Cidr>() {
                violations.add(&networks.index(i), Code::BadFormat, problem.to_string());
            }
        }
    }
}

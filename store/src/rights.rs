//! What a caller may do, where: the roles that it is bound to, narrowed by the token that it presents.

use std::collections::BTreeSet;

use heddle_model::authz::{Action, Level, Role, level, permits};
use heddle_model::id::MeshId;
use serde::Deserialize;
use uuid::Uuid;

use crate::error::{Error, Result};

/// Which meshes something reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// The organisation: every mesh, those to come, and what belongs to no mesh.
    Org,
    /// These meshes and nothing else.
    Meshes(BTreeSet<MeshId>),
}

impl Reach {
    /// Nothing.
    #[must_use]
    pub const fn nothing() -> Self {
        Self::Meshes(BTreeSet::new())
    }

    /// Whether a mesh is within.
    #[must_use]
    pub fn has(&self, mesh: MeshId) -> bool {
        match self {
            Self::Org => true,
            Self::Meshes(meshes) => meshes.contains(&mesh),
        }
    }

    /// Whether nothing is within.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Meshes(meshes) if meshes.is_empty())
    }

    /// As a parameter of a query: null for all.
    pub(crate) fn filter(&self) -> Option<Vec<Uuid>> {
        match self {
            Self::Org => None,
            Self::Meshes(meshes) => Some(meshes.iter().map(|mesh| mesh.uuid()).collect()),
        }
    }
}

/// A role that a caller has in the organisation or at one mesh.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bound {
    /// The role.
    pub role: Role,
    /// The mesh; `None`: the whole organisation.
    pub mesh: Option<MeshId>,
}

/// The roles of a caller, and what its token narrows them to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rights {
    bound: Vec<Bound>,
    scopes: Option<BTreeSet<Action>>,
    meshes: Option<BTreeSet<MeshId>>,
}

impl Rights {
    pub(crate) fn new(
        mut bound: Vec<Bound>,
        scopes: Option<BTreeSet<Action>>,
        meshes: Option<BTreeSet<MeshId>>,
    ) -> Self {
        bound.sort_unstable();
        Self {
            bound,
            scopes,
            meshes,
        }
    }

    /// The same narrowing of other roles.
    pub(crate) fn with_bound(&self, bound: Vec<Bound>) -> Self {
        Self::new(bound, self.scopes.clone(), self.meshes.clone())
    }

    /// The roles, before a token narrows them.
    #[must_use]
    pub fn bound(&self) -> &[Bound] {
        &self.bound
    }

    /// Where `action` is permitted. What is about the organisation reaches all of it or nothing; a token that is narrowed
    /// to some meshes reaches nothing beyond them.
    #[must_use]
    pub fn reach(&self, action: Action) -> Reach {
        if self.scopes.as_ref().is_some_and(|s| !s.contains(&action)) {
            return Reach::nothing();
        }
        let mut meshes = BTreeSet::new();
        let mut everywhere = false;
        for bound in self.bound.iter().filter(|b| permits(b.role, action)) {
            match bound.mesh {
                None => everywhere = true,
                Some(mesh) => {
                    meshes.insert(mesh);
                }
            }
        }
        let reach = match (everywhere, &self.meshes) {
            (true, None) => Reach::Org,
            (true, Some(only)) => Reach::Meshes(only.clone()),
            (false, None) => Reach::Meshes(meshes),
            (false, Some(only)) => Reach::Meshes(meshes.intersection(only).copied().collect()),
        };
        match level(action) {
            Level::Mesh => reach,
            Level::Org if reach == Reach::Org => Reach::Org,
            Level::Org => Reach::nothing(),
            // A person whose roles are all at meshes has an account, too.
            Level::Own if reach.is_empty() && self.meshes.is_some() => Reach::nothing(),
            Level::Own if self.bound.is_empty() => Reach::nothing(),
            Level::Own => Reach::Org,
        }
    }

    /// The meshes that the caller may know of: those where anything at all is permitted.
    #[must_use]
    pub fn sees(&self) -> Reach {
        let mut all = BTreeSet::new();
        let actions = Action::ALL.iter().filter(|a| level(**a) == Level::Mesh);
        for action in actions {
            match self.reach(*action) {
                Reach::Org => return Reach::Org,
                Reach::Meshes(meshes) => all.extend(meshes),
            }
        }
        Reach::Meshes(all)
    }

    /// Whether these rights include everything that `role` permits at `mesh` (`None`: in the organisation), so that it may
    /// be handed on. Only an owner makes owners.
    #[must_use]
    pub fn include(&self, role: Role, mesh: Option<MeshId>) -> bool {
        if role == Role::Owner && !self.is_owner() {
            return false;
        }
        let permitted = Action::ALL.iter().filter(|action| permits(role, **action));
        let mut permitted = permitted.map(|action| (level(*action), self.reach(*action)));
        permitted.all(|(level, reach)| match (mesh, level) {
            (Some(mesh), Level::Mesh) => reach.has(mesh),
            (Some(_), Level::Org | Level::Own) => true,
            (None, _) => reach == Reach::Org,
        })
    }

    /// Whether these rights include others: what a token or a principal with those can do, this caller can do.
    #[must_use]
    pub fn include_all(&self, other: &Self) -> bool {
        if other.is_owner() && !self.is_owner() {
            return false;
        }
        Action::ALL
            .iter()
            .all(|action| match (self.reach(*action), other.reach(*action)) {
                (Reach::Org, _) => true,
                (Reach::Meshes(_), Reach::Org) => false,
                (Reach::Meshes(own), Reach::Meshes(asked)) => asked.is_subset(&own),
            })
    }

    fn is_owner(&self) -> bool {
        let owner = Bound {
            role: Role::Owner,
            mesh: None,
        };
        self.scopes.is_none() && self.meshes.is_none() && self.bound.contains(&owner)
    }
}

/// What a transaction may touch: its permission, where that is granted, and what the caller may know of.
#[derive(Debug, Clone)]
pub(crate) struct Standing {
    pub(crate) action: Action,
    pub(crate) covers: Reach,
    pub(crate) sees: Reach,
    pub(crate) rights: Rights,
}

impl Standing {
    pub(crate) fn new(action: Action, rights: &Rights) -> Self {
        Self {
            action,
            covers: rights.reach(action),
            sees: rights.sees(),
            rights: rights.clone(),
        }
    }

    /// The mesh that a join token opens, and nothing else.
    pub(crate) fn of_mesh(action: Action, mesh: MeshId) -> Self {
        let only = BTreeSet::from([mesh]);
        Self {
            action,
            covers: Reach::Meshes(only.clone()),
            sees: Reach::Meshes(only.clone()),
            rights: Rights::new(Vec::new(), Some(BTreeSet::from([action])), Some(only)),
        }
    }

    /// Whether a mesh may be touched. One that the caller may not know of does not exist.
    pub(crate) fn enter(&self, mesh: MeshId) -> Result<()> {
        if self.meshes().has(mesh) {
            Ok(())
        } else if self.sees.has(mesh) {
            Err(self.forbidden())
        } else {
            Err(Error::NotFound)
        }
    }

    /// The meshes that may be touched. A permission that is not about meshes opens none: it sees what its caller sees.
    pub(crate) fn meshes(&self) -> &Reach {
        match level(self.action) {
            Level::Mesh => &self.covers,
            Level::Org | Level::Own => &self.sees,
        }
    }

    pub(crate) fn forbidden(&self) -> Error {
        Error::Forbidden {
            scope: self.action.scope(),
        }
    }
}

/// What the first door says about the holder of an API token or a session.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Facts {
    pub(crate) principal: Option<Uuid>,
    pub(crate) kind: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) scopes: Option<Vec<String>>,
    pub(crate) meshes: Option<Vec<Uuid>>,
    pub(crate) last_used_at: Option<chrono::DateTime<chrono::Utc>>,
    pub(crate) bindings: Option<Vec<BoundText>>,
    pub(crate) lacks_second_factor: Option<bool>,
    pub(crate) lacks_sso: Option<bool>,
}

/// A binding as the door writes it.
#[derive(Debug, Deserialize)]
pub(crate) struct BoundText {
    pub(crate) role: String,
    pub(crate) mesh: Option<Uuid>,
}

impl BoundText {
    pub(crate) fn bound(&self) -> Result<Bound, heddle_model::authz::UnknownRole> {
        Ok(Bound {
            role: self.role.parse()?,
            mesh: self.mesh.map(MeshId::from_uuid),
        })
    }
}

/// Scopes as they are stored. One that this version does not know permits nothing.
pub(crate) fn scopes(stored: &[String]) -> BTreeSet<Action> {
    stored.iter().filter_map(|s| s.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mesh(n: u128) -> MeshId {
        MeshId::from_uuid(Uuid::from_u128(n))
    }

    fn at(role: Role, mesh: Option<MeshId>) -> Bound {
        Bound { role, mesh }
    }

    fn rights(bound: &[Bound]) -> Rights {
        Rights::new(bound.to_vec(), None, None)
    }

    #[test]
    fn a_role_at_a_mesh_reaches_that_mesh_and_nothing_of_the_organisation() {
        let admin = rights(&[at(Role::Admin, Some(mesh(1)))]);
        let only = Reach::Meshes(BTreeSet::from([mesh(1)]));
        assert_eq!(admin.reach(Action::ConfigWrite), only);
        assert_eq!(admin.reach(Action::MeshWrite), only);
        assert_eq!(admin.reach(Action::RoleBindingWrite), only);
        assert_eq!(admin.reach(Action::MemberWrite), Reach::nothing());
        assert_eq!(admin.reach(Action::TokenWrite), Reach::nothing());
        assert_eq!(admin.reach(Action::AccountManage), Reach::Org);
        assert_eq!(admin.sees(), only);
        assert!(admin.include(Role::Admin, Some(mesh(1))));
        assert!(!admin.include(Role::Viewer, Some(mesh(2))));
        assert!(!admin.include(Role::Viewer, None));
        let nobody = rights(&[]);
        for action in Action::ALL {
            assert!(nobody.reach(*action).is_empty(), "{action:?}");
        }
        assert!(nobody.sees().is_empty());
    }

    #[test]
    fn a_token_narrows_and_never_widens() {
        let bound = vec![at(Role::Developer, None), at(Role::Operator, Some(mesh(1)))];
        let whole = Rights::new(bound.clone(), None, None);
        let scopes = BTreeSet::from([Action::ConfigRead, Action::JoinTokenWrite]);
        let meshes = BTreeSet::from([mesh(1), mesh(2)]);
        let narrow = Rights::new(bound, Some(scopes), Some(meshes.clone()));
        assert_eq!(narrow.reach(Action::ConfigRead), Reach::Meshes(meshes));
        assert_eq!(
            narrow.reach(Action::JoinTokenWrite),
            Reach::Meshes(BTreeSet::from([mesh(1)]))
        );
        assert!(narrow.reach(Action::ConfigWrite).is_empty());
        assert!(narrow.reach(Action::AccountManage).is_empty());
        assert!(whole.include_all(&narrow));
        assert!(!narrow.include_all(&whole));
    }

    #[test]
    fn nobody_hands_on_more_than_they_have() {
        for giver in Role::ALL {
            let own = rights(&[at(giver, None)]);
            for given in Role::ALL {
                let more = Action::ALL
                    .iter()
                    .any(|a| permits(given, *a) && !permits(giver, *a));
                let may = own.include(given, None);
                assert_eq!(
                    may,
                    !more && (given != Role::Owner || giver == Role::Owner),
                    "{giver:?} {given:?}"
                );
                assert_eq!(
                    may,
                    own.include_all(&rights(&[at(given, None)])),
                    "{giver:?} {given:?}"
                );
            }
        }
        assert!(!rights(&[at(Role::Admin, None)]).include(Role::Owner, None));
        // An owner's narrowed token is no owner.
        let narrow = Rights::new(
            vec![at(Role::Owner, None)],
            Some(Action::ALL.iter().copied().collect()),
            None,
        );
        assert!(!narrow.include(Role::Owner, None));
        assert!(narrow.include(Role::Admin, None));
    }
}

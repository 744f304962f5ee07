//! Who may do what: the whole policy, one match, no I/O.
//!
//! `permits` has no wildcard arm on purpose. An action that nobody decided about does not compile.
#![deny(clippy::wildcard_enum_match_arm)]

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a member, a service account or a token is in its organisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything, including what ends the organisation.
    Owner,
    /// Everything else: meshes, members, service accounts and their roles.
    Admin,
    /// Runs meshes: configuration, join tokens, proxies; does not create or delete meshes.
    Operator,
    /// Edits services, routes and splits.
    Developer,
    /// Reads configuration and proxies.
    Viewer,
    /// Reads everything, members and their roles too; changes nothing.
    Auditor,
    /// Gets certificates for services, or for one service of a mesh, by the API; sees nothing else.
    Issuer,
}

impl Role {
    /// All roles, strongest first.
    pub const ALL: [Self; 7] = [
        Self::Owner,
        Self::Admin,
        Self::Operator,
        Self::Developer,
        Self::Viewer,
        Self::Auditor,
        Self::Issuer,
    ];

    /// The text form used in the API and the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Operator => "operator",
            Self::Developer => "developer",
            Self::Viewer => "viewer",
            Self::Auditor => "auditor",
            Self::Issuer => "issuer",
        }
    }
}

impl std::str::FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or(UnknownRole)
    }
}

/// What an action is about: what a role must be bound to for the action to be permitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// The organisation: a role at one mesh does not reach it.
    Org,
    /// A mesh: a role at the organisation reaches every mesh, a role at a mesh reaches that one.
    Mesh,
    /// What is the caller's own: any role will do.
    Own,
}

/// The text names no role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a role is one of owner, admin, operator, developer, viewer, auditor, issuer")]
pub struct UnknownRole;

/// The text names no permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is no such permission")]
pub struct UnknownPermission;

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident : $access:ident = $scope:literal;)*) => {
        /// Something that an operation does to an organisation's objects.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Action {
            $($(#[$doc])* $name,)*
        }

        impl Action {
            /// Every action, in the order in which it was declared.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The permission as the API names it (`config:write`).
            #[must_use]
            pub const fn scope(self) -> &'static str {
                match self {
                    $(Self::$name => $scope,)*
                }
            }
        }

        impl std::str::FromStr for Action {
            type Err = UnknownPermission;

            fn from_str(text: &str) -> Result<Self, UnknownPermission> {
                match text {
                    $($scope => Ok(Self::$name),)*
                    _ => Err(UnknownPermission),
                }
            }
        }

        /// One type per action: what a handler's signature names, and what a grant is for.
        pub mod permission {
            use super::{Action, Permission, access};
            $(
                $(#[$doc])*
                #[derive(Debug, Clone, Copy)]
                pub struct $name;

                impl super::sealed::Sealed for $name {}

                impl Permission for $name {
                    const ACTION: Action = Action::$name;
                    type Access = access::$access;
                }
            )*
        }
    };
}

mod sealed {
    /// Implemented here and nowhere else.
    pub trait Sealed {}
}

/// Whether a grant can open a writing transaction.
pub mod access {
    /// Reads only.
    #[derive(Debug, Clone, Copy)]
    pub struct Read;
    /// Reads and writes.
    #[derive(Debug, Clone, Copy)]
    pub struct Write;
}

/// A permission as a type. Sealed: which permissions exist, and which of them write, is decided here alone.
pub trait Permission: sealed::Sealed + Send + Sync + 'static {
    /// What it allows.
    const ACTION: Action;
    /// [`access::Read`] or [`access::Write`].
    type Access: Send + Sync + 'static;
}

actions! {
    /// Read meshes.
    MeshRead: Read = "meshes:read";
    /// Create, replace and delete meshes.
    MeshWrite: Write = "meshes:write";
    /// Read services, routes, splits and access rules.
    ConfigRead: Read = "config:read";
    /// Create, replace and delete services, routes and splits.
    ConfigWrite: Write = "config:write";
    /// Create, replace and delete access rules.
    AccessWrite: Write = "access:write";
    /// List join tokens (never their secrets).
    JoinTokenRead: Read = "join_tokens:read";
    /// Create and revoke join tokens.
    JoinTokenWrite: Write = "join_tokens:write";
    /// Read proxies and their state.
    ProxyRead: Read = "proxies:read";
    /// Forget a proxy; revoke proxies and services.
    ProxyWrite: Write = "proxies:write";
    /// Render the bootstrap of a proxy.
    BootstrapRead: Read = "bootstrap:read";
    /// Get certificates of services for keys of one's own.
    CertificateIssue: Write = "certificates:issue";
    /// Read what is the caller's own: its tokens and sessions.
    AccountRead: Read = "account:read";
    /// Manage what is the caller's own: its tokens, its sessions, its password.
    AccountManage: Write = "account:manage";
    /// Read members and their sessions.
    MemberRead: Read = "members:read";
    /// Invite, change and remove members, and end their sessions.
    MemberWrite: Write = "members:write";
    /// Read service accounts.
    ServiceAccountRead: Read = "service_accounts:read";
    /// Create, change and remove service accounts.
    ServiceAccountWrite: Write = "service_accounts:write";
    /// Read who has which role.
    RoleBindingRead: Read = "role_bindings:read";
    /// Give and take roles, up to one's own.
    RoleBindingWrite: Write = "role_bindings:write";
    /// Read everybody's API tokens (never their secrets).
    TokenRead: Read = "tokens:read";
    /// Make API tokens for service accounts, and revoke anybody's.
    TokenWrite: Write = "tokens:write";
    /// Read and export the audit log.
    AuditRead: Read = "audit:read";
    /// Read webhooks (never their secrets), and what became of messages to them.
    WebhookRead: Read = "webhooks:read";
    /// Make, change and remove webhooks.
    WebhookWrite: Write = "webhooks:write";
    /// Read how much the organisation has and uses, and how much it may.
    UsageRead: Read = "usage:read";
}

/// What `action` is about.
#[must_use]
pub const fn level(action: Action) -> Level {
    match action {
        Action::MeshRead
        | Action::MeshWrite
        | Action::ConfigRead
        | Action::ConfigWrite
        | Action::AccessWrite
        | Action::JoinTokenRead
        | Action::JoinTokenWrite
        | Action::ProxyRead
        | Action::ProxyWrite
        | Action::BootstrapRead
        | Action::CertificateIssue
        | Action::RoleBindingRead
        | Action::RoleBindingWrite
        | Action::AuditRead => Level::Mesh,
        Action::MemberRead
        | Action::MemberWrite
        | Action::ServiceAccountRead
        | Action::ServiceAccountWrite
        | Action::TokenRead
        | Action::TokenWrite
        | Action::WebhookRead
        | Action::WebhookWrite
        | Action::UsageRead => Level::Org,
        Action::AccountRead | Action::AccountManage => Level::Own,
    }
}

/// Whether `role` may do `action`: the whole policy.
#[must_use]
pub const fn permits(role: Role, action: Action) -> bool {
    match action {
        // Whoever makes something may know how much there may be.
        Action::MeshRead | Action::ConfigRead | Action::ProxyRead | Action::UsageRead => {
            !matches!(role, Role::Issuer)
        }
        Action::AccountRead | Action::AccountManage => true,
        // Whoever makes a join token for a service has its identity already.
        Action::CertificateIssue => {
            matches!(
                role,
                Role::Owner | Role::Admin | Role::Operator | Role::Issuer
            )
        }
        Action::MeshWrite
        | Action::MemberWrite
        | Action::ServiceAccountWrite
        | Action::RoleBindingWrite
        | Action::TokenWrite
        | Action::WebhookWrite => matches!(role, Role::Owner | Role::Admin),
        Action::MemberRead
        | Action::ServiceAccountRead
        | Action::RoleBindingRead
        | Action::TokenRead
        | Action::WebhookRead
        | Action::AuditRead => matches!(role, Role::Owner | Role::Admin | Role::Auditor),
        Action::ConfigWrite => {
            matches!(
                role,
                Role::Owner | Role::Admin | Role::Operator | Role::Developer
            )
        }
        Action::AccessWrite | Action::JoinTokenWrite | Action::ProxyWrite => {
            matches!(role, Role::Owner | Role::Admin | Role::Operator)
        }
        Action::JoinTokenRead => {
            matches!(
                role,
                Role::Owner | Role::Admin | Role::Operator | Role::Auditor
            )
        }
        Action::BootstrapRead => {
            matches!(
                role,
                Role::Owner | Role::Admin | Role::Operator | Role::Developer
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_as_a_table() {
        let table: Vec<String> = Action::ALL
            .iter()
            .map(|action| {
                let may: Vec<&str> = Role::ALL
                    .into_iter()
                    .filter(|role| permits(*role, *action))
                    .map(Role::as_str)
                    .collect();
                format!("{}: {}", action.scope(), may.join(" "))
            })
            .collect();
        assert_eq!(
            table,
            [
                "meshes:read: owner admin operator developer viewer auditor",
                "meshes:write: owner admin",
                "config:read: owner admin operator developer viewer auditor",
                "config:write: owner admin operator developer",
                "access:write: owner admin operator",
                "join_tokens:read: owner admin operator auditor",
                "join_tokens:write: owner admin operator",
                "proxies:read: owner admin operator developer viewer auditor",
                "proxies:write: owner admin operator",
                "bootstrap:read: owner admin operator developer",
                "certificates:issue: owner admin operator issuer",
                "account:read: owner admin operator developer viewer auditor issuer",
                "account:manage: owner admin operator developer viewer auditor issuer",
                "members:read: owner admin auditor",
                "members:write: owner admin",
                "service_accounts:read: owner admin auditor",
                "service_accounts:write: owner admin",
                "role_bindings:read: owner admin auditor",
                "role_bindings:write: owner admin",
                "tokens:read: owner admin auditor",
                "tokens:write: owner admin",
                "audit:read: owner admin auditor",
                "webhooks:read: owner admin auditor",
                "webhooks:write: owner admin",
                "usage:read: owner admin operator developer viewer auditor",
            ]
        );
    }

    #[test]
    fn permissions_are_read_back_from_their_names() {
        for action in Action::ALL {
            assert_eq!(action.scope().parse::<Action>(), Ok(*action));
        }
        assert_eq!("meshes:own".parse::<Action>(), Err(UnknownPermission));
    }

    #[test]
    fn readers_write_nothing() {
        for action in Action::ALL.iter().filter(|a| a.scope().ends_with(":write")) {
            assert!(!permits(Role::Viewer, *action), "{action:?}");
            assert!(!permits(Role::Auditor, *action), "{action:?}");
            assert!(!permits(Role::Issuer, *action), "{action:?}");
        }
        for reader in [Role::Developer, Role::Viewer, Role::Auditor] {
            assert!(!permits(reader, Action::CertificateIssue), "{reader:?}");
        }
    }
}

//! The nouns of the command line: what they are called, where they are, and what a list shows of them.

use std::fmt::Write as _;

use serde_json::Value;

use crate::failure::Failure;

/// A column: its heading, where its value is in an item, and whether only wide tables have it.
pub(crate) struct Column(
    pub(crate) &'static str,
    pub(crate) &'static str,
    pub(crate) bool,
);

/// One noun.
pub(crate) struct Noun {
    /// As the API names it, and files do.
    pub(crate) name: &'static str,
    pub(crate) plural: &'static str,
    /// Whatever else people type.
    short: &'static [&'static str],
    /// The address of one, below the organisation: `{mesh}`, then `{}` for each part of its name.
    item: &'static str,
    pub(crate) columns: &'static [Column],
}

const NAME: Column = Column("NAME", "/name", false);
const SERVICE: Column = Column("SERVICE", "/meta/parent/service", false);
const REVISION: Column = Column("REVISION", "/meta/revision", false);
const UPDATED: Column = Column("UPDATED", "/meta/updated_at", true);
const MANAGED: Column = Column("MANAGED BY", "/meta/managed_by/manager", true);
const UID: Column = Column("UID", "/meta/uid", true);
const CREATED: Column = Column("CREATED", "/meta/created_at", true);

/// All of them.
pub(crate) const NOUNS: &[Noun] = &[
    Noun {
        name: "mesh",
        plural: "meshes",
        short: &[],
        item: "/meshes/{}",
        columns: &[
            NAME,
            Column("DISPLAY NAME", "/display_name", false),
            Column("REVISION", "/status/revision", false),
            Column("ACCESS DEFAULT", "/access_default", true),
            UPDATED,
            MANAGED,
            UID,
        ],
    },
    Noun {
        name: "service",
        plural: "services",
        short: &["svc"],
        item: "/meshes/{mesh}/services/{}",
        columns: &[
            NAME,
            Column("PORTS", "/ports", false),
            Column("PROFILE", "/profile", false),
            REVISION,
            Column("LABELS", "/labels", true),
            UPDATED,
            MANAGED,
            UID,
        ],
    },
    Noun {
        name: "profile",
        plural: "profiles",
        short: &[],
        item: "/meshes/{mesh}/profiles/{}",
        columns: &[
            NAME,
            Column("DISPLAY NAME", "/display_name", false),
            REVISION,
            UPDATED,
            MANAGED,
            UID,
        ],
    },
    Noun {
        name: "route",
        plural: "routes",
        short: &[],
        item: "/meshes/{mesh}/services/{}/routes/{}",
        columns: &[
            SERVICE,
            NAME,
            Column("PRIORITY", "/priority", false),
            Column("BACKENDS", "/backends", false),
            REVISION,
            UPDATED,
            MANAGED,
            UID,
        ],
    },
    Noun {
        name: "split",
        plural: "splits",
        short: &[],
        item: "/meshes/{mesh}/services/{}/routes/{}/split",
        columns: &[
            SERVICE,
            Column("ROUTE", "/meta/parent/route", false),
            Column("WEIGHTS", "/weights", false),
            REVISION,
            UPDATED,
            MANAGED,
            UID,
        ],
    },
    Noun {
        name: "access_rule",
        plural: "access-rules",
        short: &["access-rule", "rule", "rules"],
        item: "/meshes/{mesh}/services/{}/access-rules/{}",
        columns: &[
            SERVICE,
            NAME,
            Column("ACTION", "/action", false),
            Column("FROM", "/from", false),
            Column("REASON", "/reason", false),
            REVISION,
            UPDATED,
            MANAGED,
            UID,
        ],
    },
    Noun {
        name: "join_token",
        plural: "join-tokens",
        short: &["join-token"],
        item: "/meshes/{mesh}/join-tokens/{}",
        columns: &[
            NAME,
            Column("SERVICE", "/service", false),
            Column("STATE", "/state", false),
            Column("REUSABLE", "/reusable", false),
            Column("EPHEMERAL", "/ephemeral", true),
            Column("NETWORKS", "/networks", true),
            Column("LABELS", "/labels", true),
            Column("PROXIES", "/proxies", false),
            Column("EXPIRES", "/expires_at", false),
            Column("LAST USED", "/meta/last_used_at", true),
            UID,
        ],
    },
    Noun {
        name: "proxy",
        plural: "proxies",
        short: &[],
        item: "/meshes/{mesh}/proxies/{}",
        columns: &[
            NAME,
            Column("SERVICE", "/service", false),
            Column("VERSION", "/version", false),
            Column("STATE", "/state", false),
            Column("REVOKED", "/revoked", true),
            Column("LABELS", "/labels", true),
            Column("ACKED", "/revision/acked", false),
            Column("TARGET", "/revision/target", false),
            Column("ENVOY", "/envoy/version", true),
            Column("ADDRESS", "/address", true),
            Column("LAST SEEN", "/meta/last_seen_at", true),
            UID,
        ],
    },
    Noun {
        name: "revocation",
        plural: "revocations",
        short: &[],
        item: "/meshes/{mesh}/revocations/{}",
        columns: &[
            Column("ID", "/meta/uid", false),
            Column("SERVICE", "/service", false),
            Column("PROXY", "/proxy/name", false),
            Column("STATE", "/state", false),
            Column("REASON", "/reason", false),
            Column("SINCE", "/meta/created_at", false),
            Column("LIFTED", "/meta/lifted_at", true),
        ],
    },
    Noun {
        name: "authority",
        plural: "authorities",
        short: &["ca"],
        item: "/meshes/{mesh}/authorities/{}",
        columns: &[
            Column("ID", "/meta/uid", false),
            Column("AUTHORITY", "/authority", false),
            Column("STATE", "/state", false),
            Column("KEY OF", "/key_of", false),
            Column("ENDS", "/not_after", false),
            Column("ACT BY", "/act_by", false),
            Column("SINCE", "/not_before", true),
            Column("SERIAL", "/serial", true),
        ],
    },
    Noun {
        name: "revision",
        plural: "revisions",
        short: &["rev"],
        item: "/meshes/{mesh}/revisions/{}",
        columns: &[
            Column("REVISION", "/revision", false),
            Column("AUTHOR", "/author/actor", false),
            Column("ADDED", "/summary/added", false),
            Column("CHANGED", "/summary/changed", false),
            Column("REMOVED", "/summary/removed", false),
            Column("MESSAGE", "/message", false),
            Column("MADE", "/created_at", false),
            Column("CLIENT", "/client", true),
            Column("GROUP", "/change_group", true),
        ],
    },
    Noun {
        name: "member",
        plural: "members",
        short: &[],
        item: "/members/{}",
        columns: &[
            Column("EMAIL", "/email", false),
            Column("DISPLAY NAME", "/display_name", false),
            Column("ROLES", "/roles", false),
            CREATED,
            UID,
        ],
    },
    Noun {
        name: "invitation",
        plural: "invitations",
        short: &[],
        item: "/invitations/{}",
        columns: &[
            Column("UID", "/meta/uid", false),
            Column("EMAIL", "/email", false),
            Column("ROLE", "/role", false),
            Column("STATE", "/state", false),
            Column("MAIL", "/delivery", false),
            Column("EXPIRES", "/expires_at", false),
            Column("INVITED BY", "/meta/created_by", true),
            CREATED,
        ],
    },
    Noun {
        name: "service_account",
        plural: "service-accounts",
        short: &["service-account", "sa"],
        item: "/service-accounts/{}",
        columns: &[
            NAME,
            Column("DISPLAY NAME", "/display_name", false),
            Column("ROLES", "/roles", false),
            CREATED,
            UID,
        ],
    },
    Noun {
        name: "role_binding",
        plural: "role-bindings",
        short: &["role-binding"],
        item: "/role-bindings/{}",
        columns: &[
            Column("UID", "/meta/uid", false),
            Column("ROLE", "/role", false),
            Column("MEMBER", "/principal/email", false),
            Column("SERVICE ACCOUNT", "/principal/name", false),
            Column("MESH", "/mesh/name", false),
            CREATED,
        ],
    },
    Noun {
        name: "token",
        plural: "tokens",
        short: &["api-token", "api-tokens"],
        item: "/tokens/{}",
        columns: &[
            NAME,
            Column("OWNER", "/owner/email", false),
            Column("SERVICE ACCOUNT", "/owner/name", false),
            Column("STATE", "/state", false),
            Column("EXPIRES", "/expires_at", false),
            Column("LAST USED", "/meta/last_used_at", false),
            Column("SCOPES", "/scopes", true),
            UID,
        ],
    },
    Noun {
        name: "sso_connection",
        plural: "sso_connections",
        short: &["sso"],
        item: "/sso-connections/{}",
        columns: &[
            NAME,
            Column("DISPLAY NAME", "/display_name", false),
            Column("ISSUER", "/issuer", false),
            Column("CLIENT", "/client_id", false),
            Column("REDIRECT URI", "/redirect_uri", true),
            CREATED,
            UID,
        ],
    },
    Noun {
        name: "webhook",
        plural: "webhooks",
        short: &[],
        item: "/webhooks/{}",
        columns: &[
            NAME,
            Column("URL", "/url", false),
            Column("TOPICS", "/topics", false),
            Column("ENABLED", "/enabled", false),
            Column("DISABLED BECAUSE", "/disabled_because", true),
            Column("FAILING SINCE", "/failing_since", false),
            CREATED,
            UID,
        ],
    },
    Noun {
        name: "webhook_delivery",
        plural: "webhook_deliveries",
        short: &[],
        item: "/webhooks/{}/deliveries/{}",
        columns: &[
            Column("MESSAGE", "/meta/uid", false),
            Column("TOPIC", "/topic", false),
            Column("STATE", "/state", false),
            Column("TRIES", "/tries", false),
            Column("STATUS", "/last_try/status", false),
            Column("ERROR", "/last_try/error", false),
            Column("NEXT", "/next_at", true),
            CREATED,
        ],
    },
    Noun {
        name: "session",
        plural: "sessions",
        short: &[],
        item: "/sessions/{}",
        columns: &[
            Column("UID", "/meta/uid", false),
            Column("MEMBER", "/member/email", false),
            Column("METHOD", "/method", false),
            Column("CLIENT", "/client", false),
            Column("EXPIRES", "/expires_at", false),
            CREATED,
        ],
    },
];

/// The noun that somebody typed.
pub(crate) fn noun(text: &str) -> Result<&'static Noun, Failure> {
    let known =
        |noun: &&Noun| text == noun.name || text == noun.plural || noun.short.contains(&text);
    NOUNS.iter().find(known).ok_or_else(|| {
        let all: Vec<&str> = NOUNS.iter().map(|noun| noun.plural).collect();
        Failure::usage(format!("there is no kind `{text}`"))
            .hint(format!("one of {}", all.join(", ")))
    })
}

/// A name as it stands in an address: everything but what is plain is escaped.
pub(crate) fn segment(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~@".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    // A name that would lead elsewhere.
    if out == "." || out == ".." {
        out.replace('.', "%2E")
    } else {
        out
    }
}

impl Noun {
    /// Whether it lies in a mesh.
    pub(crate) fn in_mesh(&self) -> bool {
        self.item.contains("{mesh}")
    }

    /// How many parts its name has.
    fn parts(&self) -> usize {
        self.item.matches("{}").count()
    }

    /// What its name looks like.
    fn pattern(&self) -> &'static str {
        match (self.name, self.parts()) {
            ("split", _) => "SERVICE/ROUTE",
            (_, 2) => "SERVICE/NAME",
            _ => "NAME",
        }
    }

    fn fill(&self, mesh: Option<&str>, parts: &[&str]) -> String {
        let mut path = self.item.replace("{mesh}", &segment(mesh.unwrap_or("-")));
        for part in parts {
            path = path.replacen("{}", &segment(part), 1);
        }
        path
    }

    /// Where the object of this name is (`charges`, or `payments/charges` below a service).
    pub(crate) fn address(&self, mesh: Option<&str>, name: &str) -> Result<String, Failure> {
        let parts: Vec<&str> = name.split('/').collect();
        if parts.len() != self.parts() || parts.contains(&"") {
            let what = format!("`{name}` does not name a {}", self.name.replace('_', " "));
            return Err(Failure::usage(what).hint(format!("it is written as {}", self.pattern())));
        }
        Ok(self.fill(mesh, &parts))
    }

    /// Where the list is: below one service, or of all.
    pub(crate) fn collection(
        &self,
        mesh: Option<&str>,
        service: Option<&str>,
    ) -> Result<String, Failure> {
        if self.name == "split" {
            let what = "splits are not listed: each belongs to a route";
            return Err(Failure::usage(what).hint("heddle get split SERVICE/ROUTE"));
        }
        let path = match self.parts() {
            1 => self.fill(mesh, &[]),
            _ => self.fill(mesh, &[service.unwrap_or("-")]),
        };
        Ok(path.trim_end_matches("/{}").to_owned())
    }

    /// What people call an item.
    pub(crate) fn title(&self, item: &Value) -> String {
        let at = |pointer: &str| item.pointer(pointer).and_then(Value::as_str);
        let own = at("/name").or(at("/email")).or(at("/meta/uid"));
        let own = own
            .map(ToOwned::to_owned)
            .unwrap_or_else(|| item["revision"].to_string());
        let parents = ["service", "route"]
            .iter()
            .filter_map(|p| at(&format!("/meta/parent/{p}")));
        let mut all: Vec<String> = parents.map(ToOwned::to_owned).collect();
        if self.name != "split" {
            all.push(own);
        }
        all.join("/")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_addresses() {
        let address = |kind: &str, name: &str| {
            noun(kind)
                .unwrap()
                .address(Some("prod"), name)
                .map_err(|f| f.exit())
        };
        assert_eq!(
            address("service", "pay").unwrap(),
            "/meshes/prod/services/pay"
        );
        assert_eq!(
            address("rules", "pay/one").unwrap(),
            "/meshes/prod/services/pay/access-rules/one"
        );
        assert_eq!(
            address("split", "pay/all").unwrap(),
            "/meshes/prod/services/pay/routes/all/split"
        );
        assert_eq!(
            address("member", "ada@example.com").unwrap(),
            "/members/ada@example.com"
        );
        assert_eq!(
            address("mesh", "../x?y").unwrap_err(),
            crate::failure::Exit::Usage
        );
        assert_eq!(address("mesh", "..").unwrap(), "/meshes/%2E%2E");
        assert_eq!(
            address("proxy", "a b#c?").unwrap(),
            "/meshes/prod/proxies/a%20b%23c%3F"
        );
        assert!(address("route", "charges").is_err() && address("route", "/x").is_err());
        let list = |kind: &str, service| {
            noun(kind)
                .unwrap()
                .collection(Some("prod"), service)
                .unwrap()
        };
        assert_eq!(list("routes", None), "/meshes/prod/services/-/routes");
        assert_eq!(
            list("routes", Some("pay")),
            "/meshes/prod/services/pay/routes"
        );
        assert_eq!(list("svc", None), "/meshes/prod/services");
        assert_eq!(list("meshes", None), "/meshes");
    }
}

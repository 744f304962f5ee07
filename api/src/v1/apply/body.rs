//! The body of an apply, and everything that is wrong with each of its items by itself.

use std::collections::BTreeMap;

use heddle_model::code::Code;
use heddle_model::manager::ManagedBy;
use heddle_model::name::Name;
use heddle_model::violation::{Pointer, Violation, Violations};
use heddle_model::wire;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use crate::declared::kinds::Described;
use crate::ownership::Writer;
use crate::problem::Problem;

/// Whether what is not in the list stays.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum ApplyMode {
    /// It stays.
    #[default]
    Apply,
    /// What carries the same `managed_by` goes.
    Sync,
}

/// A list of objects that are written together.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ApplyBody {
    /// Whether what is not in the list stays. `apply` when absent.
    pub(crate) mode: Option<ApplyMode>,
    /// Who looks after these objects; the header `Heddle-Manager` says the same. Required to sync.
    pub(crate) managed_by: Option<ManagedBy>,
    /// The objects, in any order: each as its PUT takes it, with `kind`, `name` and the names of what it is below
    /// (`service`, `route`).
    #[schema(min_items = 0, max_items = 5000, value_type = Vec<Object>)]
    #[expect(
        dead_code,
        reason = "judged here, and read as it was sent, with what is null"
    )]
    pub(crate) resources: Vec<Value>,
}

/// An example of the body.
pub(crate) fn sample() -> Value {
    json!({
        "mode": "apply",
        "resources": [
            {"kind": "service", "name": "payments", "ports": [{"name": "http", "port": 8080, "protocol": "http"}]},
            {"kind": "route", "service": "payments", "name": "charges", "priority": 100, "backends": [{"version": "v1"}]},
        ],
    })
}

/// The body, read.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    pub(super) mode: ApplyMode,
    pub(super) items: Vec<Item<'a>>,
}

/// One object of the list.
#[derive(Debug)]
pub(super) struct Item<'a> {
    pub(super) described: &'a Described,
    /// The names of what it is below, outermost first, and its own.
    path: Vec<Name>,
    pub(super) name: Name,
    pub(super) sent: Map<String, Value>,
    pub(super) etag: Option<String>,
}

impl Item<'_> {
    pub(super) fn path(&self) -> &[Name] {
        &self.path
    }
}

/// Reads a body, or says everything that is wrong with its items. Who the body names as the manager joins the writer.
pub(super) fn read<'a>(
    bytes: &[u8],
    described: &'a [Described],
    writer: &mut Writer,
) -> Result<Wanted<'a>, Problem> {
    let sent = wire::parse_object(bytes).map_err(wire::Refused::Malformed)?;
    let body = wire::decode_object::<ApplyBody>(&sent).map_err(Problem::invalid)?;
    let mut violations = Violations::new();
    let root = Pointer::Root;
    let mode = body.mode.unwrap_or_default();
    let at = root.field("managed_by");
    if let Some(manager) = body.managed_by {
        manager.validate(&at, &mut violations);
        if writer
            .manager
            .as_ref()
            .is_some_and(|other| !other.is(&manager))
        {
            violations.add(
                &at,
                Code::Mismatch,
                "the header `Heddle-Manager` names another one",
            );
        }
        writer.manager = Some(manager);
    }
    if mode == ApplyMode::Sync && writer.manager.is_none() {
        let why = "to sync, say whose objects these are: the others are not touched";
        violations.add(&at, Code::MissingField, why);
    }
    // As it was sent, with what is `null`.
    let list = sent.get("resources").and_then(Value::as_array);
    let all = root.field("resources");
    let mut items = Vec::new();
    let mut seen = BTreeMap::new();
    for (i, value) in list.into_iter().flatten().enumerate() {
        let at = all.index(i);
        let Value::Object(object) = value else {
            violations.add(&at, Code::WrongType, "a resource is an object");
            continue;
        };
        let Some(item) = one(object.clone(), &at, described, &mut violations) else {
            continue;
        };
        let key = (item.described.kind, item.path.clone());
        if let Some(first) = seen.insert(key, i) {
            violations.add(
                &at,
                Code::Duplicate,
                format!("the same object as `/resources/{first}`"),
            );
        }
        items.push(item);
    }
    violations.into_result().map_err(Problem::invalid)?;
    Ok(Wanted { mode, items })
}

fn one<'a>(
    mut object: Map<String, Value>,
    at: &Pointer<'_>,
    described: &'a [Described],
    violations: &mut Violations,
) -> Option<Item<'a>> {
    let kind = object.shift_remove("kind");
    let found = match &kind {
        Some(Value::String(text)) => described.iter().find(|d| d.kind.as_str() == text),
        _ => None,
    };
    let Some(described) = found else {
        let known: Vec<_> = described.iter().map(|d| d.kind.as_str()).collect();
        let code = match kind {
            None | Some(Value::Null) => Code::MissingField,
            Some(Value::String(_)) => Code::NotOneOf,
            Some(_) => Code::WrongType,
        };
        let detail = format!("`kind` is one of {}", known.join(", "));
        violations.add(&at.field("kind"), code, detail);
        return None;
    };
    let mut path = Vec::new();
    for parent in described.parents {
        path.push(name(
            object.shift_remove(parent.as_str()),
            parent.as_str(),
            at,
            violations,
        ));
    }
    let own = match object.shift_remove("name") {
        None | Some(Value::Null) if described.single => described.kind.as_str().parse().ok(),
        own => name(own, "name", at, violations),
    };
    if let Some(own) = own
        .as_ref()
        .filter(|own| described.single && own.as_str() != described.kind.as_str())
    {
        let detail = format!("there is one only, and its name is not {own}");
        violations.add(&at.field("name"), Code::Mismatch, detail);
    }
    path.push(own.clone());
    let parsed = (described.decode)(object).map_err(|broken| {
        for violation in broken.into_sorted() {
            violations.push(Violation {
                pointer: format!("{at}{}", violation.pointer),
                ..violation
            });
        }
    });
    let path: Option<Vec<Name>> = path.into_iter().collect();
    let (path, name, parsed) = (path?, own?, parsed.ok()?);
    Some(Item {
        described,
        path,
        name,
        sent: parsed.sent,
        etag: parsed.etag,
    })
}

fn name(
    value: Option<Value>,
    field: &str,
    at: &Pointer<'_>,
    violations: &mut Violations,
) -> Option<Name> {
    let at = at.field(field);
    match value {
        None | Some(Value::Null) => {
            violations.add(&at, Code::MissingField, format!("`{field}` is required"));
            None
        }
        Some(Value::String(text)) => text
            .parse::<Name>()
            .map_err(|error| violations.add(&at, Code::BadFormat, error.to_string()))
            .ok(),
        Some(_) => {
            violations.add(&at, Code::WrongType, format!("`{field}` is not a string"));
            None
        }
    }
}

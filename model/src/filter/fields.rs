//! Which fields of a kind a filter may name: read from its schema, so that a new field needs no word here.

use serde_json::Value;
use utoipa::openapi::{RefOr, Schema};

use super::Target;
use crate::kind::Spec;

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldType {
    /// Text, as it was sent.
    Text,
    /// A whole number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// A time, RFC 3339.
    Time,
}

/// A field that a filter may name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// As it is written in a filter.
    pub name: String,
    /// What it holds.
    pub holds: FieldType,
    /// What it means.
    pub target: Target,
}

/// The fields of a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fields(Vec<Field>);

const LABELS: &str = "labels.";

impl Fields {
    /// Those of `T`: its name and times, and each field of its own that is a single value.
    #[must_use]
    pub fn of<T: Spec>() -> Self {
        let own = |name: &str, holds, target| Field {
            name: name.to_owned(),
            holds,
            target,
        };
        let mut fields = vec![
            own("name", FieldType::Text, Target::Name),
            own("meta.created_at", FieldType::Time, Target::CreatedAt),
            own("meta.updated_at", FieldType::Time, Target::UpdatedAt),
            own("meta.revision", FieldType::Number, Target::Revision),
        ];
        let mut components = Vec::new();
        T::schemas(&mut components);
        let schema = serde_json::to_value(T::schema()).unwrap_or_default();
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            if let Some(holds) = single(property, &components) {
                fields.push(own(name, holds, Target::Sent(name.clone())));
            }
        }
        Self(fields)
    }

    /// The field of this name; of a label, `labels.` and its key.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Field> {
        if let Some(key) = name.strip_prefix(LABELS).filter(|key| !key.is_empty()) {
            return Some(Field {
                name: name.to_owned(),
                holds: FieldType::Text,
                target: Target::Label(key.to_owned()),
            });
        }
        self.0.iter().find(|field| field.name == name).cloned()
    }

    /// Everything that may be named, for people.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        let own = self.0.iter().map(|field| field.name.as_str());
        std::iter::once("labels.<key>").chain(own).collect()
    }
}

/// What a property holds, if it is a single value.
fn single(property: &Value, components: &[(String, RefOr<Schema>)]) -> Option<FieldType> {
    let options = property["oneOf"].as_array();
    let behind = std::iter::once(property)
        .chain(options.into_iter().flatten())
        .find_map(|option| {
            option["$ref"]
                .as_str()?
                .strip_prefix("#/components/schemas/")
        });
    if let Some(behind) = behind {
        let (_, schema) = components.iter().find(|(name, _)| name == behind)?;
        return single(&serde_json::to_value(schema).ok()?, &[]);
    }
    let kinds = match &property["type"] {
        Value::String(one) => vec![one.as_str()],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let kinds: Vec<&str> = kinds.into_iter().filter(|kind| *kind != "null").collect();
    match kinds.as_slice() {
        ["string"] => Some(FieldType::Text),
        ["integer"] => Some(FieldType::Number),
        ["boolean"] => Some(FieldType::Boolean),
        _ => None,
    }
}

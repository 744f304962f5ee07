//! The published schema as a validator, and its errors in our terms.

use std::any::TypeId;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use jsonschema::Validator;
use jsonschema::error::{TypeKind, ValidationErrorKind};
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::code::Code;
use crate::violation::{Violation, Violations};

static VALIDATORS: LazyLock<RwLock<HashMap<TypeId, Arc<Validator>>>> =
    LazyLock::new(RwLock::default);

fn validator<T: ToSchema + 'static>() -> Arc<Validator> {
    let id = TypeId::of::<T>();
    let cached = VALIDATORS
        .read()
        .unwrap_or_else(PoisonError::into_inner)
        .get(&id)
        .cloned();
    if let Some(validator) = cached {
        return validator;
    }
    let mut named = Vec::new();
    T::schemas(&mut named);
    let mut components = serde_json::Map::new();
    for (name, schema) in named {
        components.insert(name, to_value(&schema));
    }
    let mut root = to_value(&T::schema());
    // The root is an object in every use: `$ref`s inside it resolve against `components`.
    root["components"] = json!({ "schemas": components });
    without_null(&mut root);
    let validator = jsonschema::draft202012::options()
        .build(&root)
        .expect("every schema is built by a test of this module's users: wire::tests::every_kind_has_a_schema");
    let validator = Arc::new(validator);
    VALIDATORS
        .write()
        .unwrap_or_else(PoisonError::into_inner)
        .insert(id, Arc::clone(&validator));
    validator
}

fn to_value(schema: &impl serde::Serialize) -> Value {
    serde_json::to_value(schema).expect("a schema is plain data and has text keys")
}

/// `null` means absent and is taken out of a body before it is checked, so the schema need not allow it. Left in,
/// each optional object would be a `oneOf` whose errors say nothing.
fn without_null(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            if let Some(Value::Array(types)) = map.get_mut("type") {
                types.retain(|t| t != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    map.insert(String::from("type"), only);
                }
            }
            if let Some(Value::Array(options)) = map.get_mut("oneOf") {
                options.retain(|option| option.get("type") != Some(&json!("null")));
                if let [Value::Object(only)] = options.as_slice() {
                    let only = only.clone();
                    map.remove("oneOf");
                    map.extend(only);
                }
            }
            map.values_mut().for_each(without_null);
        }
        Value::Array(items) => items.iter_mut().for_each(without_null),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Takes out members that are `null`: the same as absent.
pub(super) fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, member| !member.is_null());
            map.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A schema of one value, such as a query parameter.
#[derive(Debug)]
pub struct Schema(Validator);

impl Schema {
    /// Reads a schema (JSON Schema 2020-12, formats included).
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(schema: &Value) -> Result<Self, String> {
        jsonschema::draft202012::options()
            .should_validate_formats(true)
            .build(schema)
            .map(Self)
            .map_err(|error| error.to_string())
    }

    /// Everything in a value that the schema does not allow.
    #[must_use]
    pub fn violations_of(&self, value: &Value) -> Violations {
        let mut violations = Violations::new();
        for error in self.0.iter_errors(value) {
            let at = error.instance_path().to_string();
            explain(error.kind(), &at, error.instance(), &mut violations);
        }
        violations
    }
}

/// Everything in `value` that the schema of `T` does not allow.
#[must_use]
pub fn violations_of<T: ToSchema + 'static>(value: &Value) -> Violations {
    let mut violations = Violations::new();
    for error in validator::<T>().iter_errors(value) {
        let at = error.instance_path().to_string();
        let whole = value.pointer(&at).and_then(Value::as_object);
        if let (ValidationErrorKind::FalseSchema, Some(object)) = (error.kind(), whole) {
            // An object that has no fields at all; what is said is about the value of one, without its name.
            for name in object.keys() {
                violations.push(unknown_field(child(&at, name), name));
            }
            continue;
        }
        explain(error.kind(), &at, error.instance(), &mut violations);
    }
    violations
}

/// Members of `value` that are `null` and that no schema knows: they mean nothing, but whoever sent them meant something.
pub(super) fn unknown_nulls_of<T: ToSchema + 'static>(value: &Value) -> Violations {
    let mut violations = Violations::new();
    if !holds_null(value) {
        return violations;
    }
    for error in validator::<T>().iter_errors(value) {
        let ValidationErrorKind::AdditionalProperties { unexpected } = error.kind() else {
            continue;
        };
        let at = error.instance_path().to_string();
        let nulls = unexpected
            .iter()
            .filter(|name| error.instance()[name.as_str()].is_null());
        for name in nulls {
            violations.push(unknown_field(child(&at, name), name));
        }
    }
    violations
}

fn holds_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.values().any(holds_null),
        Value::Array(items) => items.iter().any(holds_null),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// The pointer to a member.
fn child(at: &str, name: &str) -> String {
    format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"))
}

fn unknown_field(pointer: String, name: &str) -> Violation {
    Violation {
        pointer,
        code: Code::UnknownField,
        detail: format!("there is no field `{}` here", clip(name)),
        hint: crate::settings::belongs(name).map(ToOwned::to_owned),
    }
}

fn explain(kind: &ValidationErrorKind, at: &str, instance: &Value, violations: &mut Violations) {
    let mut push = |pointer: String, code: Code, detail: String, hint: Option<String>| {
        violations.push(Violation {
            pointer,
            code,
            detail,
            hint,
        });
    };
    let child = |name: &str| child(at, name);
    match kind {
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            for name in unexpected {
                let one = unknown_field(child(name), name);
                push(one.pointer, one.code, one.detail, one.hint);
            }
        }
        ValidationErrorKind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            push(
                child(name),
                Code::MissingField,
                format!("`{name}` is required"),
                None,
            );
        }
        ValidationErrorKind::Type { kind } => {
            let wanted = match kind {
                TypeKind::Single(one) => one.to_string(),
                TypeKind::Multiple(set) => set
                    .iter()
                    .map(|t| t.to_string())
                    .collect::<Vec<_>>()
                    .join(" or "),
            };
            push(
                at.to_owned(),
                Code::WrongType,
                format!("this is {}, not of type {wanted}", noun(instance)),
                None,
            );
        }
        ValidationErrorKind::Pattern { pattern } => push(
            at.to_owned(),
            Code::BadFormat,
            format!(
                "{} does not have the right form",
                clip(&instance.to_string())
            ),
            Some(format!("it must match {pattern}")),
        ),
        ValidationErrorKind::Enum { options } => push(
            at.to_owned(),
            Code::NotOneOf,
            format!(
                "{} is not one of the allowed values",
                clip(&instance.to_string())
            ),
            Some(format!("one of {options}")),
        ),
        ValidationErrorKind::Minimum { limit } => {
            push(
                at.to_owned(),
                Code::OutOfRange,
                format!("{instance} is less than {limit}"),
                None,
            );
        }
        ValidationErrorKind::Maximum { limit } => {
            push(
                at.to_owned(),
                Code::OutOfRange,
                format!("{instance} is more than {limit}"),
                None,
            );
        }
        ValidationErrorKind::MinItems { limit } => {
            push(
                at.to_owned(),
                Code::OutOfRange,
                format!("at least {limit} needed"),
                None,
            );
        }
        ValidationErrorKind::MaxItems { limit } => {
            push(
                at.to_owned(),
                Code::OutOfRange,
                format!("at most {limit} allowed"),
                None,
            );
        }
        ValidationErrorKind::MinLength { limit } => {
            push(
                at.to_owned(),
                Code::OutOfRange,
                format!("at least {limit} characters needed"),
                None,
            );
        }
        ValidationErrorKind::MaxLength { limit } => {
            push(
                at.to_owned(),
                Code::OutOfRange,
                format!("at most {limit} characters allowed"),
                None,
            );
        }
        other => push(
            at.to_owned(),
            Code::BadFormat,
            format!(
                "the value breaks the rule `{}` of the schema",
                other.keyword()
            ),
            None,
        ),
    }
}

/// What a JSON value is, with its article.
pub(super) fn noun(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// Long values are quoted in part: an answer must not echo a megabyte.
fn clip(text: &str) -> String {
    const MOST: usize = 80;
    if text.chars().count() <= MOST {
        text.to_owned()
    } else {
        text.chars()
            .take(MOST)
            .chain(std::iter::once('…'))
            .collect()
    }
}

/// Converts what fits the schema of `T`, or says where `T` is stricter than that: still a clear answer, one at a time.
pub(super) fn typed<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, Violation> {
    serde_path_to_error::deserialize::<_, T>(value).map_err(|error| Violation {
        pointer: pointer_of(error.path()),
        code: Code::BadFormat,
        detail: error.inner().to_string(),
        hint: None,
    })
}

fn pointer_of(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    path.iter()
        .map(|segment| match segment {
            Segment::Seq { index } => format!("/{index}"),
            Segment::Map { key } => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
            Segment::Enum { variant } => format!("/{variant}"),
            Segment::Unknown => String::new(),
        })
        .collect()
}

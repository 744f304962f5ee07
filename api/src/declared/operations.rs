//! How the operations of a kind stand in the table, and so in the document.

use heddle_model::kind::{Kind, Spec};
use serde_json::{Value, json};
use utoipa::openapi::path::HttpMethod;

use super::Declared;
use super::read::{get, list};
use super::write::{create, delete, patch, put};
use crate::openapi::Op;
use crate::table::Table;

/// Adds the operations of a kind that has a collection.
pub(crate) fn collection<T: Declared>(table: Table) -> Table {
    let collection = T::COLLECTION;
    let item = format!(
        "{collection}/{{{}}}",
        T::IDS.0.rsplit('_').next().unwrap_or(T::IDS.0)
    );
    let (one, many) = T::IDS;
    let noun = T::NOUN;
    let spec = T::name().into_owned();
    let mut example = T::sample();
    example["name"] = serde_json::json!("example");
    let view = || Some(T::VIEW.to_owned());
    table
        .op(
            HttpMethod::Get,
            collection,
            Op::new(format!("list_{many}"), format!("List each {noun}, by name"), T::TAG)
                .about(across::<T>())
                .listed::<T>()
                .answer(200, "One page.", Some(format!("{}List", T::VIEW))),
            list::<T>,
        )
        .op(
            HttpMethod::Post,
            collection,
            Op::new(format!("create_{one}"), format!("Create a {noun}"), T::TAG)
                .about("409 when the name is taken: POST never overwrites.")
                .body(format!("Create{}", T::VIEW), example)
                .tries()
                .owned()
                .once()
                .answer(201, "Created.", view()),
            create::<T>,
        )
        .op(
            HttpMethod::Get,
            &item,
            Op::new(format!("get_{one}"), format!("Read a {noun}"), T::TAG)
                .answer(200, "The object.", view())
                .answer(304, "The state that If-None-Match names is current.", None),
            get::<T>,
        )
        .op(
            HttpMethod::Put,
            &item,
            closing::<T>(
                Op::new(format!("put_{one}"), format!("Create or replace a {noun}"), T::TAG)
                    .about("Idempotent. Equal content makes no revision. If-Match replaces only the state that it names; `If-None-Match: *` only creates.")
                    .body(spec, T::sample())
                    .writes()
                    .tries()
                    .owned()
                    .answer(200, "Replaced, or equal already.", view())
                    .answer(201, "Created.", view()),
            ),
            put::<T>,
        )
        .op(HttpMethod::Patch, &item, closing::<T>(patch_op::<T>()), patch::<T>)
        .op(
            HttpMethod::Delete,
            &item,
            Op::new(format!("delete_{one}"), format!("Delete a {noun} and what is below it"), T::TAG)
                .about("References from elsewhere do not prevent it.")
                .writes()
                .tries()
                .owned()
                .answer(204, "Deleted.", None),
            delete::<T>,
        )
}

/// Adds the operations of a kind of which its parent has at most one.
pub(crate) fn singleton<T: Declared>(table: Table) -> Table {
    let (one, _) = T::IDS;
    let noun = T::NOUN;
    let view = || Some(T::VIEW.to_owned());
    table
        .op(
            HttpMethod::Get,
            T::COLLECTION,
            Op::new(format!("get_{one}"), format!("Read the {noun}"), T::TAG)
                .answer(200, "The object.", view())
                .answer(304, "The state that If-None-Match names is current.", None),
            get::<T>,
        )
        .op(
            HttpMethod::Put,
            T::COLLECTION,
            Op::new(
                format!("put_{one}"),
                format!("Create or replace the {noun}"),
                T::TAG,
            )
            .about("Idempotent. Equal content makes no revision.")
            .body(T::name().into_owned(), T::sample())
            .writes()
            .tries()
            .owned()
            .answer(200, "Replaced, or equal already.", view())
            .answer(201, "Created.", view()),
            put::<T>,
        )
        .op(
            HttpMethod::Patch,
            T::COLLECTION,
            patch_op::<T>(),
            patch::<T>,
        )
        .op(
            HttpMethod::Delete,
            T::COLLECTION,
            Op::new(
                format!("delete_{one}"),
                format!("Delete the {noun}"),
                T::TAG,
            )
            .writes()
            .tries()
            .owned()
            .answer(204, "Deleted.", None),
            delete::<T>,
        )
}

/// Services have ports that may be closed.
fn closing<T: Declared>(op: Op) -> Op {
    match T::KIND {
        Kind::Service => op.closes(),
        _ => op,
    }
}

fn across<T: Declared>() -> &'static str {
    if T::PARENTS.is_empty() {
        ""
    } else {
        "With `-` in place of the parent's name: those of every parent, each with its own in `meta.parent`."
    }
}

fn patch_op<T: Declared>() -> Op {
    let noun = T::NOUN;
    Op::new(
        format!("patch_{}", T::IDS.0),
        format!("Change parts of a {noun}"),
        T::TAG,
    )
    .about("A JSON Merge Patch (RFC 7396), merged onto what was sent before and then judged as a whole: `null` removes a field, a list replaces the list. Pointers in `errors` are those of the merged object.")
    .patch(T::VIEW, patch_example::<T>())
    .writes()
    .tries()
                .owned()
    .answer(200, "Changed, or equal already.", Some(T::VIEW.to_owned()))
}

/// One field of the sample.
fn patch_example<T: Spec>() -> Value {
    let sample = T::sample();
    let first = sample.as_object().and_then(|sample| sample.iter().next());
    first.map_or_else(|| json!({}), |(name, value)| json!({ name: value }))
}

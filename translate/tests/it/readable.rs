//! What people are shown of a resource is what the descriptors of its messages say. `HEDDLE_ACCEPT_GOLDEN=1` writes the table of
//! fields anew, from the goldens and
//! from meshes that are made up.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use heddle_translate::{Resource, everything, readable};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, ReflectMessage as _, Value};

use crate::any_mesh::case;
use crate::case::Case;
use crate::golden::cases;
use crate::protos;

/// Lines by message or enum.
type Table = BTreeMap<String, BTreeSet<(u32, String)>>;

fn kind(field: &FieldDescriptor) -> String {
    let of = match field.is_map() {
        true => match field.kind() {
            Kind::Message(entry) => entry.map_entry_value_field().kind(),
            other => other,
        },
        false => field.kind(),
    };
    match of {
        Kind::Message(message) => message.full_name().to_owned(),
        Kind::Enum(of) => format!("enum:{}", of.full_name()),
        Kind::Double => String::from("double"),
        Kind::Float => String::from("float"),
        Kind::Int32 => String::from("int32"),
        Kind::Int64 => String::from("int64"),
        Kind::Uint32 => String::from("uint32"),
        Kind::Uint64 => String::from("uint64"),
        Kind::Bool => String::from("bool"),
        Kind::String => String::from("string"),
        Kind::Bytes => String::from("bytes"),
        other => panic!("{}: {other:?} is not read yet", field.full_name()),
    }
}

fn note(table: &mut Table, message: &DynamicMessage) {
    let name = message.descriptor().full_name().to_owned();
    if name == "google.protobuf.Any" {
        let url = message.get_field_by_name("type_url").unwrap();
        let url = url.as_str().unwrap().to_owned();
        let body = message.get_field_by_name("value").unwrap();
        let inner = protos::decode(
            url.rsplit('/').next().unwrap(),
            body.as_bytes().unwrap().clone(),
        );
        note(table, &inner);
        return;
    }
    if name.starts_with("google.protobuf.") && !name.ends_with("Value") {
        return;
    }
    if ["google.protobuf.Value", "google.protobuf.ListValue"].contains(&name.as_str()) {
        return;
    }
    let _ = table.entry(format!("message {name}")).or_default();
    let wrapper = name.starts_with("google.protobuf.");
    let fields = message.descriptor();
    for field in fields.fields() {
        if !message.has_field(&field) && !wrapper {
            continue;
        }
        let label = match (field.is_map(), field.is_list()) {
            (true, _) => "map",
            (_, true) => "many",
            _ => "one",
        };
        let line = format!("{} {label} {}", field.name(), kind(&field));
        let lines = table.entry(format!("message {name}")).or_default();
        lines.insert((field.number(), line));
        if let Kind::Enum(of) = field.kind() {
            let values = of.values();
            let values = values.map(|v| (v.number().cast_unsigned(), v.name().to_owned()));
            table.insert(format!("enum {}", of.full_name()), values.collect());
        }
        note_value(table, &message.get_field(&field));
    }
}

fn note_value(table: &mut Table, value: &Value) {
    match value {
        Value::Message(message) => note(table, message),
        Value::List(items) => items.iter().for_each(|item| note_value(table, item)),
        Value::Map(entries) => {
            for (key, value) in entries {
                assert!(matches!(key, MapKey::String(_)), "only text is a key");
                note_value(table, value);
            }
        }
        _ => {}
    }
}

fn resources() -> Vec<Resource> {
    let of = |case: &Path| Case::read(&case.join("in.yaml")).translate().resources;
    cases().iter().flat_map(|case| of(case)).collect()
}

#[test]
fn the_table_of_fields_has_what_translation_sets() {
    let mut table = Table::new();
    let mut runner = TestRunner::deterministic();
    let strategy = case();
    let any = (0..400).flat_map(|_| {
        let given = strategy.new_tree(&mut runner).unwrap().current();
        given.translate().resources
    });
    for resource in resources().into_iter().chain(any) {
        note(
            &mut table,
            &protos::decode("google.protobuf.Any", resource.body),
        );
    }
    // What hides secrets must be able to see them.
    for tls in ["Secret", "TlsCertificate"] {
        let of = protos::decode(
            &format!("envoy.extensions.transport_sockets.tls.v3.{tls}"),
            bytes::Bytes::new(),
        );
        note(&mut table, &of);
    }
    let mut text = String::from(
        "# Which fields of which messages are shown. Made by translate/tests/it/readable.rs from the descriptors.\n",
    );
    for (name, lines) in &table {
        let _ = writeln!(text, "{name}");
        for (number, line) in lines {
            let _ = writeln!(text, "  {number} {line}");
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/readable/fields.txt");
    if std::env::var_os("HEDDLE_ACCEPT_GOLDEN").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let is = std::fs::read_to_string(&path).unwrap();
    assert!(
        is == text,
        "src/readable/fields.txt is not what translation needs; HEDDLE_ACCEPT_GOLDEN=1 writes it"
    );
}

#[test]
fn what_is_shown_of_the_goldens_is_what_they_say() {
    for resource in resources() {
        assert_eq!(
            everything(&resource),
            protos::json(&resource),
            "{}",
            resource.name
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_shown_of_any_mesh_is_what_it_says(given in case()) {
        for resource in given.translate().resources {
            prop_assert_eq!(everything(&resource), protos::json(&resource), "{}", resource.name);
        }
    }

    /// The form of a proxy's configuration that is made in one step, against the parts that servers make.
    #[test]
    fn the_whole_is_the_sum_of_its_parts(given in case()) {
        let parts = given.translate().resources;
        let options = crate::case::options();
        let whole = heddle_translate::whole(&given.snapshot, &given.view, &given.endpoints, &options);
        prop_assert_eq!(whole.resources, parts);
    }
}

#[test]
fn sec_k02_no_key_and_no_certificate_is_shown() {
    let secret = heddle_translate::identity_secret("CHAIN-OF-ALL", "KEY-OF-ALL", "01");
    let trust = heddle_translate::trust_secret("ROOTS-OF-ALL");
    for resource in [secret, trust] {
        let shown = readable(&resource).to_string();
        for word in ["CHAIN-OF-ALL", "KEY-OF-ALL", "ROOTS-OF-ALL"] {
            assert!(!shown.contains(word), "{shown}");
            assert!(!shown.contains(&hex(word)), "{shown}");
        }
    }
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn bytes_that_are_no_message_are_not_shown() {
    let mut resource = resources().into_iter().next().unwrap();
    let whole = resource.body.clone();
    for length in 0..whole.len() {
        resource.body = whole.slice(..length);
        let _ = readable(&resource);
    }
}

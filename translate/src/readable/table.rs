//! The table of fields: what stands behind which number of which message.

use std::collections::HashMap;
use std::sync::OnceLock;

use serde_json::{Value, json};

use super::wire::{Reader, Scalar};

const TEXT: &str = include_str!("fields.txt");

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Label {
    One,
    Many,
    /// From text to the kind.
    Map,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Bytes,
    Bool,
    Unsigned32,
    Signed32,
    Unsigned64,
    Signed64,
    Double,
    Float,
    Enum(String),
    Message(String),
}

#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) label: Label,
    pub(super) kind: Kind,
}

type Fields = HashMap<u32, Field>;

/// The whole of it.
#[derive(Debug, Default)]
pub(super) struct Table {
    messages: HashMap<String, Fields>,
    enums: HashMap<String, HashMap<u64, String>>,
}

impl Table {
    pub(super) fn get() -> &'static Self {
        static TABLE: OnceLock<Table> = OnceLock::new();
        TABLE.get_or_init(|| Self::parse(TEXT))
    }

    pub(super) fn message(&self, name: &str) -> Option<&Fields> {
        self.messages.get(name)
    }

    /// `message NAME`, then a line `NUMBER NAME one|many|map KIND` for each of its fields; `enum NAME`, then `NUMBER NAME`. Lines
    /// that are none of these say nothing: the test that makes the table would notice.
    fn parse(text: &str) -> Self {
        let mut table = Self::default();
        let mut current: (&str, &str) = ("", "");
        for line in text.lines().map(str::trim) {
            let words: Vec<&str> = line.split_whitespace().collect();
            match (words.as_slice(), current) {
                ([what @ ("message" | "enum"), name], _) => {
                    current = (what, name);
                    if *what == "message" {
                        table.messages.entry((*name).to_owned()).or_default();
                    }
                }
                ([number, name, label, kind], ("message", message)) => {
                    let label = match *label {
                        "many" => Label::Many,
                        "map" => Label::Map,
                        _ => Label::One,
                    };
                    let field = Field {
                        name: (*name).to_owned(),
                        label,
                        kind: Kind::parse(kind),
                    };
                    if let Ok(number) = number.parse() {
                        let fields = table.messages.entry(message.to_owned()).or_default();
                        fields.insert(number, field);
                    }
                }
                ([number, name], ("enum", of)) => {
                    if let Ok(number) = number.parse() {
                        let values = table.enums.entry(of.to_owned()).or_default();
                        values.insert(number, (*name).to_owned());
                    }
                }
                _ => {}
            }
        }
        table
    }
}

impl Field {
    /// What a wrapper or an entry that leaves it out stands for.
    pub(super) fn zero(&self) -> Option<Value> {
        Some(match &self.kind {
            Kind::Text | Kind::Bytes => json!(""),
            Kind::Bool => json!(false),
            Kind::Unsigned32 | Kind::Signed32 => json!(0),
            Kind::Unsigned64 | Kind::Signed64 => json!("0"),
            Kind::Double | Kind::Float => json!(0.0),
            Kind::Enum(_) => json!(0),
            Kind::Message(_) => return None,
        })
    }
}

impl Kind {
    fn parse(text: &str) -> Self {
        match text {
            "string" => Self::Text,
            "bytes" => Self::Bytes,
            "bool" => Self::Bool,
            "uint32" => Self::Unsigned32,
            "int32" => Self::Signed32,
            "uint64" => Self::Unsigned64,
            "int64" => Self::Signed64,
            "double" => Self::Double,
            "float" => Self::Float,
            other => match other.strip_prefix("enum:") {
                Some(name) => Self::Enum(name.to_owned()),
                None => Self::Message(other.to_owned()),
            },
        }
    }

    /// `None`: something else stands there.
    pub(super) fn render(&self, table: &Table, scalar: &Scalar<'_>) -> Option<Value> {
        Some(match (self, *scalar) {
            (Self::Text, Scalar::Bytes(bytes)) => json!(std::str::from_utf8(bytes).ok()?),
            // Nobody reads them here; those of ours are certificates and keys.
            (Self::Bytes, Scalar::Bytes(bytes)) => json!(format!("({} bytes)", bytes.len())),
            (Self::Bool, Scalar::Varint(value)) => json!(value != 0),
            (Self::Unsigned32, Scalar::Varint(value)) => json!(value),
            (Self::Signed32, Scalar::Varint(value)) => json!(value.cast_signed()),
            // As text, as JSON has no such numbers.
            (Self::Unsigned64, Scalar::Varint(value)) => json!(value.to_string()),
            (Self::Signed64, Scalar::Varint(value)) => json!(value.cast_signed().to_string()),
            (Self::Double, Scalar::Fixed64(bits)) => json!(f64::from_bits(bits)),
            (Self::Float, Scalar::Fixed32(bits)) => json!(f32::from_bits(bits)),
            (Self::Enum(name), Scalar::Varint(value)) => {
                let named = table.enums.get(name).and_then(|values| values.get(&value));
                named.map_or_else(|| json!(value), |name| json!(name))
            }
            _ => return None,
        })
    }

    /// Numbers that stand in one piece.
    pub(super) fn unpack<'a>(&self, packed: &'a [u8]) -> Option<Vec<Scalar<'a>>> {
        let mut reader = Reader::new(packed);
        let mut all = Vec::new();
        while !reader.is_empty() {
            all.push(match self {
                Self::Double => Scalar::Fixed64(reader.fixed64().ok()?),
                Self::Float => Scalar::Fixed32(reader.fixed32().ok()?),
                _ => Scalar::Varint(reader.varint().ok()?),
            });
        }
        Some(all)
    }
}

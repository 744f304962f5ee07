//! What the generator wrote. Its style is its own.
#![expect(
    warnings,
    clippy::all,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::str_to_string,
    clippy::unwrap_used,
    missing_docs,
    reason = "generated code is judged by whether it compiles"
)]

include!(concat!(env!("OUT_DIR"), "/client.rs"));

//! What a message to a webhook says: what the events of a mesh say, in the frame that Standard Webhooks recommends.

use heddle_store::webhooks::{Parcel, What};
use serde_json::json;

use crate::v1::{audit_log, revisions};
use crate::view;

/// The text of a message, as it is signed and sent.
#[must_use]
pub fn message(parcel: &Parcel) -> String {
    let (topic, told) = match &parcel.what {
        What::Audit(row) => ("audit", Some(audit_log::render(row))),
        What::Revision(row) => ("revision", Some(revisions::render(row))),
        What::Ping => ("ping", None),
    };
    let mut data = json!({"org": parcel.org});
    if let Some((mesh, name)) = &parcel.mesh {
        data["mesh"] = json!({"uid": mesh.to_string(), "name": name});
    }
    if let Some(told) = told {
        data[topic] = told;
    }
    json!({"type": topic, "timestamp": view::time(parcel.at), "data": data}).to_string()
}

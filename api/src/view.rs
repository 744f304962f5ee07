//! What comes back: what the user sent, plus `meta` and `status`.

use axum::Json;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, SecondsFormat, Utc};
use heddle_model::id::{AccessRuleId, MeshId, ProfileId, RouteId, ServiceId, SplitId};
use heddle_model::kind::Kind;
use heddle_model::name::Name;
use heddle_store::resources::Stored;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::extract::Page;

/// The prefixed identifier of a stored object.
pub(crate) fn uid(kind: Kind, id: Uuid) -> String {
    match kind {
        Kind::Mesh => MeshId::from_uuid(id).to_string(),
        Kind::Service => ServiceId::from_uuid(id).to_string(),
        Kind::Route => RouteId::from_uuid(id).to_string(),
        Kind::Split => SplitId::from_uuid(id).to_string(),
        Kind::AccessRule => AccessRuleId::from_uuid(id).to_string(),
        Kind::Profile => ProfileId::from_uuid(id).to_string(),
    }
}

/// The kind and stored form of a prefixed identifier.
pub(crate) fn parse_uid(text: &str) -> Option<(Kind, Uuid)> {
    let id = |kind| match kind {
        Kind::Mesh => text.parse().ok().map(MeshId::uuid),
        Kind::Service => text.parse().ok().map(ServiceId::uuid),
        Kind::Route => text.parse().ok().map(RouteId::uuid),
        Kind::Split => text.parse().ok().map(SplitId::uuid),
        Kind::AccessRule => text.parse().ok().map(AccessRuleId::uuid),
        Kind::Profile => text.parse().ok().map(ProfileId::uuid),
    };
    Kind::ALL
        .into_iter()
        .find_map(|kind| Some((kind, id(kind)?)))
}

/// Where an object is, below its mesh: the end of its address.
pub(crate) fn path(kind: Kind, parents: &[Name], name: &Name) -> String {
    let above = |i: usize| parents.get(i).map_or("-", Name::as_str);
    match kind {
        Kind::Mesh => String::new(),
        Kind::Service => format!("services/{name}"),
        Kind::Route => format!("services/{}/routes/{name}", above(0)),
        Kind::Split => format!("services/{}/routes/{}/split", above(0), above(1)),
        Kind::AccessRule => format!("services/{}/access-rules/{name}", above(0)),
        Kind::Profile => format!("profiles/{name}"),
    }
}

/// A time as RFC 3339 in UTC.
pub(crate) fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// The answer for one declarative object.
pub(crate) fn object(stored: &Stored, status: Option<Value>) -> Value {
    Value::Object(whole(stored.clone(), None, status))
}

/// The same, with the names of what it is below in `meta.parent`.
pub(crate) fn object_below(
    stored: Stored,
    parents: Map<String, Value>,
    status: Option<Value>,
) -> Value {
    Value::Object(whole(stored, Some(parents), status))
}

fn whole(
    stored: Stored,
    parents: Option<Map<String, Value>>,
    status: Option<Value>,
) -> Map<String, Value> {
    let etag = stored.etag();
    let mut body = Map::with_capacity(stored.sent.len() + 3);
    body.insert(String::from("name"), json!(stored.name));
    body.extend(stored.sent);
    let mut meta = Map::with_capacity(8);
    let mut say = |name: &str, value| meta.insert(name.to_owned(), value);
    say("uid", Value::String(uid(stored.kind, stored.id)));
    say("kind", json!(stored.kind));
    say("etag", Value::String(etag));
    say("revision", json!(stored.revision));
    say("created_at", Value::String(time(stored.created_at)));
    say("updated_at", Value::String(time(stored.updated_at)));
    if let Some(owner) = &stored.managed_by {
        say("managed_by", json!(owner));
    }
    if let Some(parents) = parents {
        say("parent", Value::Object(parents));
    }
    body.insert(String::from("meta"), Value::Object(meta));
    if let Some(status) = status {
        body.insert(String::from("status"), status);
    }
    body
}

/// Answers with one object, its ETag and, when it is new, its address.
pub(crate) fn answer(
    status: StatusCode,
    body: Value,
    etag: &str,
    location: Option<&str>,
) -> Response {
    let mut response = (status, Json(body)).into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("private, no-cache"),
    );
    if let Ok(etag) = HeaderValue::from_str(etag) {
        headers.insert(header::ETAG, etag);
    }
    if let Some(location) = location.and_then(|l| HeaderValue::from_str(l).ok()) {
        headers.insert(header::LOCATION, location);
    }
    response
}

/// Answers a read: 304 when the client has this state already.
pub(crate) fn answer_read(request: &HeaderMap, body: Value, etag: &str) -> Response {
    let known = request
        .get(header::IF_NONE_MATCH)
        .and_then(|v| v.to_str().ok());
    if known.is_some_and(|known| known.split(',').any(|one| one.trim() == etag)) {
        let mut response = StatusCode::NOT_MODIFIED.into_response();
        if let Ok(etag) = HeaderValue::from_str(etag) {
            response.headers_mut().insert(header::ETAG, etag);
        }
        return response;
    }
    answer(StatusCode::OK, body, etag, None)
}

/// Answers with one page. `rows` has one more than the page when another one follows.
pub(crate) fn list<R>(
    rows: Vec<R>,
    at: &Page,
    address: &str,
    key: impl Fn(&R) -> String,
    render: impl Fn(&R) -> Value,
) -> Response {
    Json(Value::Object(page(rows, at, address, key, render))).into_response()
}

/// What every page has: `items`, `next_cursor` unless it is the last one, `self`.
pub(crate) fn page<R>(
    mut rows: Vec<R>,
    page: &Page,
    address: &str,
    key: impl Fn(&R) -> String,
    render: impl Fn(&R) -> Value,
) -> Map<String, Value> {
    let limit = page.limit as usize;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let mut body = Map::new();
    body.insert(
        String::from("items"),
        Value::Array(rows.iter().map(render).collect()),
    );
    if more && let Some(last) = rows.last() {
        body.insert(String::from("next_cursor"), json!(Page::cursor(&key(last))));
    }
    body.insert(String::from("self"), json!(address));
    body
}

/// An answer that holds a secret: nobody keeps a copy on the way.
pub(crate) fn secret_answer(status: StatusCode, body: Value, location: Option<&str>) -> Response {
    let mut response = (status, Json(body)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(location) = location.and_then(|l| l.parse().ok()) {
        headers.insert(header::LOCATION, location);
    }
    response
}

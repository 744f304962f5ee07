//! What handlers take from a request; every rejection is a problem.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::to_bytes;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequest, FromRequestParts, MatchedPath, Path, RawPathParams, Request};
use axum::http::{HeaderMap, header, request::Parts};
use bytes::Bytes;
use heddle_model::code::Code;
use heddle_model::violation::Violations;
use heddle_model::wire;
use heddle_store::resources::Precondition;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::note;
use crate::parameters::{Declared, Parameters};
use crate::problem::Problem;
use crate::state::App;

/// The most bytes that a body may have.
pub(crate) const MAX_BODY_BYTES: usize = 1 << 20;

/// How long a body may take to arrive.
const BODY_DEADLINE: std::time::Duration = std::time::Duration::from_secs(30);

/// What a body says, judged by the schema that the document shows for it.
///
/// # Errors
/// No JSON object; every rule that it breaks.
pub(crate) fn decode<T>(body: &[u8]) -> Result<T, Problem>
where
    T: DeserializeOwned + utoipa::ToSchema + 'static,
{
    let sent = wire::parse_object(body).map_err(wire::Refused::Malformed)?;
    wire::decode_object(&sent).map_err(Problem::invalid)
}

/// What a body says, judged by its schema and by rules that no schema can say, all in one answer. A rule about what the schema refuses
/// anyway adds nothing.
///
/// # Errors
/// Every rule that it breaks, of both kinds.
pub(crate) fn decode_with<T>(
    sent: &Map<String, Value>,
    judge: impl FnOnce(&Map<String, Value>, &mut Violations),
) -> Result<T, Problem>
where
    T: DeserializeOwned + utoipa::ToSchema + 'static,
{
    let mut broken = Violations::new();
    judge(sent, &mut broken);
    let decoded = match wire::decode_object(sent) {
        Ok(value) => Some(value),
        Err(mut refused) => {
            for rule in broken.into_sorted() {
                if refused.iter().all(|one| one.pointer != rule.pointer) {
                    refused.push(rule);
                }
            }
            broken = refused;
            None
        }
    };
    match decoded {
        Some(value) if broken.is_empty() => Ok(value),
        _ => Err(Problem::invalid(broken)),
    }
}

/// The bytes of a JSON body.
pub(crate) struct JsonBytes(pub(crate) Bytes);

impl FromRequest<App> for JsonBytes {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &App) -> Result<Self, Problem> {
        let refusal = "send `Content-Type: application/json`";
        body(request, &["application/json"], refusal)
            .await
            .map(Self)
    }
}

/// The bytes of a JSON Merge Patch (RFC 7396).
pub(crate) struct PatchBytes(pub(crate) Bytes);

impl FromRequest<App> for PatchBytes {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &App) -> Result<Self, Problem> {
        let refusal = "send `Content-Type: application/merge-patch+json`";
        let types = ["application/merge-patch+json", "application/json"];
        body(request, &types, refusal).await.map(Self)
    }
}

/// The bytes of a body of one of these types.
async fn body(request: Request, types: &[&str], refusal: &str) -> Result<Bytes, Problem> {
    let kind = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    if !types.iter().any(|one| essence.eq_ignore_ascii_case(one)) {
        return Err(Problem::new(Code::UnsupportedMediaType, refusal));
    }
    if request.headers().contains_key(header::CONTENT_ENCODING) {
        return Err(Problem::new(
            Code::UnsupportedMediaType,
            "compressed bodies are not accepted",
        ));
    }
    let body = to_bytes(request.into_body(), MAX_BODY_BYTES);
    let body = tokio::time::timeout(BODY_DEADLINE, body)
        .await
        .map_err(|_| {
            Problem::new(
                Code::MalformedJson,
                "the body did not arrive within 30 seconds",
            )
        })?;
    body.map_err(|error| {
        if is_too_long(&error) {
            Problem::new(Code::TooLarge, "the body exceeds 1 MiB")
        } else {
            Problem::new(Code::MalformedJson, "the body ended before it was complete")
        }
    })
}

fn is_too_long(error: &(dyn std::error::Error + 'static)) -> bool {
    error.is::<http_body_util::LengthLimitError>() || error.source().is_some_and(is_too_long)
}

/// The variable segments of the path.
pub(crate) struct Segments<T>(pub(crate) T);

impl<T: DeserializeOwned + Send> FromRequestParts<App> for Segments<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let path: Result<Path<T>, PathRejection> = Path::from_request_parts(parts, app).await;
        // A segment that is not even text, or that no stored name could contain, names nothing.
        let raw = RawPathParams::from_request_parts(parts, app)
            .await
            .map_err(|_| Problem::not_found())?;
        if raw.iter().any(|(_, value)| value.contains('\0')) {
            return Err(Problem::not_found());
        }
        path.map(|Path(value)| Self(value))
            .map_err(|_| Problem::not_found())
    }
}

/// The query parameters: each at most once, and only those that the operation knows, of the form that the document
/// promises. What is left to a handler is whether they fit each other and what is stored.
#[derive(Debug, Default)]
pub(crate) struct Query(BTreeMap<String, String>);

impl Query {
    /// Takes one parameter out.
    pub(crate) fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    /// Takes one parameter out that is compared with stored text.
    pub(crate) fn take_text(&mut self, name: &str) -> Result<Option<String>, Problem> {
        let text = self.take(name);
        if text.as_ref().is_some_and(|text| text.contains('\0')) {
            let detail = format!("`{name}`: holds a NUL character");
            return Err(Problem::parameter(name, detail));
        }
        Ok(text)
    }

    /// Takes one parameter out and parses it.
    pub(crate) fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(
        &mut self,
        name: &str,
    ) -> Result<Option<T>, Problem> {
        self.take(name)
            .map(|text| {
                text.parse()
                    .map_err(|error: T::Err| Problem::parameter(name, format!("`{name}`: {error}")))
            })
            .transpose()
    }

    /// Takes out a parameter that is `true` or `false`; false when absent.
    pub(crate) fn flag(&mut self, name: &str) -> Result<bool, Problem> {
        match self.take(name).as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(Problem::parameter(
                name,
                format!("`{name}` is `true` or `false`"),
            )),
        }
    }

    /// Takes out a whole number in plain digits. More than `most` is taken as that.
    pub(crate) fn integer(
        &mut self,
        name: &str,
        least: u32,
        most: u32,
    ) -> Result<Option<u32>, Problem> {
        let Some(text) = self.take(name) else {
            return Ok(None);
        };
        let plain = text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
        if text != "0" && (text.is_empty() || !plain) {
            return Err(Problem::parameter(
                name,
                format!("`{name}`: a whole number"),
            ));
        }
        // Plain digits that do not parse are a number too large.
        let number = text.parse().map_or(most, |number: u32| number.min(most));
        if number < least {
            return Err(Problem::parameter(
                name,
                format!("`{name}`: at least {least}"),
            ));
        }
        Ok(Some(number))
    }

    /// What is left was not understood.
    pub(crate) fn finish(self) -> Result<(), Problem> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(name) => {
                let shown: String = name.chars().take(40).collect();
                Err(Problem::parameter(
                    &shown,
                    format!("there is no parameter `{shown}` here"),
                ))
            }
        }
    }
}

impl FromRequestParts<App> for Query {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        let pairs = serde_urlencoded::from_str::<Vec<(String, String)>>(
            parts.uri.query().unwrap_or_default(),
        )
        .map_err(|_| Problem::new(Code::BadParameter, "the query is not URL-encoded text"))?;
        let mut query = BTreeMap::new();
        for (name, value) in pairs {
            if query.insert(name.clone(), value).is_some() {
                return Err(Problem::parameter(
                    &name,
                    format!("`{name}` is given twice"),
                ));
            }
        }
        declared(parts)?.check(&query)?;
        if note::is_write(&parts.method) {
            // Not the handler's: it is part of the grant.
            query.remove(note::PARAMETER);
        }
        Ok(Self(query))
    }
}

/// What the document says of the query of this operation.
fn declared(parts: &Parts) -> Result<&Declared, Problem> {
    let path = parts.extensions.get::<MatchedPath>();
    let all = parts.extensions.get::<Arc<Parameters>>();
    path.zip(all)
        .and_then(|(path, all)| all.find(path.as_str(), &parts.method))
        .ok_or_else(|| Problem::internal(&"an operation that the document does not have"))
}

/// Takes `limit` out of a query: 1 to 500, larger is taken as 500; 50 when absent.
pub(crate) fn limit(query: &mut Query) -> Result<u32, Problem> {
    Ok(query.integer("limit", 1, 500)?.unwrap_or(50))
}

/// Which page of a list: `limit` (1 to 500, larger is taken as 500; 50 when absent) and `cursor`.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) limit: u32,
    pub(crate) after: Option<String>,
}

const CURSOR_PREFIX: &str = "a_";

impl Page {
    pub(crate) fn take(query: &mut Query) -> Result<Self, Problem> {
        let limit = limit(query)?;
        let bad =
            || Problem::parameter("cursor", "`cursor`: not one that this list has handed out");
        let after = match query.take("cursor") {
            None => None,
            Some(cursor) => {
                let encoded = cursor.strip_prefix(CURSOR_PREFIX).ok_or_else(bad)?;
                let bytes = hex::decode(encoded).map_err(|_| bad())?;
                let text = String::from_utf8(bytes).map_err(|_| bad())?;
                if text.contains('\0') {
                    return Err(bad());
                }
                Some(text)
            }
        };
        Ok(Self { limit, after })
    }

    /// What the cursor holds, for lists whose keys are not text.
    pub(crate) fn parse_after<T>(
        &self,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Problem> {
        let Some(text) = &self.after else {
            return Ok(None);
        };
        // It has the form that the document promises; what it names decides.
        let bad = || Problem::unfit("cursor", "`cursor`: not one that this list has handed out");
        parse(text).map(Some).ok_or_else(bad)
    }

    /// The cursor of the page after one that ended with `last`.
    pub(crate) fn cursor(last: &str) -> String {
        format!("{CURSOR_PREFIX}{}", hex::encode(last))
    }
}

/// What `If-Match` and `If-None-Match` say about a write.
pub(crate) fn precondition(
    headers: &HeaderMap,
    body_etag: Option<String>,
) -> Result<Precondition, Problem> {
    // What is no text is no ETag of ours either: it matches nothing.
    let text = |name: header::HeaderName| {
        let value = headers.get(&name)?;
        Some(String::from_utf8_lossy(value.as_bytes()).trim().to_owned())
    };
    let if_match = text(header::IF_MATCH);
    let if_none_match = text(header::IF_NONE_MATCH);
    if if_none_match.as_deref().is_some_and(|tags| tags != "*") {
        return Err(Problem::new(
            Code::BadParameter,
            "of `If-None-Match` a write takes `*` only",
        ));
    }
    match (if_match, if_none_match, body_etag) {
        (None, None, None) => Ok(Precondition::None),
        (None, Some(_), None) => Ok(Precondition::Absent),
        (Some(etag), None, None) | (None, None, Some(etag)) => Ok(Precondition::Match(etag)),
        (Some(etag), None, Some(body)) if etag == body => Ok(Precondition::Match(etag)),
        (Some(_), None, Some(_)) => Err(Problem::new(
            Code::BadParameter,
            "`If-Match` and `meta.etag` name two states",
        )),
        // Nothing can be there and not be there: a state that no object has.
        (Some(_), Some(_), _) | (_, Some(_), Some(_)) => Ok(Precondition::Match(String::new())),
    }
}

/// The headers of a request, without a rejection.
pub(crate) struct Headers(pub(crate) HeaderMap);

impl FromRequestParts<App> for Headers {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        Ok(Self(parts.headers.clone()))
    }
}

//! `Idempotency-Key`: a request that is sent twice is done once, and answered twice.

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use heddle_model::authz::{Permission, access};
use heddle_model::code::Code;
use heddle_store::Tx;
use heddle_store::idempotency::{self, Answer, Claim};
use serde_json::{Map, Value, json};

use crate::digest;
use crate::problem::Problem;

/// Names a request so that it is done once.
const KEY: &str = "idempotency-key";
/// Marks an answer that was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Says that the answer that was given before had a secret, which is not kept.
const WITHHELD: HeaderName = HeaderName::from_static("heddle-secret-withheld");
/// The members of answers that are shown once.
const SECRETS: [&str; 4] = [
    "secret",
    "initial_password",
    "otpauth_uri",
    "recovery_codes",
];
/// The headers of an answer that belong to it and not to the request.
const HEADERS: [HeaderName; 4] = [
    header::CONTENT_TYPE,
    header::CACHE_CONTROL,
    header::ETAG,
    header::LOCATION,
];

/// A request that is done once.
#[derive(Debug)]
pub(crate) struct Once {
    key: String,
    fingerprint: [u8; 32],
}

impl Once {
    /// What the headers of a POST say; the same key stands for the same address and body.
    pub(crate) fn take(
        headers: &HeaderMap,
        uri: &Uri,
        body: &[u8],
    ) -> Result<Option<Self>, Problem> {
        let mut values = headers.get_all(KEY).iter();
        let Some(value) = values.next() else {
            return Ok(None);
        };
        let key = value.to_str().ok().filter(|key| {
            (1..=255).contains(&key.len()) && key.bytes().all(|b| (0x20..0x7f).contains(&b))
        });
        match (key, values.next()) {
            (Some(key), None) => Ok(Some(Self {
                key: key.to_owned(),
                fingerprint: digest::of(&[uri.to_string().as_bytes(), body]),
            })),
            _ => Err(Problem::new(
                Code::BadParameter,
                "`Idempotency-Key` is given once and is 1 to 255 printable ASCII characters",
            )
            .with("parameter", json!("Idempotency-Key"))),
        }
    }

    /// The answer, if this request was answered before.
    pub(crate) async fn replay<P: Permission<Access = access::Write>>(
        &self,
        tx: &mut Tx<P>,
    ) -> Result<Option<Response>, Problem> {
        match idempotency::claim(tx, &self.key, &self.fingerprint).await? {
            Claim::New => Ok(None),
            Claim::Running => Err(Problem::new(
                Code::KeyInUse,
                "a request with this `Idempotency-Key` is still running",
            )
            .header(header::RETRY_AFTER, HeaderValue::from_static("1"))),
            Claim::Other => Err(Problem::new(
                Code::KeyReused,
                "this `Idempotency-Key` was used for another address or body in the last 24 hours",
            )),
            Claim::Done(answer) => Ok(Some(again(answer))),
        }
    }

    /// Keeps an answer, and gives it back as it was. What failed changed nothing and is not kept: its key is free.
    pub(crate) async fn keep<P: Permission<Access = access::Write>>(
        &self,
        tx: &mut Tx<P>,
        answer: Response,
    ) -> Result<Response, Problem> {
        let (parts, body) = answer.into_parts();
        let body = to_bytes(body, usize::MAX)
            .await
            .map_err(|error| Problem::internal(&error))?;
        let mut headers = Map::new();
        for name in &HEADERS {
            if let Some(value) = parts.headers.get(name).and_then(|v| v.to_str().ok()) {
                headers.insert(name.to_string(), json!(value));
            }
        }
        let mut text = String::from_utf8_lossy(&body).into_owned();
        if let Ok(Value::Object(mut members)) = serde_json::from_str::<Value>(&text) {
            let shown = SECRETS.map(|name| members.shift_remove(name).is_some());
            if shown.contains(&true) {
                text = Value::Object(members).to_string();
                headers.insert(WITHHELD.to_string(), json!("true"));
            }
        }
        let kept = Answer {
            status: parts.status.as_u16(),
            headers: Value::Object(headers),
            body: text,
        };
        idempotency::keep(tx, &self.key, &self.fingerprint, &kept).await?;
        Ok(Response::from_parts(parts, Body::from(body)))
    }
}

fn again(answer: Answer) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let mut response = (status, answer.body).into_response();
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_TYPE);
    for (name, value) in answer.headers.as_object().into_iter().flatten() {
        let name = HeaderName::try_from(name.as_str());
        let value = HeaderValue::try_from(value.as_str().unwrap_or_default());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.insert(name, value);
        }
    }
    headers.insert(REPLAYED, HeaderValue::from_static("true"));
    response
}

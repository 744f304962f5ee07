//! From a code to an ID token: the one request that shows the client's secret.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use heddle_egress::Caller;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_urlencoded as form;

use crate::client::Client;
use crate::metadata::{Metadata, ShowsSecret};
use crate::refused::{Refused, plain};

#[derive(Deserialize)]
struct Granted {
    id_token: Option<String>,
}

#[derive(Deserialize)]
struct Denied {
    error: String,
    error_description: Option<String>,
}

/// Asks for the ID token that a code stands for.
pub(crate) async fn redeem(
    caller: &Caller,
    metadata: &Metadata,
    client: &Client,
    (code, verifier): (&SecretString, &SecretString),
) -> Result<String, Refused> {
    let unfit = |why: String| Refused::Unfit {
        what: format!("the provider's token endpoint at {}", metadata.token),
        why,
    };
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/x-www-form-urlencoded"),
    );
    let mut fields = vec![
        ("grant_type", "authorization_code"),
        ("code", code.expose_secret()),
        ("redirect_uri", client.redirect_uri.as_str()),
        ("code_verifier", verifier.expose_secret()),
    ];
    match (&client.secret, metadata.shows_secret) {
        (Some(secret), ShowsSecret::Basic) => {
            headers.insert(header::AUTHORIZATION, basic(&client.id, secret)?);
        }
        (Some(secret), ShowsSecret::Post) => fields.extend([
            ("client_id", client.id.as_str()),
            ("client_secret", secret.expose_secret()),
        ]),
        (None, _) => fields.push(("client_id", client.id.as_str())),
    }
    let body = form::to_string(fields).map_err(|error| unfit(error.to_string()))?;
    let call = caller.call(Method::POST, &metadata.token, headers, Bytes::from(body));
    let answer = call.await.map_err(|why| Refused::Unreachable {
        what: format!(
            "the answer of the provider's token endpoint at {}",
            metadata.token
        ),
        why,
    })?;
    if answer.status == StatusCode::OK {
        let granted: Granted = serde_json::from_slice(&answer.body)
            .map_err(|_| unfit(String::from("the answer is not what it should be")))?;
        return granted
            .id_token
            .ok_or_else(|| unfit(String::from("the answer has no `id_token`")));
    }
    match serde_json::from_slice::<Denied>(&answer.body) {
        Ok(denied) => Err(Refused::Provider {
            error: plain(&denied.error),
            description: denied.error_description.as_deref().map(plain),
        }),
        Err(_) => Err(unfit(format!(
            "the answer has the status {}",
            answer.status
        ))),
    }
}

/// RFC 6749, 2.3.1: both parts are written as in a form first.
fn basic(id: &str, secret: &SecretString) -> Result<HeaderValue, Refused> {
    let written = |text: &str| form::to_string([("", text)]).map(|text| text[1..].to_owned());
    let both = written(id).and_then(|id| Ok(format!("{id}:{}", written(secret.expose_secret())?)));
    let both = both.map(|both| format!("Basic {}", STANDARD.encode(both)));
    let value = both.ok().and_then(|text| HeaderValue::try_from(text).ok());
    let mut value = value.ok_or_else(|| Refused::Unfit {
        what: String::from("the client's secret"),
        why: String::from("it cannot be written in a header"),
    })?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_a_header_is_written_as_in_a_form() {
        let value = basic("a:b c", &SecretString::from("p/q%r+s")).unwrap();
        let text = value.to_str().unwrap().strip_prefix("Basic ").unwrap();
        let both = String::from_utf8(STANDARD.decode(text).unwrap()).unwrap();
        assert_eq!(both, "a%3Ab+c:p%2Fq%25r%2Bs");
        assert!(value.is_sensitive());
    }
}

//! A typed client of Heddle's API. Every operation of the document is a method of [`Client`], named by its `operationId`,
//! with a builder for its parameters; every schema is a type in [`types`].
//!
//! What lives here: how a client is made, and how a refusal is read. Everything else is generated from
//! `api/openapi.json` when the crate is built. Enums of the API are text here, because they are open: a newer server may
//! have one more. Merge patches are JSON objects, because they tell `null` from absent.
//!
//! [README.md](../README.md) shows how it is used, in a program that a test runs.
//!
//! Nothing of ours is known here but the document; the command line and tests depend on this crate.
#![warn(missing_docs)]

mod generated;

pub use generated::{Client, builder, types};
pub use progenitor_client::{Error, ResponseValue};

/// Why a client could not be made.
#[derive(Debug)]
pub enum ConnectError {
    /// The token is no text for a header.
    Token,
    /// The HTTP client could not be set up.
    Http(reqwest::Error),
}

impl std::fmt::Display for ConnectError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Token => f.write_str("the token holds characters that no token has"),
            Self::Http(_) => f.write_str("set up the HTTP client"),
        }
    }
}

impl std::error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Token => None,
            Self::Http(error) => Some(error),
        }
    }
}

/// A client of the server at `url` (without `/v1`) that calls with this token.
///
/// # Errors
/// [`ConnectError`]; the server is not asked yet.
pub fn connect(url: &str, token: &str) -> Result<Client, ConnectError> {
    use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
    let mut bearer =
        HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| ConnectError::Token)?;
    bearer.set_sensitive(true);
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, bearer);
    let http = reqwest::Client::builder()
        .default_headers(headers)
        .user_agent(concat!("heddle-client/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(ConnectError::Http)?;
    Ok(Client::new_with_client(url.trim_end_matches('/'), http))
}

/// Reads any of the [`types`] from JSON, such as a file that a person wrote.
///
/// # Errors
/// The text is no JSON, or has not the fields of the type.
pub fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, serde_json::Error> {
    serde_json::from_str(text)
}

/// What the server says against a request.
pub trait Problems {
    /// The problem (RFC 9457), if the server answered with one; none if it could not be reached or was not understood.
    fn problem(&self) -> Option<&types::Problem>;
}

impl Problems for Error<types::Problem> {
    fn problem(&self) -> Option<&types::Problem> {
        match self {
            Error::ErrorResponse(response) => Some(response),
            _ => None,
        }
    }
}

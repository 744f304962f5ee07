//! The problems that operations answer with, described once for each status.

use heddle_model::code::Code;
use serde_json::{Map, Value, json};

/// One kind of answer: its status, its name in the document, a code that causes it, and a sentence of detail.
struct Answer {
    status: u16,
    name: &'static str,
    about: &'static str,
    code: Code,
    detail: &'static str,
}

const ANSWERS: &[Answer] = &[
    Answer {
        status: 400,
        name: "BadRequest",
        about: "The request is malformed: its body is no JSON, or a parameter is unknown or has a bad value.",
        code: Code::BadParameter,
        detail: "there is no parameter `colour` here",
    },
    Answer {
        status: 401,
        name: "Unauthorized",
        about: "No credential that is valid now.",
        code: Code::Unauthenticated,
        detail: "send `Authorization: Bearer` with a token that is valid now",
    },
    Answer {
        status: 403,
        name: "Forbidden",
        about: "The credential is valid, and its role does not permit this. `permission` says what is missing.",
        code: Code::Forbidden,
        detail: "this needs the permission config:write",
    },
    Answer {
        status: 404,
        name: "NotFound",
        about: "There is no such object, or it is not the caller's to see.",
        code: Code::NotFound,
        detail: "there is no such object",
    },
    Answer {
        status: 409,
        name: "Conflict",
        about: "What is stored stands against it: a name or a host that is taken, an object that is protected.",
        code: Code::AlreadyExists,
        detail: "an object of this name exists; PUT replaces it",
    },
    Answer {
        status: 412,
        name: "PreconditionFailed",
        about: "The object is not the one that the precondition names. `current_etag` is the one that it has now.",
        code: Code::StaleEtag,
        detail: "the object is not the one that the precondition names",
    },
    Answer {
        status: 413,
        name: "ContentTooLarge",
        about: "The body is too large.",
        code: Code::TooLarge,
        detail: "the body exceeds 1 MiB",
    },
    Answer {
        status: 415,
        name: "UnsupportedMediaType",
        about: "The body is not declared as JSON.",
        code: Code::UnsupportedMediaType,
        detail: "send `Content-Type: application/json`",
    },
    Answer {
        status: 422,
        name: "Unprocessable",
        about: "The request breaks rules; `errors` lists all that its body breaks, each with a JSON pointer.",
        code: Code::Invalid,
        detail: "`name` is required",
    },
    Answer {
        status: 428,
        name: "PreconditionRequired",
        about: "The mesh wants `If-Match` with each change of what exists. `current_etag` is the one that it has now.",
        code: Code::PreconditionRequired,
        detail: "this mesh wants `If-Match`, or `meta.etag` in the body, with every change of what exists",
    },
    Answer {
        status: 429,
        name: "TooManyRequests",
        about: "A limit is reached: of requests in a time, of open answers, of tries, or of what there may be. `Retry-After` says when it is worth another try; without it only making room helps.",
        code: Code::TooManyRequests,
        detail: "this credential made more writes than it may: 200 a second on average and 2000 at once; wait 1 s",
    },
    Answer {
        status: 500,
        name: "InternalError",
        about: "Heddle failed. The request id leads to the cause.",
        code: Code::Internal,
        detail: "Heddle failed; the request id leads us to the cause",
    },
    Answer {
        status: 503,
        name: "Unavailable",
        about: "Not right now. `Retry-After` says when it is worth another try.",
        code: Code::Unavailable,
        detail: "the database cannot be reached right now",
    },
];

/// What the document calls the problem with this status.
pub(crate) fn name(status: u16) -> &'static str {
    ANSWERS
        .iter()
        .find(|answer| answer.status == status)
        .map_or("InternalError", |answer| answer.name)
}

/// A problem as the server would send it.
fn example(answer: &Answer) -> Value {
    let code = answer.code;
    let mut problem = json!({
        "type": format!("/v1/codes/{}", code.as_str()),
        "title": code.title(),
        "status": answer.status,
        "detail": answer.detail,
        "instance": "/requests/0193590c3a3c7b5f8d1e2f3a4b5c6d7e",
        "code": code.as_str(),
        "request_id": "0193590c3a3c7b5f8d1e2f3a4b5c6d7e",
    });
    match answer.status {
        400 => problem["parameter"] = json!("colour"),
        403 => problem["permission"] = json!("config:write"),
        412 | 428 => problem["current_etag"] = json!("\"r42-5c1e9b07\""),
        422 => {
            problem["errors"] = json!([{
                "pointer": "/name", "code": Code::MissingField.as_str(), "detail": answer.detail,
            }]);
        }
        _ => {}
    }
    problem
}

/// Adds those that operations refer to.
pub(super) fn add(document: &mut Value) {
    let text = document["paths"].to_string();
    let mut responses = Map::new();
    for answer in ANSWERS {
        if text.contains(&format!("\"#/components/responses/{}\"", answer.name)) {
            let content = json!({
                "schema": {"$ref": "#/components/schemas/Problem"},
                "example": example(answer),
            });
            let mut response = json!({
                "description": answer.about,
                "content": {"application/problem+json": content},
            });
            if answer.status == 429 {
                let mut headers = super::limits::headers();
                let after = json!({
                    "description": "After how many seconds it is worth another try.",
                    "schema": {"type": "integer", "minimum": 1},
                    "example": 1,
                });
                headers.insert(String::from("Retry-After"), after);
                response["headers"] = Value::Object(headers);
            }
            responses.insert(answer.name.to_owned(), response);
        }
    }
    document["components"]["responses"] = Value::Object(responses);
}

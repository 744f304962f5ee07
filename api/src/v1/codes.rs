//! The table of error codes.

use axum::Json;
use heddle_model::code::Code;
use serde_json::{Value, json};

use crate::extract::{Query, Segments};
use crate::problem::Problem;

fn render(code: Code) -> Value {
    json!({
        "code": code.as_str(),
        "status": code.status(),
        "title": code.title(),
        "cause": code.cause(),
        "fix": code.fix(),
    })
}

pub(crate) async fn list(_: Query) -> Json<Value> {
    Json(
        json!({"items": Code::ALL.iter().map(|code| render(*code)).collect::<Vec<_>>(), "self": "/v1/codes"}),
    )
}

pub(crate) async fn get(
    Segments(code): Segments<String>,
    _: Query,
) -> Result<Json<Value>, Problem> {
    code.parse::<Code>()
        .map(|code| Json(render(code)))
        .map_err(|_| Problem::not_found())
}

//! How one operation is described: what it takes, what it answers, and what follows from both.

use heddle_model::kind::Spec;
use serde_json::Value;
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::path::{OperationBuilder, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Ref, Schema, Type};
use utoipa::openapi::{ContentBuilder, RefOr, Required, ResponseBuilder};

use super::{from_json, schema};
use crate::complete::error_name;
use crate::intent::ACCEPT_PLAIN_CALLERS;
use crate::table::bearer_requirement;

/// How one operation is described.
pub(crate) struct Op {
    id: String,
    summary: String,
    description: String,
    tag: &'static str,
    body: Option<(String, Value)>,
    answers: Vec<(u16, &'static str, Option<String>)>,
    /// The type of what it answers with when that is not plain JSON.
    media: &'static str,
    /// Another type that it answers with where the client asks for it.
    also: Option<&'static str>,
    query: Vec<(&'static str, &'static str)>,
    permission: Option<&'static str>,
    bearer: bool,
    writes: bool,
    patch: bool,
    flags: Vec<(&'static str, &'static str)>,
    typed: Vec<(&'static str, String, Value)>,
    errors: Vec<u16>,
    owned: bool,
    once: bool,
    writes_many: bool,
    parameters: Vec<Parameter>,
}

impl Op {
    pub(crate) fn new(
        id: impl Into<String>,
        summary: impl Into<String>,
        tag: &'static str,
    ) -> Self {
        Self {
            id: id.into(),
            summary: summary.into(),
            description: String::new(),
            tag,
            body: None,
            answers: Vec::new(),
            media: "application/json",
            also: None,
            query: Vec::new(),
            permission: None,
            bearer: true,
            writes: false,
            patch: false,
            flags: Vec::new(),
            typed: Vec::new(),
            errors: Vec::new(),
            owned: false,
            once: false,
            writes_many: false,
            parameters: Vec::new(),
        }
    }

    pub(crate) fn about(mut self, text: impl Into<String>) -> Self {
        self.description = text.into();
        self
    }

    pub(crate) fn body(mut self, schema: impl Into<String>, example: Value) -> Self {
        self.body = Some((schema.into(), example));
        self
    }

    pub(crate) fn answer(
        mut self,
        status: u16,
        about: &'static str,
        schema: Option<String>,
    ) -> Self {
        self.answers.push((status, about, schema));
        self
    }

    /// An answer that is not plain JSON.
    pub(crate) fn answer_as(
        mut self,
        status: u16,
        about: &'static str,
        media: &'static str,
        schema: &str,
    ) -> Self {
        self.media = media;
        self.answer(status, about, Some(schema.to_owned()))
    }

    /// The same answer in another type, for whoever asks for it.
    pub(crate) fn also_as(mut self, media: &'static str) -> Self {
        self.also = Some(media);
        self
    }

    pub(crate) fn query(mut self, name: &'static str, about: &'static str) -> Self {
        self.query.push((name, about));
        self
    }

    pub(crate) fn paged(self) -> Self {
        self.errors(&[422])
            .query("limit", "How many items at most: 1 to 500; 50 when absent.")
            .query("cursor", "`next_cursor` of the page before.")
    }

    /// A list of objects of the kind `T`.
    pub(crate) fn listed<T: Spec>(mut self) -> Self {
        self.typed = schema::list_parameters::<T>();
        self.errors.push(422);
        self.query("limit", "How many items at most: 1 to 500; 50 when absent.")
    }

    pub(crate) fn permission(mut self, scope: &'static str) -> Self {
        self.permission = Some(scope);
        self
    }

    /// Anyone may call it.
    pub(crate) fn open(mut self) -> Self {
        self.bearer = false;
        self
    }

    /// It changes something that other things may depend on.
    pub(crate) fn conflicts(mut self) -> Self {
        self.errors.push(409);
        self
    }

    /// It checks a credential in its body, and slows guesses down.
    pub(crate) fn refuses(mut self) -> Self {
        self.errors.extend([401, 429]);
        self
    }

    /// It can be done so often and no more.
    pub(crate) fn limited(mut self) -> Self {
        self.errors.push(429);
        self
    }

    /// Errors that it can give beyond those that its shape brings along.
    pub(crate) fn errors(mut self, statuses: &[u16]) -> Self {
        self.errors.extend(statuses);
        self
    }

    /// It changes something that has an ETag.
    pub(crate) fn writes(mut self) -> Self {
        self.writes = true;
        self
    }

    /// The headers with which a client says what it believes to be there.
    fn preconditions(&self) -> Vec<(&'static str, &'static str, RefOr<Schema>)> {
        let only_star = || {
            ObjectBuilder::new()
                .schema_type(Type::String)
                .enum_values(Some(["*"]))
                .into()
        };
        let mut headers = Vec::new();
        if self.writes {
            headers.push((
                "If-Match",
                "The ETag of the state that this replaces or deletes; `*` for whatever is there.",
                text_schema(),
            ));
        }
        if self.writes && self.body.is_some() && !self.patch {
            headers.push((
                "If-None-Match",
                "`*` only creates: 412 when there is something already.",
                only_star(),
            ));
        }
        if self.owned {
            headers.push((
                "Heddle-Manager",
                "Which program looks after the object and writes it here: `terraform; ref=\"app.terraform.io/acme/payments\"; url=\"https://...\"`. The first one to say so owns it.",
                text_schema(),
            ));
        }
        if self.once {
            headers.push((
                "Idempotency-Key",
                "Up to 255 printable characters. The same request with the same key within 24 hours is done once and answered again as before, with `Idempotency-Replayed: true`; a secret is not shown again (`Heddle-Secret-Withheld: true`). What failed is not remembered.",
                text_schema(),
            ));
        }
        if self.answers.iter().any(|(status, ..)| *status == 304) {
            headers.push((
                "If-None-Match",
                "The ETags that the client has: 304 without a body when one of them is current.",
                text_schema(),
            ));
        }
        headers
    }

    /// It can be tried without being kept.
    pub(crate) fn tries(mut self) -> Self {
        self.flags.push((
            "dry_run",
            "`true`: check and answer as always, but keep nothing; the answer has `Heddle-Dry-Run: true`.",
        ));
        self
    }

    /// It changes several things that have ETags, which its body names.
    pub(crate) fn writes_many(mut self) -> Self {
        self.writes_many = true;
        self
    }

    /// It writes what may have a manager.
    pub(crate) fn owned(mut self) -> Self {
        self.owned = true;
        self.flags.push((
            "takeover",
            "`true`: write although another program manages the object. It belongs to whom `Heddle-Manager` names then, or to nobody.",
        ));
        self
    }

    /// It may close ports to callers in plain text.
    pub(crate) fn closes(mut self) -> Self {
        self.flags.push((
            ACCEPT_PLAIN_CALLERS,
            "`true`: make ports `strict` although somebody called them in plain text within the last day (409, `HED-2055`). Their calls fail from then on.",
        ));
        self
    }

    /// It is done once for each key that the client gives it.
    pub(crate) fn once(mut self) -> Self {
        self.once = true;
        self
    }

    /// Its body is a JSON Merge Patch of the kind that is shown as `view`.
    pub(crate) fn patch(mut self, view: &str, example: Value) -> Self {
        self.patch = true;
        self.body(format!("Patch{view}"), example)
    }

    /// A parameter that the others have no way to describe.
    pub(crate) fn parameter(mut self, parameter: Parameter) -> Self {
        self.parameters.push(parameter);
        self
    }

    pub(crate) fn build(self) -> OperationBuilder {
        let preconditions = self.preconditions();
        let mut description = self.description;
        if let Some(scope) = self.permission {
            if !description.is_empty() {
                description.push_str("\n\n");
            }
            description.push_str(&format!("Needs the permission `{scope}`."));
        }
        let mut operation = OperationBuilder::new()
            .operation_id(Some(self.id))
            .summary(Some(self.summary))
            .description(Some(description))
            .tag(self.tag);
        if let Some(scope) = self.permission {
            let extension = ExtensionsBuilder::new().add("x-heddle-permission", scope);
            operation = operation.extensions(Some(extension.build()));
        }
        if self.bearer {
            operation = operation.security(bearer_requirement());
        }
        for (name, about) in self.query {
            let parameter = optional(name, ParameterIn::Query, about, text_schema());
            operation = operation.parameter(parameter);
        }
        for (name, about, schema) in preconditions {
            operation = operation.parameter(optional(name, ParameterIn::Header, about, schema));
        }
        for (name, about, schema) in self.typed {
            let schema = from_json(schema);
            operation = operation.parameter(optional(name, ParameterIn::Query, about, schema));
        }
        for (name, about) in self.flags {
            let schema = ObjectBuilder::new().schema_type(Type::Boolean);
            operation = operation.parameter(optional(name, ParameterIn::Query, about, schema));
        }
        for parameter in self.parameters {
            operation = operation.parameter(parameter);
        }
        if let Some((schema, example)) = &self.body {
            let content = ContentBuilder::new()
                .schema(Some(Ref::from_schema_name(schema)))
                .example(Some(example.clone()))
                .build();
            let mut body = RequestBodyBuilder::new();
            if self.patch {
                body = body.content("application/merge-patch+json", content.clone());
            }
            let body = body.content("application/json", content);
            operation = operation.request_body(Some(body.required(Some(Required::True)).build()));
        }
        let mut errors: Vec<u16> = vec![400, 500, 503];
        errors.extend(&self.errors);
        if self.bearer {
            errors.extend([401, 403, 404]);
        }
        if self.body.is_some() {
            errors.extend([409, 413, 415, 422]);
        }
        if self.writes || self.writes_many {
            errors.extend([409, 412, 428]);
        }
        errors.sort_unstable();
        errors.dedup();
        for (status, about, schema) in self.answers {
            let mut response = ResponseBuilder::new().description(about);
            if let Some(schema) = schema {
                let content = ContentBuilder::new()
                    .schema(Some(Ref::from_schema_name(&schema)))
                    .build();
                if let Some(also) = self.also {
                    response = response.content(also, content.clone());
                }
                response = response.content(self.media, content);
            }
            operation = operation.response(status.to_string(), response);
        }
        for status in errors {
            let response = Ref::from_response_name(error_name(status));
            operation = operation.response(status.to_string(), response);
        }
        operation
    }
}

fn optional(
    name: &str,
    place: ParameterIn,
    about: impl Into<String>,
    schema: impl Into<RefOr<Schema>>,
) -> ParameterBuilder {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(Required::False)
        .description(Some(about))
        .schema(Some(schema))
}

pub(crate) fn text_schema() -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::String).into()
}

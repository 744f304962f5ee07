//! The table of operations: each line becomes a route of the router and an operation of the OpenAPI document, so
//! that neither can exist without the other.

use axum::Router;
use axum::handler::Handler;
use axum::routing::{MethodFilter, on};
use heddle_model::authz::Permission;
use utoipa::openapi::path::{
    HttpMethod, Operation, OperationBuilder, ParameterBuilder, ParameterIn, PathItem,
};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{OpenApi, Required};

use crate::asking::Asking;
use crate::auth::{Allow, Enrolling};
use crate::openapi::{Op, history};
use crate::state::App;

/// Handlers whose first argument is [`Allow`], [`Enrolling`] or [`Asking`]: the permission can be read from the signature.
pub(crate) trait Permitted {
    /// The permission, as the document names it.
    const SCOPE: &'static str;
}

macro_rules! permitted {
    ($($arg:ident)*) => {
        impl<M, P: Permission, $($arg),*> Permitted for (M, Allow<P>, $($arg,)*) {
            const SCOPE: &'static str = P::ACTION.scope();
        }
        impl<M, P: Permission, $($arg),*> Permitted for (M, Enrolling<P>, $($arg,)*) {
            const SCOPE: &'static str = P::ACTION.scope();
        }
        impl<M, P: Permission, $($arg),*> Permitted for (M, Asking<P>, $($arg,)*) {
            const SCOPE: &'static str = P::ACTION.scope();
        }
    };
}

permitted!(A);
permitted!(A B);
permitted!(A B C);
permitted!(A B C D);
permitted!(A B C D E);

/// Router and document, grown together.
pub(crate) struct Table {
    router: Router<App>,
    document: OpenApi,
}

impl Table {
    pub(crate) fn new(document: OpenApi) -> Self {
        Self {
            router: Router::new(),
            document,
        }
    }

    /// An operation that needs a permission: the one that its handler's first argument names.
    pub(crate) fn op<H, T>(self, method: HttpMethod, path: &str, op: Op, handler: H) -> Self
    where
        H: Handler<T, App>,
        T: Permitted + 'static,
    {
        let op = op.permission(T::SCOPE);
        let op = match method {
            HttpMethod::Get => op,
            _ => history::notes().into_iter().fold(op, Op::parameter),
        };
        self.add(method, path, op, handler)
    }

    /// An operation that checks its caller in its own way or answers anyone. Its line says which.
    pub(crate) fn special<H, T>(self, method: HttpMethod, path: &str, op: Op, handler: H) -> Self
    where
        H: Handler<T, App>,
        T: 'static,
    {
        self.add(method, path, op, handler)
    }

    fn add<H, T>(mut self, method: HttpMethod, path: &str, op: Op, handler: H) -> Self
    where
        H: Handler<T, App>,
        T: 'static,
    {
        let filter = match method {
            HttpMethod::Get => MethodFilter::GET,
            HttpMethod::Put => MethodFilter::PUT,
            HttpMethod::Post => MethodFilter::POST,
            HttpMethod::Delete => MethodFilter::DELETE,
            HttpMethod::Options => MethodFilter::OPTIONS,
            HttpMethod::Head => MethodFilter::HEAD,
            HttpMethod::Patch => MethodFilter::PATCH,
            HttpMethod::Trace => MethodFilter::TRACE,
        };
        self.router = self.router.route(path, on(filter, handler));
        let operation = with_path_parameters(path, op.build());
        let item = PathItem::new(method, operation);
        self.document
            .paths
            .paths
            .entry(path.to_owned())
            .or_default()
            .merge_operations(item);
        self
    }

    pub(crate) fn finish(self) -> (Router<App>, OpenApi) {
        (self.router, self.document)
    }
}

fn with_path_parameters(path: &str, operation: OperationBuilder) -> Operation {
    path.split('/')
        .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
        .fold(operation, |operation, name| {
            operation.parameter(
                ParameterBuilder::new()
                    .name(name)
                    .parameter_in(ParameterIn::Path)
                    .required(Required::True)
                    .description(Some(describe(name)))
                    .schema(Some(crate::openapi::text_schema())),
            )
        })
        .build()
}

fn describe(parameter: &str) -> &'static str {
    match parameter {
        "org" => "The organisation: its name, its id, or `-` for the token's own.",
        "mesh" => "The mesh: its name or its id.",
        "service" => "The service: its name or its id.",
        "route" => "The route: its name or its id.",
        "profile" => "The profile: its name or its id.",
        "rule" => "The access rule: its name or its id.",
        "request" => "The authority request: its id.",
        "rotation" => "The rotation: its id.",
        "token" => "The join token: its name or its id.",
        "proxy" => "The proxy: its id, or its name where that is unique in the mesh.",
        "member" => "The member: the e-mail address or the id.",
        "service_account" => "The service account: its name or its id.",
        "api_token" => "The API token: its name or its id.",
        "role_binding" => "The role binding: its id.",
        "user_code" => "What the device shows: eight letters, with or without the hyphen.",
        "invitation" => "The invitation: its id.",
        "session" => "The session: its id, or `current`.",
        "revision" => "The number of the revision.",
        "uid" => "The id of the object (`meta.uid`).",
        "code" => "A code such as `HED-1002`.",
        _ => "A name or an id.",
    }
}

/// A bearer token of any kind.
pub(crate) fn bearer_requirement() -> SecurityRequirement {
    SecurityRequirement::new("bearer", Vec::<String>::new())
}

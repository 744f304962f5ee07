//! Which headers may carry a token, and which a claim.

/// What HTTP, proxies or servers act upon: a claim in their place would change what becomes of the request.
const TAKEN: [&str; 27] = [
    "accept-encoding",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "forwarded",
    "grpc-timeout",
    "host",
    "http2-settings",
    "keep-alive",
    "origin",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-http-method-override",
    "x-request-id",
];

fn is_of_proxies(name: &str) -> bool {
    name.starts_with("x-envoy-") || name.starts_with("x-forwarded-")
}

/// Whether a proxy may write a claim into this header.
pub(super) fn may_carry_claim(name: &str) -> bool {
    !TAKEN.contains(&name) && !is_of_proxies(name)
}

/// Whether a token may be read from this header.
pub(super) fn may_carry_token(name: &str) -> bool {
    ["authorization", "proxy-authorization"].contains(&name) || may_carry_claim(name)
}

//! The stable codes of everything that can be wrong, with what a person needs to mend it.
//!
//! Append-only: a code that was printed once keeps its meaning. `GET /v1/codes/{code}` serves this table.

use serde::Serialize;

macro_rules! codes {
    ($($name:ident = $code:literal, $status:literal, $title:literal, $cause:literal, $fix:literal;)*) => {
        /// What went wrong, as a stable code.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = $title] $name,)*
        }

        impl Code {
            /// Every code, in ascending order.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The text form (`HED-1002`).
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// The HTTP status that carries it.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }

            /// The short title, the same for every occurrence.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }

            /// Why it happens.
            #[must_use]
            pub const fn cause(self) -> &'static str {
                match self { $(Self::$name => $cause,)* }
            }

            /// What to do about it.
            #[must_use]
            pub const fn fix(self) -> &'static str {
                match self { $(Self::$name => $fix,)* }
            }
        }
    };
}

codes! {
    MalformedJson = "HED-1001", 400, "Malformed body", "The body is not the JSON that it claims to be.", "Send one JSON object in UTF-8.";
    UnknownField = "HED-1002", 422, "Unknown field", "The object has no such field.", "Remove the field or correct its spelling.";
    WrongType = "HED-1003", 422, "Wrong type", "The value has another type than the field.", "Send a value of the type that the schema names.";
    MissingField = "HED-1004", 422, "Missing field", "A required field is absent.", "Add the field.";
    OutOfRange = "HED-1005", 422, "Out of range", "A number, length or duration lies outside its bounds.", "Choose a value within the bounds.";
    BadFormat = "HED-1006", 422, "Bad format", "The text does not have the form that the field needs.", "Follow the pattern in the schema.";
    NotOneOf = "HED-1007", 422, "Not one of the allowed values", "The value is not in the list of allowed values.", "Use one of the listed values.";
    ExactlyOne = "HED-1008", 422, "Exactly one needed", "Of several sibling fields exactly one must be present.", "Keep one of them.";
    Duplicate = "HED-1009", 422, "Duplicate", "Two entries that must differ are equal.", "Remove one of them.";
    UnknownReference = "HED-1010", 422, "Not found in this mesh", "The object refers to another one that this mesh does not have.", "Create the other object first or correct the name.";
    DuplicateKey = "HED-1011", 400, "Duplicate key", "A JSON object names the same key twice.", "Name each key once.";
    Mismatch = "HED-1012", 422, "Does not match", "A value contradicts the address of the request.", "Make the two agree or leave the value out.";
    BadParameter = "HED-1013", 400, "Bad parameter", "A query parameter is unknown or has a bad value.", "Correct the parameter.";
    BadFilter = "HED-1014", 422, "Bad filter", "The filter cannot be read or names a field that there is not.", "Correct the filter at the character that is named.";
    UnfitParameter = "HED-1015", 422, "Parameter does not fit", "A query parameter is well formed, but contradicts another one or what is stored.", "Make the parameters agree with each other and with the object that they name.";
    Guardrail = "HED-1020", 422, "Against a guardrail of the mesh", "The value exceeds, or is, what the mesh's `guardrails` do not let anybody write.", "Choose a value within the guardrail that is named, or ask whoever may change the mesh.";
    WrongCode = "HED-1090", 422, "Wrong code", "The code is not one of the second factor now, or was used before.", "Take the code that the authenticator shows now, or a recovery code that was not used yet.";
    Unauthenticated = "HED-2001", 401, "Not authenticated", "The request carries no credential that is valid now.", "Send `Authorization: Bearer` with a token that has neither expired nor been revoked.";
    Forbidden = "HED-2002", 403, "Not allowed", "The credential is valid but its role does not permit this.", "Ask an owner for a role that has the named permission.";
    NotFound = "HED-2003", 404, "Not found", "There is no such object, or it is not yours to see.", "Check the address.";
    MethodNotAllowed = "HED-2004", 405, "Method not allowed", "The address exists but does not answer this method.", "Use one of the methods in the Allow header.";
    AlreadyExists = "HED-2005", 409, "Already exists", "An object of this name exists.", "Choose another name, or PUT to replace it.";
    PriorityTaken = "HED-2006", 409, "Priority taken", "Another route of the service has this priority.", "Choose a priority that is free.";
    Protected = "HED-2007", 409, "Protected from deletion", "The object has `deletion_protection` on, which is the default.", "PUT it with `\"deletion_protection\": false` first.";
    HostTaken = "HED-2008", 409, "Host taken", "Another service of the mesh answers for this host.", "Remove the host from one of the two services.";
    Escalation = "HED-2009", 403, "More than your own rights", "Nobody hands on, or takes away, rights that they do not have.", "Ask somebody who has them.";
    LastOwner = "HED-2010", 409, "Last owner", "An organisation always has a member who is its owner.", "Make another member an owner first.";
    NoPrincipal = "HED-2011", 409, "The token belongs to nobody", "A token made on the command line has a role, but no owner whose tokens or sessions these could be.", "Sign in, or name the service account that the new token is for.";
    StaleEtag = "HED-2012", 412, "Changed meanwhile", "The object is no longer the one that If-Match names.", "Read it again, apply your change to what it is now, and repeat.";
    TooLarge = "HED-2013", 413, "Body too large", "The body exceeds 1 MiB.", "Split the request.";
    UnsupportedMediaType = "HED-2015", 415, "Unsupported media type", "The body is not declared as JSON.", "Send `Content-Type: application/json`.";
    NotSignedIn = "HED-2016", 403, "Needs a session", "This is for members who signed in; an API token will not do.", "Sign in with `POST /v1/sessions`.";
    KeyInUse = "HED-2017", 409, "Idempotency key in use", "A request with this `Idempotency-Key` is still running.", "Wait a moment and send the same request again.";
    CannotGoBack = "HED-2018", 409, "Cannot be taken back", "Later changes stand in the way of taking back a revision.", "Look at `conflicts`: mend each by hand and repeat, or roll the whole mesh back with `to_revision`.";
    EditConflict = "HED-2019", 409, "Changed again", "A later revision changed the same field, or what it belongs to.", "Decide which value is right and write it yourself.";
    GuardrailTooTight = "HED-2020", 409, "Objects are beyond the guardrail", "Objects of the mesh already have what the new guardrail would not let anybody write.", "Change every object that is listed first, or choose a wider guardrail.";
    Invalid = "HED-2022", 422, "Invalid", "The body breaks one or more rules.", "Mend every entry of `errors`.";
    KeyReused = "HED-2024", 422, "Idempotency key used for something else", "The same `Idempotency-Key` came with another address or body in the last 24 hours.", "Draw a new key for each request that is meant to do something new.";
    PreconditionRequired = "HED-2027", 428, "Precondition required", "The mesh wants to know which state a change is based on.", "Read the object and send its ETag in `If-Match`, or leave `meta` in the body.";
    TooManyAttempts = "HED-2028", 429, "Too many attempts", "Guesses at credentials are slowed down.", "Repeat after the time in Retry-After.";
    LimitReached = "HED-2029", 429, "Limit reached", "The organisation has as many of these as it may have.", "Delete what is not needed any more, or ask whoever runs the server for a higher limit; `GET .../usage` says what there is and what there may be.";
    AuthorizationPending = "HED-2030", 400, "Not decided yet", "Nobody has let the device in yet.", "Ask again after `interval` seconds.";
    SlowDown = "HED-2031", 400, "Asked too often", "Nobody has let the device in yet, and it does not wait between two questions.", "Wait for `interval` seconds, which are more than before.";
    AccessDenied = "HED-2032", 400, "Not let in", "A member decided not to let the device in.", "Begin again if that was a mistake.";
    DeviceCodeExpired = "HED-2033", 400, "Nobody decided in time", "The device's code has expired.", "Begin again.";
    DeviceCodeUnknown = "HED-2034", 400, "No such device code", "The code is mistyped, was used before, or is long gone.", "Begin again.";
    TooManyStreams = "HED-2035", 429, "Too many open answers", "The caller, or its organisation, has as many answers open at the same time as it may.", "Close one, or repeat after the time in Retry-After.";
    SignInAgain = "HED-2036", 401, "Sign in again", "What cannot be taken back, and what makes a credential or a right, needs a member who signed in within the last five minutes.", "Sign in again and repeat the request.";
    RotationUnderWay = "HED-2037", 409, "Rotation under way", "Another rotation of the mesh's authorities has not ended.", "Wait for its end, or turn it round.";
    RotationWaits = "HED-2038", 409, "Rotation waits for proxies", "Some proxies have not followed the last step of the rotation yet.", "Look at the rotation's `proxies`, and repeat when nobody is waited for; or use `force`, if they may be cut off.";
    RotationEnded = "HED-2039", 409, "Rotation cannot do that any more", "The rotation has ended, or was turned round already.", "Read the rotation; begin another one if authorities are to be replaced once more.";
    NoAuthorities = "HED-2040", 409, "No authorities yet", "A mesh gets its authorities with its first certificate: that of the first proxy that connects, or one that is asked for.", "Connect a proxy first.";
    TooManyRequests = "HED-2041", 429, "Too many requests", "The credential, or its organisation, made more requests than it may in that time.", "Repeat after the time in Retry-After; the headers RateLimit and RateLimit-Policy say what is left.";
    LocalPortTaken = "HED-2042", 409, "Local port taken", "Callers find another `tcp` port of the mesh at this local port.", "Give one of the two another `local_port`.";
    RootOfOthers = "HED-2043", 409, "The root belongs to somebody else", "Heddle cannot sign an issuing authority under a root whose key it does not have.", "Create an authority request, have its owner sign it, and start the rotation with `request` and `certificates`; or rotate the root to one of Heddle's.";
    Internal = "HED-2050", 500, "Internal error", "Heddle failed.", "Repeat the request; if it fails again, report the request id.";
    MtlsNeedsIdentity = "HED-2051", 409, "Access rules ask who calls", "A port would take calls in plain text, which do not say who calls, while an access rule of the service lets in or refuses by that.", "Change the access rule that is named to `networks` or `token`, or keep a mode of `mtls` in which callers have an identity.";
    MtlsStep = "HED-2052", 409, "By `permissive` first", "Between `strict` and `off`, callers and callee would not understand each other until every proxy has heard of the change.", "Make it `permissive`, wait until all proxies have that revision, then choose the other mode.";
    Unavailable = "HED-2053", 503, "Unavailable", "Heddle cannot reach its database right now.", "Repeat the request after the time in Retry-After.";
    PlainCallersLeft = "HED-2055", 409, "Callers in plain text are left", "A port would take mutual TLS alone from now on, and within the last day somebody called it in plain text, whose calls would fail.", "Move the callers that are named behind a proxy of the mesh; or repeat with `?accept_plain_callers=true`, if their calls may fail. `GET .../mtls/readiness` says who is left.";
    LinkUnusable = "HED-2080", 404, "Link cannot be used", "The link is mistyped, was used or taken back before, or has expired.", "Ask for another one.";
    InvitedElsewhere = "HED-2081", 403, "Invitation is for another address", "An invitation is for the e-mail address that it was sent to and for no other.", "Accept it with that address, or ask for an invitation to yours.";
    AlreadyInvited = "HED-2082", 409, "Invited already", "There is an invitation to this address that is still open, or has expired.", "Send that one again, or withdraw it first.";
    SecondFactorNeeded = "HED-2090", 401, "Second factor needed", "The password was right, and the member has a second factor.", "Send `challenge` with a code of the second factor, or a recovery code, to `POST /v1/sessions/second-factors`.";
    ChallengeUnusable = "HED-2091", 401, "Sign in from the start", "The challenge is mistyped, was answered, got too many wrong codes, or has expired.", "Sign in with the password again.";
    SecondFactorRequired = "HED-2092", 403, "The organisation asks for a second factor", "The caller is a member without a second factor, or a personal token of one, in an organisation that asks all members for one.", "Sign in and set up a second factor: `POST /v1/orgs/{org}/second-factor/enrolments`.";
    SecondFactorExists = "HED-2093", 409, "There is a second factor", "A member has one second factor.", "Remove the one that there is first, with a code of it.";
    NoSecondFactor = "HED-2094", 409, "There is no second factor", "The member has none; or none was set up within the last 15 minutes that could be confirmed.", "Set one up first.";
    ProviderRefused = "HED-2100", 401, "The provider refused", "The identity provider answered with an error of its own, which `provider_error` repeats.", "Mend at the provider what it names: `access_denied` is for whoever looks after its users, `invalid_client` means that the client's secret in the connection is wrong or has expired.";
    ProviderUnreachable = "HED-2101", 409, "The provider cannot be used", "What the identity provider says of itself, its keys or its tokens cannot be read, or is not what the specification says.", "Test the connection: `heddle sso test NAME` says what was asked for and what came back.";
    IdentityInvalid = "HED-2102", 401, "The provider's word is not accepted", "The ID token is for another client or another sign-in, has expired by the clock of Heddle, or is not signed with one of the provider's keys.", "Look at the detail: `for` another client means that the connection's `client_id` is wrong, `expired` and `future` that a clock is.";
    SsoSignInUnusable = "HED-2103", 401, "Sign in from the start", "Nobody was sent to the provider with what came back: it belongs to another browser or another sign-in, was used before, or took longer than ten minutes.", "Begin again at the sign-in page, in the same tab.";
    IdentityUnknown = "HED-2104", 403, "Nobody is known by this account", "The provider vouches for somebody whom no member of the organisation is linked with. E-mail addresses link nobody.", "Whoever is a member signs in with a password once and links the account (`POST /v1/orgs/{org}/identities/requests`); whoever is not asks for an invitation and accepts it with the provider.";
    SsoRequired = "HED-2105", 403, "The organisation asks to sign in by its provider", "The session began with a password, in an organisation that asks its members to sign in by its identity provider.", "Sign in with the provider; whoever has no account linked yet links one first.";
    IdentityTaken = "HED-2106", 409, "Linked already", "The account at the provider is linked with another member, or the member with another account of the same provider.", "Remove the link that is there first.";
    SsoUnproven = "HED-2107", 409, "Sign in by the provider first", "Nobody asks others to sign in in a way that did not work for themselves.", "Link your own account, sign in with the provider, and repeat the request.";
    SsoInUse = "HED-2108", 409, "The last connection", "The organisation asks its members to sign in by its provider, and this is the only connection.", "Make another connection first, or stop asking for it: `heddle sso optional`.";
    WebhookDisabled = "HED-2110", 409, "The webhook is switched off", "Nothing is sent to a webhook that somebody switched off, that took nothing for days, or that said that it is gone.", "Mend what it leads to, and switch it on: `heddle webhook enable NAME`.";
    JoinTokenUnknown = "HED-3001", 401, "Join token not valid", "The token is unknown, revoked or mistyped.", "Create a new join token.";
    JoinTokenExpired = "HED-3002", 401, "Join token expired", "The token expired before this proxy joined.", "Create a new join token.";
    JoinTokenUsed = "HED-3003", 403, "Join token already used", "The one-off token is bound to another proxy.", "Create a token for each proxy, or a reusable one.";
    ProxyMismatch = "HED-3004", 403, "Proxy does not match its token", "What the Envoy says of itself contradicts its join token.", "Leave `node.cluster` out or set it to the token's service; give each proxy its own node id.";
    NodeInvalid = "HED-3005", 400, "Node description not usable", "The Envoy's node id or metadata is missing or malformed.", "Start the Envoy with a bootstrap from Heddle.";
    ProxyRevoked = "HED-3006", 403, "Revoked", "The proxy, or its service with all of its proxies, was revoked by somebody who may do that.", "Read why in the mesh's revocations; once it may be trusted again, lift the revocation there.";
    ProxyRejected = "HED-3007", 409, "Rejected by the proxy", "The Envoy refused a resource that was generated from this object.", "Correct the field that is named; the proxy keeps its last good configuration.";
    JoinTokenElsewhere = "HED-3008", 403, "Join token not for this network", "The token is bound to networks, and the connection comes from none of them.", "Join from one of the token's `networks`, as the control plane sees the address, or create another token.";
    EnvoyTooOld = "HED-3009", 403, "Envoy too old", "The Envoy is of a release older than 1.36, which would misread some of what it is sent.", "Run a supported release of Envoy; `heddle doctor` says which one a host has.";
    RequestRefused = "HED-3010", 400, "Certificate request refused", "The certificate request is malformed, is not signed by its own key, or is for a key that is not taken.", "Send one PKCS#10 request in DER for a key on P-256 or P-384, or RSA with 2048 to 4096 bits; the REST API takes it in PEM or as base64 of DER.";
    CertificatesTooOften = "HED-3011", 429, "Too many certificates", "The proxy asked for more certificates in a short time than any proxy needs.", "Keep a certificate until half of its life is over, and wait longer after each failure.";
    ReferenceGone = "HED-4001", 422, "Refers to something that is gone", "The object names another one that was deleted; what it asks for there is not in force.", "Change the object, or create the other one again.";
    ManagedElsewhere = "HED-4091", 409, "Managed elsewhere", "A program looks after this object and may undo what others change.", "Change it where it is managed, or take it over with `?takeover=true`.";
}

impl std::str::FromStr for Code {
    type Err = UnknownCode;

    fn from_str(text: &str) -> Result<Self, UnknownCode> {
        Self::ALL
            .iter()
            .copied()
            .find(|code| code.as_str() == text)
            .ok_or(UnknownCode)
    }
}

/// The text is none of our codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no such code")]
pub struct UnknownCode;

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_sorted_and_complete() {
        for pair in Code::ALL.windows(2) {
            assert!(pair[0].as_str() < pair[1].as_str(), "{:?}", pair);
        }
        for code in Code::ALL {
            assert!((400..600).contains(&code.status()));
            assert!(
                !code.title().ends_with('.')
                    && code.cause().ends_with('.')
                    && code.fix().ends_with('.')
            );
            assert_eq!(code.as_str().parse::<Code>().unwrap(), *code);
        }
    }
}

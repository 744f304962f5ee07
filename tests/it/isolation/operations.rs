//! What can be asked of an organisation, as somebody who belongs to another one asks it.

use reqwest::Method;
use serde_json::{Value, json};

/// A certificate request, of a key that nobody has.
const REQUEST: &str = "MIHcMIGEAgEAMCIxIDAeBgNVBAMMF2EtbmFtZS10aGF0LWlzLW5vdC1yZWFkMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEStAG\
    UgZZutfgB+YqabCobMGmiHcBpR+CvKk90JPvqd8EhnmBVqLiXxiM2MMtTdgHoloFrCHPj307XLypQi8/LaAAMAoGCCqGSM49BAMC\
    A0cAMEQCIEIfYpogZla1R6zgCNMVfm8yuOlO/2roFZY2i8tdegCLAiAgHAe+4+NSPi85kkASBRK0ohTx+/FEFQZ2Kt6KjVpOcA==";

/// Every address below an organisation, with each method it answers.
pub(super) fn operations() -> Vec<(Method, String, Option<Value>)> {
    let service = json!({"ports": [{"name": "http", "port": 1, "protocol": "http"}]});
    let route = json!({"priority": 5, "backends": [{"version": "v9"}]});
    let split = json!({"weights": [{"version": "v9", "weight": 1}]});
    let rule = json!({"action": "deny", "from": [{"service": "frontend"}]});
    let named = |body: &Value| {
        let mut body = body.clone();
        body["name"] = json!("intruder");
        body
    };
    let mesh = "/meshes/shop";
    let payments = "/meshes/shop/services/payments";
    let mut all = Vec::new();
    let mut both = |collection: String, item: String, body: &Value| {
        all.push((Method::GET, collection.clone(), None));
        all.push((Method::POST, collection, Some(named(body))));
        all.push((Method::GET, item.clone(), None));
        all.push((Method::PUT, item.clone(), Some(body.clone())));
        all.push((Method::PATCH, item.clone(), Some(json!({}))));
        all.push((Method::DELETE, item, None));
    };
    both(
        String::from("/meshes"),
        mesh.to_owned(),
        &json!({"deletion_protection": false}),
    );
    both(format!("{mesh}/services"), payments.to_owned(), &service);
    both(
        format!("{mesh}/profiles"),
        format!("{mesh}/profiles/std"),
        &json!({"settings": {"timeout": "1s"}}),
    );
    both(
        format!("{payments}/routes"),
        format!("{payments}/routes/all"),
        &route,
    );
    both(
        format!("{payments}/access-rules"),
        format!("{payments}/access-rules/one"),
        &rule,
    );
    let item = format!("{payments}/routes/all/split");
    all.push((Method::GET, item.clone(), None));
    all.push((Method::PUT, item.clone(), Some(split)));
    all.push((Method::PATCH, item.clone(), Some(json!({}))));
    all.push((Method::DELETE, item, None));
    all.push((
        Method::POST,
        format!("{mesh}/apply"),
        Some(json!({"resources": []})),
    ));
    all.push((
        Method::POST,
        format!("{mesh}/rollbacks"),
        Some(json!({"to_revision": 1})),
    ));
    all.push((
        Method::POST,
        format!("{mesh}/access/checks"),
        Some(json!({"call": {"service": "payments"}})),
    ));
    all.push((Method::GET, format!("{payments}/effective"), None));
    // What counts from a week ago on is another moment each time.
    let later = "since=2100-01-01T00:00:00Z";
    all.push((
        Method::GET,
        format!("{payments}/mtls/readiness?{later}"),
        None,
    ));
    all.push((
        Method::GET,
        format!("{payments}/access/would-deny?{later}"),
        None,
    ));
    all.push((Method::GET, format!("{mesh}/mtls/readiness?{later}"), None));
    all.push((
        Method::GET,
        format!("{payments}/routes/all/effective"),
        None,
    ));
    all.push((
        Method::POST,
        format!("{payments}/certificates"),
        Some(json!({"request": REQUEST})),
    ));
    let rotation = format!("{mesh}/rotations/rot_01kxqh3v5xe1tbs7b2a8m4c9dz");
    all.push((Method::GET, format!("{mesh}/rotations"), None));
    all.push((
        Method::POST,
        format!("{mesh}/rotations"),
        Some(json!({"what": "root"})),
    ));
    all.push((Method::GET, rotation.clone(), None));
    all.push((
        Method::POST,
        format!("{rotation}/actions"),
        Some(json!({"action": "advance"})),
    ));
    all.push((Method::GET, format!("{mesh}/trust-bundle"), None));
    all.push((Method::GET, format!("{mesh}/authorities"), None));
    all.push((
        Method::GET,
        format!("{mesh}/authorities/ca_01kxqh3v5xe1tbs7b2a8m4c9dz"),
        None,
    ));
    let request = format!("{mesh}/authority-requests/ca_01kxqh3v5xe1tbs7b2a8m4c9dz");
    all.push((Method::GET, format!("{mesh}/authority-requests"), None));
    all.push((
        Method::POST,
        format!("{mesh}/authority-requests"),
        Some(json!({})),
    ));
    all.push((Method::GET, request.clone(), None));
    all.push((Method::DELETE, request, None));
    all.push((Method::GET, format!("{mesh}/join-tokens"), None));
    all.push((
        Method::POST,
        format!("{mesh}/join-tokens"),
        Some(json!({"name": "x", "service": "payments"})),
    ));
    all.push((Method::GET, format!("{mesh}/join-tokens/t"), None));
    all.push((Method::DELETE, format!("{mesh}/join-tokens/t"), None));
    all.push((Method::GET, String::from("/usage"), None));
    for log in ["", "/export"] {
        all.push((Method::GET, format!("/audit-log{log}"), None));
    }
    for history in ["", "/1", "/1/diff", "/1/resources", "/1/rollout"] {
        all.push((Method::GET, format!("{mesh}/revisions{history}"), None));
    }
    all.push((
        Method::GET,
        format!("{mesh}/revisions/1/resources/svc_00000000000000000000000000"),
        None,
    ));
    all.push((Method::GET, format!("{mesh}/events"), None));
    all.push((Method::GET, format!("{mesh}/proxies"), None));
    all.push((Method::GET, format!("{mesh}/proxies/p"), None));
    all.push((Method::GET, format!("{mesh}/proxies/p/config"), None));
    all.push((Method::DELETE, format!("{mesh}/proxies/p"), None));
    let revocation = format!("{mesh}/revocations/rvk_00000000000000000000000000");
    all.push((Method::GET, format!("{mesh}/revocations"), None));
    all.push((
        Method::POST,
        format!("{mesh}/revocations"),
        Some(json!({"service": "payments", "reason": "x"})),
    ));
    all.push((Method::GET, revocation.clone(), None));
    all.push((Method::DELETE, revocation, None));
    all.push((
        Method::GET,
        format!("{mesh}/bootstrap?proxy=p&service=payments&advertise_address=10.0.0.1"),
        None,
    ));
    all.extend(accounts());
    all
}

/// The addresses of who may do what.
fn accounts() -> Vec<(Method, String, Option<Value>)> {
    let (get, post, patch, delete) = (Method::GET, Method::POST, Method::PATCH, Method::DELETE);
    let address = |name: &str| json!({"email": format!("{name}@example.com")});
    let all = [
        (&get, "/members", None),
        (&post, "/members", Some(address("intruder"))),
        (&get, "/members/ada@example.com", None),
        (
            &patch,
            "/members/ada@example.com",
            Some(json!({"display_name": "x"})),
        ),
        (&delete, "/members/ada@example.com", None),
        (
            &post,
            "/members/ada@example.com/password-resets",
            Some(json!({})),
        ),
        (
            &post,
            "/members/ada@example.com/second-factor-resets",
            Some(json!({})),
        ),
        (&get, "/sign-in-policy", None),
        (
            &patch,
            "/sign-in-policy",
            Some(json!({"require_mfa": true})),
        ),
        (&get, "/second-factor", None),
        (&post, "/second-factor/enrolments", Some(json!({}))),
        (
            &post,
            "/second-factor/confirmations",
            Some(json!({"code": "123456"})),
        ),
        (
            &post,
            "/second-factor/recovery-codes",
            Some(json!({"code": "123456"})),
        ),
        (
            &post,
            "/second-factor/removals",
            Some(json!({"code": "123456"})),
        ),
        (&get, "/invitations", None),
        (
            &post,
            "/invitations",
            Some(json!({"email": "intruder@example.com", "role": "viewer"})),
        ),
        (&get, "/invitations/inv_00000000000000000000000000", None),
        (&delete, "/invitations/inv_00000000000000000000000000", None),
        (
            &post,
            "/invitations/inv_00000000000000000000000000/sendings",
            Some(json!({})),
        ),
        (&get, "/webhooks", None),
        (
            &post,
            "/webhooks",
            Some(
                json!({"name": "intruder", "url": "https://hooks.example.com", "topics": ["audit"]}),
            ),
        ),
        (&get, "/webhooks/releases", None),
        (
            &patch,
            "/webhooks/releases",
            Some(json!({"url": "https://evil.example.com"})),
        ),
        (&delete, "/webhooks/releases", None),
        (&post, "/webhooks/releases/rotations", Some(json!({}))),
        (&post, "/webhooks/releases/pings", Some(json!({}))),
        (&get, "/webhooks/releases/deliveries", None),
        (
            &get,
            "/webhooks/releases/deliveries/msg_00000000000000000000000000",
            None,
        ),
        (
            &post,
            "/webhooks/releases/deliveries/msg_00000000000000000000000000/sendings",
            Some(json!({})),
        ),
        (&get, "/sso-connections", None),
        (
            &post,
            "/sso-connections",
            Some(
                json!({"name": "intruder", "issuer": "https://id.example.com", "client_id": "heddle"}),
            ),
        ),
        (&get, "/sso-connections/workforce", None),
        (
            &patch,
            "/sso-connections/workforce",
            Some(json!({"display_name": "x"})),
        ),
        (&delete, "/sso-connections/workforce", None),
        (&post, "/sso-connections/workforce/tests", Some(json!({}))),
        (&get, "/identities", None),
        (
            &post,
            "/identities",
            Some(
                json!({"org": "acme", "connection": "workforce", "secret": "heddle_sso_", "state": "x"}),
            ),
        ),
        (
            &post,
            "/identities/requests",
            Some(json!({"connection": "workforce"})),
        ),
        (&get, "/identities/idn_00000000000000000000000000", None),
        (&delete, "/identities/idn_00000000000000000000000000", None),
        (&get, "/service-accounts", None),
        (
            &post,
            "/service-accounts",
            Some(json!({"name": "intruder"})),
        ),
        (&get, "/service-accounts/robot", None),
        (
            &patch,
            "/service-accounts/robot",
            Some(json!({"display_name": "x"})),
        ),
        (&delete, "/service-accounts/robot", None),
        (&get, "/role-bindings", None),
        (
            &post,
            "/role-bindings",
            Some(json!({"role": "viewer", "service_account": "robot"})),
        ),
        (&get, "/role-bindings/rb_00000000000000000000000000", None),
        (
            &delete,
            "/role-bindings/rb_00000000000000000000000000",
            None,
        ),
        (
            &post,
            "/permissions/check",
            Some(json!({"checks": [{"permission": "meshes:read"}]})),
        ),
        (&get, "/tokens", None),
        (&post, "/tokens", Some(json!({"name": "intruder"}))),
        (&get, "/tokens/owner", None),
        (&delete, "/tokens/owner", None),
        (&post, "/tokens/owner/rotations", Some(json!({}))),
        (&get, "/device-authorizations/BCDF-GHJK", None),
        (
            &post,
            "/device-authorizations/BCDF-GHJK/approvals",
            Some(json!({})),
        ),
        (
            &post,
            "/device-authorizations/BCDF-GHJK/denials",
            Some(json!({})),
        ),
        (&get, "/sessions", None),
        (&get, "/sessions/current", None),
        (&delete, "/sessions/current", None),
        (
            &post,
            "/password-changes",
            Some(json!({"current_password": "x", "new_password": "long enough for it"})),
        ),
    ];
    let own = |(method, path, body): (&Method, &str, Option<Value>)| {
        (method.clone(), path.to_owned(), body)
    };
    all.into_iter().map(own).collect()
}

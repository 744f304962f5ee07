//! Requests of every kind that there is below an organisation, as templates: `#` stands for a small number, so that
//! both organisations have the same names, `MARK` for the mark of whoever sends it, `UID` for an identifier that somebody was
//! told, and `NEW` for a name that was not used before.

use heddle_tests::{Random, operations_not_called, repository};
use reqwest::Method;
use serde_json::{Value, json};

/// One kind of request.
pub(super) struct Template {
    /// How often, next to the others.
    pub(super) weight: u64,
    pub(super) method: Method,
    /// Below the organisation.
    pub(super) path: String,
    pub(super) body: Option<Value>,
}

/// A template with everything filled in.
pub(super) struct Filled {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) body: Option<String>,
}

impl Template {
    pub(super) fn fill(&self, random: &mut Random, mark: &str, uid: &str) -> Filled {
        let number = random.below(3).to_string();
        let new = format!("n{:x}", random.number());
        let fill = |text: &str| {
            text.replace('#', &number)
                .replace("MARK", mark)
                .replace("UID", uid)
                .replace("NEW", &new)
        };
        Filled {
            method: self.method.clone(),
            path: fill(&self.path),
            body: self.body.as_ref().map(|body| fill(&body.to_string())),
        }
    }
}

fn one(weight: u64, method: Method, path: &str, body: Option<Value>) -> Template {
    Template {
        weight,
        method,
        path: path.to_owned(),
        body,
    }
}

/// An operation that no template was written for, as the document describes it: with the example of its body, and with an
/// identifier where the path names something that is not known here.
fn described(document: &Value, operation: &str) -> Option<Template> {
    let (method, path) = operation.split_once(' ')?;
    let item = &document["paths"][format!("/v1/orgs/{{org}}{path}")][method];
    let content = item["requestBody"]["content"].as_object();
    let body = content.and_then(|content| Some(content.values().next()?["example"].clone()));
    let segment = |segment: &str| match segment {
        "{mesh}" => String::from("shop"),
        "{service}" => String::from("s#"),
        "{route}" => String::from("r"),
        "{profile}" => String::from("p#"),
        "{revision}" => String::from("#"),
        other if other.starts_with('{') => String::from("UID"),
        other => other.to_owned(),
    };
    let path: Vec<String> = path.split('/').map(segment).collect();
    let method = method.to_uppercase().parse().ok()?;
    Some(one(1, method, &path.join("/"), body))
}

/// Everything, and whatever else the document has.
pub(super) fn whole() -> Vec<Template> {
    let mut all = all();
    let text = std::fs::read(repository().join("api/openapi.json")).unwrap();
    let document: Value = serde_json::from_slice(&text).unwrap();
    let further: Vec<Template> = left_out(&all)
        .iter()
        .filter_map(|operation| described(&document, operation))
        .collect();
    all.extend(further);
    assert_eq!(
        left_out(&all),
        Vec::<String>::new(),
        "operations that are left out"
    );
    all
}

fn left_out(all: &[Template]) -> Vec<String> {
    let called: Vec<_> = all
        .iter()
        .map(|template| (template.method.clone(), template.path.as_str()))
        .collect();
    operations_not_called(&called)
}

/// Every way to read and write the objects of one collection.
fn declared(all: &mut Vec<Template>, collection: &'static str, item: &'static str, body: &Value) {
    let mut named = body.clone();
    named["name"] = json!("NEW");
    if named.get("priority").is_some() {
        named["priority"] = json!(900_000);
    }
    all.push(one(6, Method::GET, collection, None));
    all.push(one(1, Method::POST, collection, Some(named)));
    all.push(one(6, Method::GET, item, None));
    all.push(one(6, Method::PUT, item, Some(body.clone())));
    let patch = json!({"display_name": "MARK", "labels": {"mark": "MARK"}});
    all.push(one(3, Method::PATCH, item, Some(patch)));
    all.push(one(1, Method::DELETE, item, None));
}

/// Those that were written with care.
fn all() -> Vec<Template> {
    let mut all = configuration();
    reads_and_lists(&mut all);
    tokens_and_proxies(&mut all);
    accounts(&mut all);
    all
}

/// Every free text of an object.
fn texts(mut body: Value) -> Value {
    body["display_name"] = json!("MARK");
    body["labels"] = json!({"mark": "MARK"});
    body["annotations"] = json!({"note": "MARK MARK"});
    body
}

fn configuration() -> Vec<Template> {
    let mut all = Vec::new();
    let port = json!([{"name": "http", "port": 8080, "protocol": "http"}]);
    declared(
        &mut all,
        "/meshes",
        "/meshes/spare#",
        &texts(json!({"deletion_protection": false})),
    );
    declared(
        &mut all,
        "/meshes/shop/profiles",
        "/meshes/shop/profiles/p#",
        &texts(json!({"settings": {"timeout": "9s"}})),
    );
    let service = json!({"ports": port, "hostnames": ["s#.MARK.internal"], "profile": "p#"});
    declared(
        &mut all,
        "/meshes/shop/services",
        "/meshes/shop/services/s#",
        &texts(service),
    );
    let route = json!({
        "priority": 1, "backends": [{"version": "v1"}], "match": [{"path": {"exact": "/MARK"}}],
    });
    declared(
        &mut all,
        "/meshes/shop/services/s#/routes",
        "/meshes/shop/services/s#/routes/r",
        &texts(route),
    );
    let rule = json!({"action": "allow", "from": [{"service": "s0"}], "reason": "MARK"});
    declared(
        &mut all,
        "/meshes/shop/services/s#/access-rules",
        "/meshes/shop/services/s#/access-rules/a",
        &texts(rule),
    );
    let split = "/meshes/shop/services/s#/routes/r/split";
    let mut weights = texts(json!({"weights": [{"version": "v1", "weight": 1}]}));
    if let Some(split) = weights.as_object_mut() {
        split.remove("display_name");
    }
    let patch = json!({"labels": {"mark": "MARK"}});
    all.push(one(4, Method::GET, split, None));
    all.push(one(4, Method::PUT, split, Some(weights)));
    all.push(one(2, Method::PATCH, split, Some(patch)));
    all.push(one(1, Method::DELETE, split, None));
    let resources = json!([
        texts(json!({"kind": "service", "name": "t0", "ports": port})),
        texts(json!({"kind": "service", "name": "t1", "ports": port, "profile": "t"})),
        texts(json!({"kind": "profile", "name": "t", "settings": {}})),
        texts(
            json!({"kind": "route", "service": "t0", "name": "r", "priority": 1, "backends": [{"service": "t1"}]})
        ),
    ]);
    let apply = json!({"mode": "apply", "resources": resources});
    all.push(one(4, Method::POST, "/meshes/shop/apply", Some(apply)));
    // What broken bodies are told: pieces of them come back.
    let wrong =
        json!({"ports": [{"name": "MARK MARK", "port": 0, "protocol": "MARK"}], "MARK": "MARK"});
    let path = "/meshes/shop/services/s#";
    all.push(one(2, Method::PUT, path, Some(wrong)));
    all
}

fn reads_and_lists(all: &mut Vec<Template>) {
    for (weight, path) in [
        (4, "/meshes/shop"),
        (2, "/meshes?q=MARK"),
        (
            4,
            "/meshes/shop/services?filter=labels.mark%20%3D%20%22MARK%22",
        ),
        (4, "/meshes/shop/services/-/routes?limit=3"),
        (
            2,
            "/meshes/shop/services/-/access-rules?order_by=updated_at",
        ),
        (3, "/meshes/shop/services/s#/effective"),
        (3, "/meshes/shop/services/s#/routes/r/effective"),
        (3, "/meshes/shop/revisions?limit=5"),
        (3, "/meshes/shop/revisions/#"),
        (2, "/meshes/shop/revisions/#/diff?from=0"),
        (2, "/meshes/shop/revisions/#/resources?limit=5"),
        (3, "/meshes/shop/revisions/2/resources/UID"),
        (4, "/meshes/UID"),
        (4, "/meshes/UID/services"),
        (4, "/meshes/shop/services/UID"),
        (2, "/meshes/shop/profiles/UID"),
    ] {
        all.push(one(weight, Method::GET, path, None));
    }
    let service = json!({"ports": [{"name": "http", "port": 1, "protocol": "http"}]});
    let path = "/meshes/UID/services/intruder";
    all.push(one(2, Method::PUT, path, Some(service)));
    let path = "/meshes/shop/services/UID";
    all.push(one(1, Method::DELETE, path, None));
}

fn tokens_and_proxies(all: &mut Vec<Template>) {
    let collection = "/meshes/shop/join-tokens";
    let token = json!({"name": "NEW", "service": "s#"});
    all.push(one(2, Method::GET, collection, None));
    all.push(one(1, Method::POST, collection, Some(token)));
    let token = json!({"name": "j#", "service": "s#", "reusable": true});
    all.push(one(2, Method::POST, collection, Some(token)));
    let item = "/meshes/shop/join-tokens/j#";
    all.push(one(2, Method::GET, item, None));
    all.push(one(1, Method::DELETE, item, None));
    all.push(one(1, Method::GET, "/meshes/shop/proxies", None));
    all.push(one(1, Method::GET, "/meshes/shop/proxies/x", None));
    all.push(one(1, Method::DELETE, "/meshes/shop/proxies/x", None));
    let bootstrap = "/meshes/shop/bootstrap?proxy=x&service=s#&advertise_address=10.0.0.1";
    all.push(one(2, Method::GET, bootstrap, None));
}

fn accounts(all: &mut Vec<Template>) {
    let mail = "/members/u#@example.com";
    let robot = "/service-accounts/robot#";
    let named = json!({"name": "robot#", "display_name": "MARK"});
    let renamed = json!({"display_name": "MARK"});
    let member = json!({"email": "u#@example.com", "display_name": "MARK"});
    let binding = json!({"role": "viewer", "service_account": "robot#"});
    let token = json!({"name": "NEW", "service_account": "robot#", "scopes": ["config:read"]});
    let checks = json!({"checks": [{"permission": "config:write", "mesh": "shop"}]});
    let password = json!({"current_password": "MARK", "new_password": "MARK MARK"});
    let (get, post, delete) = (Method::GET, Method::POST, Method::DELETE);
    for (weight, method, path, body) in [
        (2, &get, "/members", None),
        (1, &post, "/members", Some(&member)),
        (2, &get, mail, None),
        (2, &Method::PATCH, mail, Some(&renamed)),
        (2, &get, "/service-accounts", None),
        (2, &post, "/service-accounts", Some(&named)),
        (2, &get, robot, None),
        (2, &Method::PATCH, robot, Some(&renamed)),
        (1, &delete, robot, None),
        (2, &get, "/role-bindings", None),
        (1, &post, "/role-bindings", Some(&binding)),
        (1, &get, "/role-bindings/UID", None),
        (1, &delete, "/role-bindings/UID", None),
        (2, &post, "/permissions/check", Some(&checks)),
        (2, &get, "/tokens", None),
        (1, &post, "/tokens", Some(&token)),
        (1, &get, "/tokens/owner", None),
        (1, &delete, "/tokens/NEW", None),
        (1, &post, "/tokens/NEW/rotations", Some(&json!({}))),
        (1, &get, "/sessions", None),
        (1, &get, "/sessions/current", None),
        (1, &delete, "/sessions/current", None),
        (1, &post, "/password-changes", Some(&password)),
    ] {
        all.push(one(weight, method.clone(), path, body.cloned()));
    }

    let resets = "/members/u#@example.com/password-resets";
    all.push(one(1, post, resets, Some(json!({}))));
    all.push(one(1, delete, mail, None));
}

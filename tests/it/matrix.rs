//! Who gets what: every operation of the published document, tried by every kind of caller, as a table.
//!
//! The document says which operations there are, where they are and what an example of their body is, so a new one gets its
//! row by itself: the table then differs, and `HEDDLE_ACCEPT_MATRIX=1` writes what came out. What must hold for every
//! operation is asserted on top of the table, so that accepting cannot accept a hole.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use heddle_tests::{Api, Reply, ServerOptions, Stack, repository};
use reqwest::Method;
use serde_json::{Value, json};

const TABLE: &str = "tests/it/matrix/table.txt";
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// The callers, in the order of the columns.
const ACTORS: [&str; 8] = [
    "anonymous",
    "expired",
    "revoked",
    "proxy",
    "rival",
    "viewer",
    "developer",
    "admin",
];

/// One operation of the document.
struct Operation {
    id: String,
    method: Method,
    path: String,
    body: Option<(String, Value)>,
    bearer: bool,
}

fn operations(document: &Value) -> Vec<Operation> {
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in METHODS {
            let Some(operation) = item.get(method) else {
                continue;
            };
            let content = operation["requestBody"]["content"].as_object();
            let body = content.and_then(|content| {
                let (kind, body) = content.iter().next()?;
                Some((kind.clone(), body["example"].clone()))
            });
            all.push(Operation {
                id: operation["operationId"].as_str().unwrap().to_owned(),
                method: method.to_uppercase().parse().unwrap(),
                path: path.clone(),
                body,
                bearer: operation["security"]
                    .as_array()
                    .is_some_and(|all| !all.is_empty()),
            });
        }
    }
    // A mesh takes the callers' join token with it, so it goes last.
    let key = |operation: &Operation| {
        let last = operation.id == "delete_mesh";
        (last, operation.path.clone(), operation.method.to_string())
    };
    all.sort_by_key(key);
    assert!(all.len() > 50, "{}", all.len());
    all
}

/// The objects that paths and examples lead to; made again after whatever changed them.
struct World<'a> {
    owner: &'a Api,
    binding: String,
    invitation: String,
}

impl World<'_> {
    async fn restore(&mut self) {
        let owner = self.owner;
        let service = json!({"ports": [{"name": "http", "port": 8080, "protocol": "http"}]});
        let route = json!({"priority": 1, "backends": [{"version": "v1"}]});
        let split = json!({"weights": [{"version": "v1", "weight": 1}]});
        let rule = json!({"action": "allow", "from": [{"service": "checkout"}]});
        let objects = [
            ("/meshes/prod", json!({"deletion_protection": false})),
            ("/meshes/prod/profiles/std-backend", json!({"settings": {}})),
            ("/meshes/prod/services/payments", service.clone()),
            ("/meshes/prod/services/checkout", service),
            ("/meshes/prod/services/payments/routes/charges", route),
            ("/meshes/prod/services/payments/routes/charges/split", split),
            (
                "/meshes/prod/services/payments/access-rules/checkout-may-charge",
                rule,
            ),
        ];
        for (path, body) in objects {
            let reply = owner.put(path, body).await;
            assert!(reply.status < 300, "{path}: {}", reply.text);
        }
        let things = [
            (
                "/meshes/prod/join-tokens",
                json!({"name": "payments-host-1", "service": "payments"}),
            ),
            ("/service-accounts", json!({"name": "deployer"})),
            ("/members", json!({"email": "bea@example.com"})),
            (
                "/tokens",
                json!({"name": "deployed", "service_account": "deployer"}),
            ),
            (
                "/role-bindings",
                json!({"role": "viewer", "service_account": "deployer"}),
            ),
        ];
        for (path, body) in things {
            let reply = owner.post(path, body).await;
            assert!([201, 409].contains(&reply.status), "{path}: {}", reply.text);
        }
        let bindings = owner.get("/role-bindings?service_account=deployer").await;
        let binding = bindings.expect(200).json["items"][0]["meta"]["uid"].clone();
        binding.as_str().unwrap().clone_into(&mut self.binding);
        let invited = json!({"email": "dan@example.com", "role": "viewer"});
        let _ = owner.post("/invitations", invited).await;
        let open = owner.get("/invitations").await.expect(200).json["items"].clone();
        let dan = |one: &&Value| one["email"] == "dan@example.com";
        let dan = open.as_array().unwrap().iter().find(dan).unwrap();
        let uid = dan["meta"]["uid"].as_str().unwrap();
        uid.clone_into(&mut self.invitation);
    }

    fn path(&self, template: &str) -> String {
        let fill = |segment: &str| {
            let name = segment.strip_prefix('{').and_then(|s| s.strip_suffix('}'));
            match name {
                None => segment.to_owned(),
                Some("org") => self.owner.org.clone(),
                Some("mesh") => String::from("prod"),
                Some("service") => String::from("payments"),
                Some("route") => String::from("charges"),
                Some("profile") => String::from("std-backend"),
                Some("rule") => String::from("checkout-may-charge"),
                Some("token") => String::from("payments-host-1"),
                Some("member") => String::from("bea@example.com"),
                Some("service_account") => String::from("deployer"),
                Some("api_token") => String::from("deployed"),
                Some("role_binding") => self.binding.clone(),
                Some("invitation") => self.invitation.clone(),
                Some("session") => String::from("current"),
                Some("code") => String::from("HED-1002"),
                Some("revision") => String::from("1"),
                // Names nothing: whoever may ask gets 404.
                Some(_) => String::from("nothing"),
            }
        };
        template.split('/').map(fill).collect::<Vec<_>>().join("/")
    }
}

/// What the table says about bodies and queries beyond the document's examples.
fn particular(id: &str, actor: &str, body: &mut Option<(String, Value)>) -> &'static str {
    if let Some((_, body)) = body {
        match id {
            // New to the world, so that whoever may create it does.
            "create_service_account"
            | "create_mesh"
            | "create_service"
            | "create_profile"
            | "create_route"
            | "create_access_rule"
            | "create_join_token"
            | "create_token" => {
                body["name"] = json!("fresh");
            }
            // Guesses at one address would be slowed down.
            "create_session" | "create_password_reset" => {
                body["email"] = json!(format!("{actor}@example.com"));
            }
            _ => {}
        }
        if id == "create_role_binding" {
            body["role"] = json!("developer");
        }
        if id == "create_route" {
            body["priority"] = json!(77);
        }
    }
    match id {
        "get_bootstrap" => "?proxy=p1&service=payments&advertise_address=10.0.0.1",
        "list_sign_in_connections" => "?org=acme",
        _ => "",
    }
}

async fn call(world: &World<'_>, api: &Api, actor: &str, operation: &Operation) -> Reply {
    let mut body = operation.body.clone();
    let query = particular(&operation.id, actor, &mut body);
    let path = format!("{}{query}", world.path(&operation.path));
    let (headers, bytes) = match &body {
        None => (Vec::new(), Vec::new()),
        Some((kind, body)) => (
            vec![("content-type", kind.as_str())],
            body.to_string().into_bytes(),
        ),
    };
    api.raw(operation.method.clone(), &path, &headers, bytes)
        .await
}

/// A service account's token with one role in the whole organisation.
async fn with_role(owner: &Api, role: &str) -> Api {
    let name = format!("matrix-{role}");
    let body = json!({"name": name});
    let _ = owner.post("/service-accounts", body).await.expect(201);
    let body = json!({"role": role, "service_account": name});
    let _ = owner.post("/role-bindings", body).await.expect(201);
    let body = json!({"name": name, "service_account": name});
    let token = owner.post("/tokens", body).await.expect(201);
    owner.with_token(token.json["secret"].as_str().unwrap())
}

async fn actors(stack: &Stack, owner: &Api) -> BTreeMap<&'static str, Api> {
    let rival = with_role(&stack.server.org("rival").await, "admin").await;
    let expired = with_role(owner, "operator").await;
    let expire = "update heddle.tokens set expires_at = now() - interval '1 second' where name = 'matrix-operator'";
    let mut superuser = stack.postgres.inspect().await;
    let done = sqlx::query(expire).execute(&mut superuser).await.unwrap();
    assert_eq!(done.rows_affected(), 1);
    let revoked = with_role(owner, "owner").await;
    let _ = owner.delete("/tokens/matrix-owner").await.expect(204);
    let body = json!({"name": "proxy", "service": "payments", "reusable": true});
    let proxy = owner
        .post("/meshes/prod/join-tokens", body)
        .await
        .expect(201);
    BTreeMap::from([
        ("anonymous", owner.with_token("")),
        ("expired", expired),
        ("revoked", revoked),
        (
            "proxy",
            owner.with_token(proxy.json["secret"].as_str().unwrap()),
        ),
        ("rival", rival.at_org(&owner.org)),
        ("viewer", with_role(owner, "viewer").await),
        ("developer", with_role(owner, "developer").await),
        ("admin", with_role(owner, "admin").await),
    ])
}

/// What holds for every operation, whatever the table says.
fn must_hold(operation: &Operation, statuses: &BTreeMap<&str, u16>) -> Vec<String> {
    let mut faults = Vec::new();
    let mut fault = |what: &str| faults.push(format!("{}: {what}: {statuses:?}", operation.id));
    if statuses.values().any(|status| *status >= 500) {
        fault("no request fails inside");
    }
    if !operation.bearer {
        return faults;
    }
    for nobody in ["anonymous", "expired", "revoked"] {
        if statuses[nobody] != 401 {
            fault("without a credential that is valid now nothing opens");
        }
    }
    if statuses["proxy"] != 401 && operation.id != "get_bootstrap" {
        fault("a join token opens the bootstrap and nothing else");
    }
    if operation.path.contains("{org}") && statuses["rival"] != 404 {
        fault("another organisation does not exist");
    }
    let changes = operation.method != Method::GET;
    let reads_only = [
        "create_access_check",
        "create_permission_check",
        "create_token",
        "create_preview",
    ];
    if changes && statuses["viewer"] < 300 && !reads_only.contains(&operation.id.as_str()) {
        fault("who may only read changes nothing");
    }
    faults
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_t01_z09_a11_every_operation_for_every_kind_of_caller() {
    let stack = Stack::start(ServerOptions::default()).await;
    let owner = stack.server.org("acme").await;
    let anyone = owner.with_token("");
    let document = anyone
        .raw(Method::GET, "/v1/openapi.json", &[], Vec::new())
        .await;
    let operations = operations(&document.expect(200).json);
    let mut world = World {
        owner: &owner,
        binding: String::new(),
        invitation: String::new(),
    };
    world.restore().await;
    let actors = actors(&stack, &owner).await;

    let mut table = String::from(
        "# Operation x caller -> status. Made by tests/it/matrix.rs; HEDDLE_ACCEPT_MATRIX=1 accepts what came out.\n\
         # expired, revoked: an API token that was an operator's, an owner's. proxy: a join token of the mesh. rival: an admin of\n\
         # another organisation. viewer, developer, admin: of the whole organisation.\n",
    );
    let _ = write!(table, "{:<34}", "");
    for actor in ACTORS {
        let _ = write!(table, " {actor:>9}");
    }
    table.push('\n');
    let mut faults = Vec::new();
    for operation in &operations {
        let mut statuses = BTreeMap::new();
        for actor in ACTORS {
            let reply = call(&world, &actors[actor], actor, operation).await;
            statuses.insert(actor, reply.status);
            if operation.method != Method::GET && reply.status < 300 {
                if let Some(location) = &reply.location {
                    let gone = owner.raw(Method::DELETE, location, &[], Vec::new()).await;
                    // A revision stays.
                    assert!(
                        [204, 404, 405, 409].contains(&gone.status),
                        "{location}: {}",
                        gone.text
                    );
                }
                world.restore().await;
            }
        }
        faults.extend(must_hold(operation, &statuses));
        let _ = write!(table, "{:<34}", operation.id);
        for actor in ACTORS {
            let _ = write!(table, " {:>9}", statuses[actor]);
        }
        table.push('\n');
    }
    assert_eq!(faults, Vec::<String>::new());

    let file = repository().join(TABLE);
    if std::env::var_os("HEDDLE_ACCEPT_MATRIX").is_some_and(|value| value == "1") {
        std::fs::write(&file, &table).unwrap();
        return;
    }
    let accepted = std::fs::read_to_string(&file).unwrap_or_default();
    let lines = |text: &str| text.lines().map(ToOwned::to_owned).collect::<Vec<_>>();
    let (was, is) = (lines(&accepted), lines(&table));
    let gone: Vec<_> = was.iter().filter(|line| !is.contains(line)).collect();
    let new: Vec<_> = is.iter().filter(|line| !was.contains(line)).collect();
    assert!(
        accepted == table,
        "{TABLE} says otherwise; if this is meant, HEDDLE_ACCEPT_MATRIX=1 writes it\n- {gone:#?}\n+ {new:#?}"
    );
}

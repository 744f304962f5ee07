//! The program of `clients/rust/README.md`, letter by letter.

#[rustfmt::skip]
pub(super) async fn walk(url: String, token: String) -> Result<(), Box<dyn std::error::Error>> {
use heddle_client::{Problems as _, connect, from_json, types};

let client = connect(&url, &token)?;

// Bodies can be built, or read from JSON that a person wrote.
let mesh = types::CreateMesh::builder().name("prod").display_name(String::from("Production"));
let mesh = client.create_mesh().org("-").body(mesh).send().await?;
let ports = r#"{"ports": [{"name": "http", "port": 8080, "protocol": "http"}]}"#;
let spec: types::ServiceSpec = from_json(ports)?;

// PUT creates or replaces. What comes back is typed, with its headers.
let put = client.put_service().org("-").mesh("prod").service("payments").body(spec);
let service = put.send().await?;
assert_eq!((mesh.name.as_str(), service.ports[0].port), ("prod", 8080));
assert_eq!(service.headers()["etag"], service.meta.etag);

// What the server says against a request is a problem with every violation.
let bad: types::ServiceSpec = from_json(&ports.replace("8080", "0"))?;
let put = client.put_service().org("-").mesh("prod").service("payments").body(bad);
let Err(error) = put.send().await else { panic!("it was accepted") };
let problem = error.problem().expect("the server was reached");
assert_eq!((problem.status, problem.errors[0].pointer.as_str()), (422, "/ports/0/port"));
Ok(())
}

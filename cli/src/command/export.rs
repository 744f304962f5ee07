//! Everything that was declared, in a form that declares it again.

mod hcl;

use reqwest::Method;
use serde_json::{Map, Value};

use crate::args::export::{Export, Language};
use crate::client::{Client, Request};
use crate::failure::Failure;
use crate::kinds::segment;
use crate::output::{self, data, plain, say};
use crate::place::Here;

/// The kinds that are declared, each after those that it refers to.
const KINDS: [&str; 6] = [
    "mesh",
    "profile",
    "service",
    "route",
    "split",
    "access_rule",
];

/// One object as somebody would declare it.
struct Declared {
    kind: String,
    /// Where it lives, outermost first: `mesh`, then `service` and `route` as far as it belongs to one.
    parents: Vec<(&'static str, String)>,
    /// What its owner says of it, with its name.
    body: Map<String, Value>,
}

impl Declared {
    /// From what the API says of an object of this mesh at a revision.
    fn new(mesh: &str, mut item: Value) -> Option<Self> {
        let meta = item["meta"].take();
        let kind = meta["kind"].as_str()?.to_owned();
        let Value::Object(mut body) = item else {
            return None;
        };
        // What the server says of it is not declared.
        for told in ["meta", "status"] {
            body.shift_remove(told);
        }
        let mut parents = Vec::new();
        if kind != "mesh" {
            parents.push(("mesh", mesh.to_owned()));
            // services/payments/routes/all/split
            let path: Vec<&str> = meta["path"].as_str()?.split('/').collect();
            let after = |noun: &str| {
                let at = path.iter().position(|part| *part == noun)?;
                path.get(at + 1).map(|name| (*name).to_owned())
            };
            if kind != "service" {
                parents.extend(after("services").map(|name| ("service", name)));
            }
            if kind == "split" {
                parents.extend(after("routes").map(|name| ("route", name)));
                // A route has one at most, and it is named after nothing.
                body.shift_remove("name");
            }
        }
        Some(Self {
            kind,
            parents,
            body,
        })
    }

    /// Its place in an order in which nothing comes before what it refers to.
    fn order(&self) -> usize {
        KINDS
            .iter()
            .position(|kind| *kind == self.kind)
            .unwrap_or(KINDS.len())
    }

    /// The names that lead to it, its own last.
    fn names(&self) -> Vec<&str> {
        let parents = self.parents.iter().map(|(_, name)| name.as_str());
        let own = self.body.get("name").and_then(Value::as_str);
        parents.chain(own).collect()
    }

    /// As a document for `apply`.
    fn document(self) -> Value {
        let mut document = Map::new();
        document.insert(String::from("kind"), self.kind.into());
        for (parent, name) in self.parents {
            document.insert(parent.to_owned(), name.into());
        }
        document.extend(self.body);
        Value::Object(document)
    }
}

pub(crate) async fn export(here: &Here, args: &Export) -> Result<(), Failure> {
    if args.revision.is_some() && args.meshes.len() != 1 {
        let what = "a revision is one of one mesh, so name that";
        return Err(Failure::usage(what).hint("heddle export prod --revision 7"));
    }
    let client = here.client().await?;
    let meshes = match args.meshes.as_slice() {
        [] => every_mesh(&client).await?,
        some => some.to_vec(),
    };
    let mut all = Vec::new();
    for mesh in &meshes {
        all.extend(read(&client, mesh, args.revision).await?);
    }
    if all.is_empty() {
        say("There are no meshes.");
        return Ok(());
    }
    match args.output {
        Language::Yaml => {
            let documents = all.into_iter().map(|one| output::yaml(&one.document()));
            let documents = documents.collect::<Result<Vec<_>, _>>()?;
            data(&documents.join("---\n"))
        }
        Language::Hcl => {
            let whoami = client.get(String::from("/v1/whoami")).await?;
            let org = whoami["org"]["name"].as_str().unwrap_or("-");
            data(&hcl::write(org, &all))
        }
    }
}

async fn every_mesh(client: &Client) -> Result<Vec<String>, Failure> {
    let request = Request::new(Method::GET, client.org("/meshes")).query("fields", "name");
    let meshes = client.list(request, usize::MAX).await?;
    let name = |mesh: &Value| mesh["name"].as_str().map(ToOwned::to_owned);
    Ok(meshes.iter().filter_map(name).collect())
}

/// A whole mesh at one of its revisions.
async fn read(
    client: &Client,
    mesh: &str,
    revision: Option<u64>,
) -> Result<Vec<Declared>, Failure> {
    let path = client.org(&format!("/meshes/{}", segment(mesh)));
    let now = client.get(path.clone()).await?;
    let name = now["name"].as_str().unwrap_or(mesh).to_owned();
    let revision = revision.or(now["status"]["revision"].as_u64());
    let revision = revision.unwrap_or_default();
    let request = Request::new(
        Method::GET,
        format!("{path}/revisions/{revision}/resources"),
    );
    let items = client.list(request, usize::MAX).await?;
    let declared = items
        .into_iter()
        .filter_map(|item| Declared::new(&name, item));
    let mut declared: Vec<Declared> = declared.collect();
    declared.sort_by(|one, other| {
        let key = |declared: &Declared| {
            let names = declared.names().into_iter().map(ToOwned::to_owned);
            (declared.order(), names.collect::<Vec<_>>())
        };
        key(one).cmp(&key(other))
    });
    say(&format!(
        "Mesh {}: revision {revision}, {} objects.",
        plain(&name),
        declared.len()
    ));
    Ok(declared)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_is_what_its_owner_said_and_where_it_lives() {
        let item = json!({
            "name": "split",
            "weights": [{"version": "v1", "weight": 100}],
            "status": {},
            "meta": {"kind": "split", "uid": "spl_1", "path": "services/pay/routes/all/split"},
        });
        let split = Declared::new("prod", item).unwrap();
        assert_eq!(split.names(), ["prod", "pay", "all"]);
        assert_eq!(
            split.document(),
            json!({"kind": "split", "mesh": "prod", "service": "pay", "route": "all",
                   "weights": [{"version": "v1", "weight": 100}]})
        );
        let item =
            json!({"name": "services", "meta": {"kind": "service", "path": "services/services"}});
        let service = Declared::new("prod", item).unwrap();
        assert_eq!(service.names(), ["prod", "services"]);
    }
}

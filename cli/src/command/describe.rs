//! An object with everything that concerns it, as one document: what it says, what is in force and why, who calls it, who runs it.

mod page;

use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::args::look::Describe;
use crate::client::{Client, Request};
use crate::command::get::mesh_of;
use crate::failure::{Exit, Failure};
use crate::kinds::{noun, segment};
use crate::output::{self, Format, data, plain, say};
use crate::place::Here;

pub(crate) async fn describe(here: &Here, args: &Describe) -> Result<(), Failure> {
    let noun = noun(&args.kind)?;
    let mesh = mesh_of(here, noun)?;
    let path = noun.address(mesh, &args.name)?;
    let client = here.client().await?;
    let object = client.get(client.org(&path)).await?;
    let around = Around {
        client: &client,
        mesh: mesh.unwrap_or(&args.name),
    };
    let mut document = Map::new();
    document.insert(String::from("kind"), json!(noun.name));
    document.insert(String::from("name"), json!(noun.title(&object)));
    if let Some(mesh) = mesh {
        document.insert(String::from("mesh"), json!(mesh));
    }
    document.insert(String::from("object"), object.clone());
    let parent = |of: &str| object["meta"]["parent"][of].as_str();
    let own = object["name"].as_str().unwrap_or_default();
    match (noun.name, parent("service"), parent("route")) {
        ("mesh", ..) => around.mesh(&mut document).await?,
        ("service", ..) => around.service(&mut document, own).await?,
        ("route", Some(service), _) | ("split", Some(service), Some(_)) => {
            let route = parent("route").unwrap_or(own);
            around.route(&mut document, service, route).await?;
        }
        ("access_rule", Some(service), _) => around.rule(&mut document, service).await?,
        ("profile", ..) => around.profile(&mut document, own).await?,
        ("join_token", ..) => {
            let uid = object["meta"]["uid"].as_str();
            let joined = |proxy: &Value| proxy["meta"]["join_token"].as_str() == uid;
            let proxies = around.proxies(joined).await?;
            document.insert(String::from("proxies"), proxies);
        }
        _ => {}
    }
    let findings = findings(&Value::Object(document.clone()));
    document.insert(String::from("findings"), Value::Array(findings));
    let document = Value::Object(document);
    match args.shown.output {
        Format::Json => data(&output::json(&document)?),
        Format::Yaml => data(&output::yaml(&document)?),
        Format::Name => data(&format!("{}/{}\n", noun.name, plain(&noun.title(&object)))),
        format => data(&page::page(noun, &document, format == Format::Wide)),
    }
}

/// What lies around an object.
struct Around<'a> {
    client: &'a Client,
    mesh: &'a str,
}

impl Around<'_> {
    fn path(&self, below: &str) -> String {
        let mesh = segment(self.mesh);
        self.client.org(&format!("/meshes/{mesh}{below}"))
    }

    async fn list(&self, below: &str) -> Result<Vec<Value>, Failure> {
        let request = Request::new(Method::GET, self.path(below));
        self.client.list(request, usize::MAX).await
    }

    /// The proxies that are meant; null for whoever may not see any.
    async fn proxies(&self, meant: impl Fn(&Value) -> bool) -> Result<Value, Failure> {
        match self.list("/proxies").await {
            Ok(mut all) => {
                all.retain(meant);
                Ok(Value::Array(all))
            }
            Err(failure) if failure.exit() == Exit::Auth => {
                say("You may not see proxies: that takes the permission proxies:read.");
                Ok(Value::Null)
            }
            Err(failure) => Err(failure),
        }
    }

    async fn split(&self, service: &str, route: &str) -> Result<Value, Failure> {
        let path = format!(
            "/services/{}/routes/{}/split",
            segment(service),
            segment(route)
        );
        match self.client.get(self.path(&path)).await {
            Err(failure) if failure.exit() == Exit::NotFound => Ok(Value::Null),
            other => other,
        }
    }

    /// The settings in force, and how the ports of the service are called.
    async fn effective(
        &self,
        document: &mut Map<String, Value>,
        below: &str,
    ) -> Result<(), Failure> {
        let mut answer = self
            .client
            .get(self.path(&format!("{below}/effective")))
            .await?;
        document.insert(String::from("effective"), answer["items"].take());
        document.insert(String::from("mtls"), answer["mtls"].take());
        Ok(())
    }

    /// The rules about calls of the service, those elsewhere that name it as a caller, and what holds without any.
    async fn access(&self, service: &str) -> Result<Value, Failure> {
        let mesh = self.client.get(self.path("")).await?;
        let default = mesh["access_default"].as_str().unwrap_or("deny");
        let all = self.list("/services/-/access-rules").await?;
        let (own, others): (Vec<Value>, Vec<Value>) = all
            .into_iter()
            .partition(|rule| rule["meta"]["parent"]["service"] == service);
        // A rule without callers is about everybody.
        let names = |rule: &Value| match rule["from"].as_array() {
            Some(callers) => callers.iter().any(|caller| caller["service"] == service),
            None => true,
        };
        let elsewhere: Vec<Value> = others.into_iter().filter(names).collect();
        Ok(json!({"default": default, "rules": own, "as_caller": elsewhere}))
    }

    async fn mesh(&self, document: &mut Map<String, Value>) -> Result<(), Failure> {
        let services = self.list("/services").await?;
        document.insert(String::from("services"), Value::Array(services));
        let proxies = self.proxies(|_| true).await?;
        document.insert(String::from("proxies"), proxies);
        Ok(())
    }

    async fn service(
        &self,
        document: &mut Map<String, Value>,
        service: &str,
    ) -> Result<(), Failure> {
        let below = format!("/services/{}", segment(service));
        self.effective(document, &below).await?;
        let mut routes = Vec::new();
        for route in self.list(&format!("{below}/routes")).await? {
            let name = route["name"].as_str().unwrap_or_default();
            let split = self.split(service, name).await?;
            routes.push(json!({"route": route, "split": split}));
        }
        document.insert(String::from("routes"), Value::Array(routes));
        let access = self.access(service).await?;
        document.insert(String::from("access"), access);
        let proxies = self.proxies(|proxy| proxy["service"] == service).await?;
        document.insert(String::from("proxies"), proxies);
        Ok(())
    }

    async fn route(
        &self,
        document: &mut Map<String, Value>,
        service: &str,
        name: &str,
    ) -> Result<(), Failure> {
        let below = format!("/services/{}/routes/{}", segment(service), segment(name));
        self.effective(document, &below).await?;
        let route = self.client.get(self.path(&below)).await?;
        let split = self.split(service, name).await?;
        document.insert(
            String::from("routes"),
            json!([{"route": route, "split": split}]),
        );
        let access = self.access(service).await?;
        document.insert(String::from("access"), access);
        let proxies = self.proxies(|proxy| proxy["service"] == service).await?;
        document.insert(String::from("proxies"), proxies);
        Ok(())
    }

    async fn rule(&self, document: &mut Map<String, Value>, service: &str) -> Result<(), Failure> {
        let access = self.access(service).await?;
        document.insert(String::from("access"), access);
        let proxies = self.proxies(|proxy| proxy["service"] == service).await?;
        document.insert(String::from("proxies"), proxies);
        Ok(())
    }

    async fn profile(&self, document: &mut Map<String, Value>, name: &str) -> Result<(), Failure> {
        let mut services = self.list("/services").await?;
        services.retain(|service| service["profile"] == name);
        document.insert(String::from("services"), Value::Array(services));
        Ok(())
    }
}

/// What somebody should look at, of every object in the document, each with the object that it is about.
fn findings(document: &Value) -> Vec<Value> {
    let mut found: Vec<Value> = Vec::new();
    collect(document, &mut found);
    found
}

fn collect(value: &Value, found: &mut Vec<Value>) {
    match value {
        Value::Object(map) => {
            let listed = value["status"]["findings"].as_array().into_iter().flatten();
            for finding in listed {
                let mut finding = finding.clone();
                finding["object"] = json!(subject(value));
                // A route stands beside its split, and an object in its own list.
                if !found.contains(&finding) {
                    found.push(finding);
                }
            }
            map.values().for_each(|value| collect(value, found));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        _ => {}
    }
}

/// What an object is called: "route payments/all".
fn subject(object: &Value) -> String {
    let kind = object["meta"]["kind"].as_str().unwrap_or("object");
    let title = noun(kind).map_or_else(|_| String::new(), |noun| noun.title(object));
    format!("{} {title}", kind.replace('_', " "))
}

//! Writes of every way to write, each with a mark that its rows carry, so that it can be looked for afterwards.

use std::collections::VecDeque;

use reqwest::Method;
use serde_json::{Value, json};

use crate::api::{Api, Reply};
use crate::random::Random;

/// One request that writes.
pub struct Write {
    /// How.
    pub method: Method,
    /// Below the organisation.
    pub path: String,
    /// Beside the usual ones.
    pub headers: Vec<(&'static str, String)>,
    /// As it is sent.
    pub body: String,
    /// The mesh that it is in.
    pub mesh: String,
    /// The label `op` of every object that it writes.
    pub marker: String,
    /// What it writes, or deletes, directly below the mesh.
    pub names: Vec<String>,
    /// How many objects carry the marker when it is done.
    pub objects: i64,
    /// What a whole answer may say.
    pub expected: &'static [u16],
}

impl Write {
    /// Whether it removes what it names.
    #[must_use]
    pub fn deletes(&self) -> bool {
        self.method == Method::DELETE
    }

    /// Sends it once and reads the answer.
    ///
    /// # Errors
    /// There was no whole answer: whether it was done is unknown.
    pub async fn send(&self, api: &Api) -> Result<Reply, reqwest::Error> {
        let headers: Vec<(&str, &str)> =
            self.headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
        let path = format!("/v1/orgs/{}{}", api.org, self.path);
        let body = self.body.clone().into_bytes();
        api.try_raw(self.method.clone(), &path, &headers, body)
            .await
    }

    /// The request as it goes over the wire.
    #[must_use]
    pub fn bytes(&self, api: &Api) -> Vec<u8> {
        let mut head = format!(
            "{} /v1/orgs/{}{} HTTP/1.1\r\nhost: heddle\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n",
            self.method,
            api.org,
            self.path,
            api.token,
            self.body.len()
        );
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        format!("{head}\r\n{}", self.body).into_bytes()
    }
}

/// Makes writes; what it names is its own, and nobody else writes it.
pub struct Writer {
    mesh: String,
    prefix: String,
    random: Random,
    made: u64,
    posted: VecDeque<String>,
}

fn service(marker: &str) -> Value {
    json!({
        "ports": [{"name": "http", "port": 8080, "protocol": "http"}],
        "labels": {"op": marker},
    })
}

impl Writer {
    /// For names that begin so, in a mesh.
    #[must_use]
    pub fn new(mesh: &str, prefix: &str, random: Random) -> Self {
        Self {
            mesh: mesh.to_owned(),
            prefix: prefix.to_owned(),
            random,
            made: 0,
            posted: VecDeque::new(),
        }
    }

    /// Where it takes chance from.
    pub fn random(&mut self) -> &mut Random {
        &mut self.random
    }

    /// The next one.
    pub fn next_write(&mut self) -> Write {
        self.made += 1;
        let marker = self.random.marker();
        let some = format!("{}-a{}", self.prefix, self.random.below(4));
        match self.random.below(100) {
            0..40 => self.put(&some, &marker),
            40..55 => self.patch(&some, &marker),
            55..70 => self.post(&marker),
            70..88 => self.apply(&marker),
            _ => {
                let old = self.posted.pop_front().filter(|_| self.posted.len() > 4);
                self.delete(&old.unwrap_or(some), &marker)
            }
        }
    }

    fn write(&self, method: Method, below: &str, marker: &str, body: Option<&Value>) -> Write {
        let kind = match method {
            Method::PATCH => "application/merge-patch+json",
            _ => "application/json",
        };
        let headers = body.map(|_| ("content-type", kind.to_owned()));
        Write {
            method,
            path: format!("/meshes/{}{below}", self.mesh),
            headers: headers.into_iter().collect(),
            body: body.map(ToString::to_string).unwrap_or_default(),
            mesh: self.mesh.clone(),
            marker: marker.to_owned(),
            names: Vec::new(),
            objects: 1,
            expected: &[200, 201],
        }
    }

    fn put(&self, name: &str, marker: &str) -> Write {
        let path = format!("/services/{name}");
        Write {
            names: vec![name.to_owned()],
            ..self.write(Method::PUT, &path, marker, Some(&service(marker)))
        }
    }

    fn patch(&self, name: &str, marker: &str) -> Write {
        let body = json!({"labels": {"op": marker}});
        let path = format!("/services/{name}");
        Write {
            names: vec![name.to_owned()],
            expected: &[200, 404],
            ..self.write(Method::PATCH, &path, marker, Some(&body))
        }
    }

    /// Only with a key can a POST be sent again.
    fn post(&mut self, marker: &str) -> Write {
        let name = format!("{}-p{}", self.prefix, self.made);
        self.posted.push_back(name.clone());
        let mut body = service(marker);
        body["name"] = json!(name);
        let mut write = self.write(Method::POST, "/services", marker, Some(&body));
        write.headers.push(("idempotency-key", marker.to_owned()));
        write.names = vec![name];
        write.expected = &[201];
        write
    }

    /// Three services and a route, as one revision.
    fn apply(&self, marker: &str) -> Write {
        let names: Vec<String> = (0..3).map(|i| format!("{}-b{i}", self.prefix)).collect();
        let mut resources: Vec<Value> = names
            .iter()
            .map(|name| {
                let mut one = service(marker);
                one["kind"] = json!("service");
                one["name"] = json!(name);
                one
            })
            .collect();
        resources.push(json!({
            "kind": "route", "service": names[0], "name": "all", "priority": 1,
            "backends": [{"version": "v1"}], "labels": {"op": marker},
        }));
        let body = json!({"mode": "apply", "resources": resources});
        let mut write = self.write(Method::POST, "/apply", marker, Some(&body));
        write.headers.push(("idempotency-key", marker.to_owned()));
        write.names = names;
        write.objects = 4;
        write.expected = &[200];
        write
    }

    fn delete(&self, name: &str, marker: &str) -> Write {
        let path = format!("/services/{name}");
        Write {
            names: vec![name.to_owned()],
            objects: 0,
            expected: &[204, 404],
            ..self.write(Method::DELETE, &path, marker, None)
        }
    }
}

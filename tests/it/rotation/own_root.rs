//! A mesh goes under the root of a customer, under calls: one with OpenSSL, a root and an authority between.

use std::path::Path;
use std::process::Command;

use super::*;

/// A folder in which somebody keeps their authorities.
struct Customer(tempfile::TempDir);

impl Customer {
    fn new() -> Self {
        let own = Self(tempfile::tempdir().unwrap());
        let may = "-addext basicConstraints=critical,CA:true -addext keyUsage=critical,keyCertSign";
        own.openssl(&format!(
            "req -x509 -new -newkey rsa:2048 -nodes -keyout root.key -out root.pem -days 400 -sha384 -subj /CN=Root {may}"
        ));
        own.openssl("ecparam -name secp384r1 -genkey -noout -out middle.key");
        own.openssl("req -new -key middle.key -subj /CN=Middle -out middle.csr");
        let constraints =
            "basicConstraints=critical,CA:true,pathlen:1\nkeyUsage=critical,keyCertSign";
        own.sign("middle", "root", constraints);
        own
    }

    fn openssl(&self, arguments: &str) {
        let folder: &Path = self.0.path();
        let mut openssl = Command::new("openssl");
        let output = openssl
            .args(arguments.split(' '))
            .current_dir(folder)
            .output();
        let output = output.unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments}: {said}");
    }

    fn sign(&self, name: &str, by: &str, extensions: &str) {
        let extensions =
            format!("authorityKeyIdentifier=keyid\nsubjectKeyIdentifier=hash\n{extensions}\n");
        std::fs::write(self.0.path().join("ext"), extensions).unwrap();
        self.openssl(&format!(
            "x509 -req -in {name}.csr -CA {by}.pem -CAkey {by}.key -CAcreateserial -copy_extensions copy -extfile ext -days 90 -sha256 -out {name}.pem"
        ));
    }

    /// Signs what a mesh asks for; the id of the request, and everything up to the root.
    fn signs(&self, request: &Value) -> (String, String) {
        std::fs::write(
            self.0.path().join("issuing.csr"),
            request["csr"].as_str().unwrap(),
        )
        .unwrap();
        self.sign("issuing", "middle", "");
        let read = |name: &str| std::fs::read_to_string(self.0.path().join(name)).unwrap();
        let chain = ["issuing.pem", "middle.pem", "root.pem"].map(read).concat();
        (request["meta"]["uid"].as_str().unwrap().to_owned(), chain)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spiffe_s16_s51_a_mesh_goes_under_the_root_of_a_customer_and_no_handshake_fails() {
    const REQUESTS: &str = "/meshes/shop/authority-requests";
    let mut field = Field::start(1, 2).await;
    let before = Field::roots(&field.callers[0].envoy).await;
    let traffic = field.traffic(2, Duration::from_millis(5));
    let customer = Customer::new();
    let api = field.api.with_token(&field.api.token);
    let ask = async || api.post(REQUESTS, json!({})).await.expect(201).json;
    let (first, chain) = customer.signs(&ask().await);
    let spare = ask().await;
    let listed = field.api.get(REQUESTS).await.expect(200).json;
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);

    // What does not fit is refused, and nothing is begun.
    let body = |what: &str, request: &str, certificates: &str| json!({"what": what, "request": request, "certificates": certificates, "replace_over": "2s"});
    let spare = spare["meta"]["uid"].as_str().unwrap();
    for (body, pointer) in [
        (body("root", &first, "junk"), "/certificates"),
        (body("root", spare, &chain), "/certificates"),
        (
            body("root", "ca_01jdbg8ehwfdftt7h57xet4v7y", &chain),
            "/request",
        ),
        (body("intermediate", &first, &chain), "/what"),
    ] {
        let refused = field
            .api
            .post("/meshes/shop/rotations", body)
            .await
            .expect(422)
            .json;
        assert_eq!(refused["errors"][0]["pointer"], pointer, "{refused:#}");
    }
    let rotations = field
        .api
        .get("/meshes/shop/rotations")
        .await
        .expect(200)
        .json;
    assert_eq!(rotations["items"], json!([]));

    let path = field.begin(body("root", &first, &chain)).await;
    let seen = field.follow(&path, false).await;
    assert_eq!(seen.last().unwrap().0, "removed");
    until(
        "the root is trusted alone",
        Duration::from_secs(20),
        async || {
            let bundle = field.bundle().await;
            bundle["keys"].as_array().unwrap().len() == 1 && bundle["keys"][0]["kty"] == "RSA"
        },
    )
    .await;
    // Roots of others name no SPIFFE id, so none of those is left that do.
    for envoy in field.callers.iter().map(|caller| &caller.envoy) {
        until(
            "the old root is gone",
            Duration::from_secs(20),
            async || Field::roots(envoy).await.is_empty(),
        )
        .await;
    }
    assert_eq!(before.len(), 1);
    let gone = field.api.get(&format!("{REQUESTS}/{first}")).await;
    let _ = gone.expect(404);
    // Nobody but the customer can see to their end.
    let listed = field.api.get("/meshes/shop/authorities?limit=2").await;
    let listed = listed.expect(200).json;
    let theirs = listed["items"].as_array().unwrap();
    for one in theirs {
        assert_eq!(one["state"], "active", "{listed:#}");
        assert!(one["act_by"].as_str() > one["not_before"].as_str());
        assert_eq!(one["attention"], false);
    }
    let kinds: Vec<_> = theirs
        .iter()
        .map(|one| (&one["authority"], &one["key_of"]))
        .collect();
    assert_eq!(
        json!(kinds),
        json!([["issuing", "heddle"], ["root", "owner"]])
    );
    assert_eq!(theirs[0]["root"], theirs[1]["meta"]["uid"]);
    let one = theirs[1]["meta"]["uid"].as_str().unwrap();
    let one = field
        .api
        .get(&format!("/meshes/shop/authorities/{one}"))
        .await;
    assert_eq!(one.expect(200).json, theirs[1]);
    let cursor = listed["next_cursor"].as_str().unwrap();
    let rest = format!("/meshes/shop/authorities?cursor={cursor}");
    let rest = field.api.get(&rest).await.expect(200).json;
    let rest = rest["items"].as_array().unwrap();
    assert!(rest.len() >= 2, "{rest:#?}");
    for one in rest {
        assert_eq!(
            (&one["state"], &one["act_by"]),
            (&json!("removed"), &Value::Null)
        );
    }

    // Heddle cannot sign the next one; the customer can.
    let alone = json!({"what": "intermediate"});
    let refused = field
        .api
        .post("/meshes/shop/rotations", alone)
        .await
        .expect(409);
    assert_eq!(refused.json["code"], "HED-2043");
    let (second, chain) = customer.signs(&ask().await);
    let again = field
        .api
        .post("/meshes/shop/rotations", body("root", &second, &chain))
        .await;
    assert_eq!(again.expect(422).json["errors"][0]["pointer"], "/what");
    let path = field.begin(body("intermediate", &second, &chain)).await;
    let seen = field.follow(&path, false).await;
    assert_eq!(seen.last().unwrap().0, "removed");
    // And back.
    let path = field
        .begin(json!({"what": "root", "replace_over": "2s"}))
        .await;
    let seen = field.follow(&path, false).await;
    assert_eq!(seen.last().unwrap().0, "removed");
    field.trusts_anew(&before).await;
    // The root that went may come again.
    let (third, chain) = customer.signs(&ask().await);
    let path = field.begin(body("root", &third, &chain)).await;
    let seen = field.follow(&path, false).await;
    assert_eq!(seen.last().unwrap().0, "removed");

    let outcomes = stop(traffic).await;
    none_failed(&outcomes);
    assert!(outcomes.len() > 100, "{}", outcomes.len());
    assert_eq!(field.callers[0].errors().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_guide_does_what_it_shows() {
    let stack = Stack::start(ServerOptions::default()).await;
    let open = json!({"access_default": "allow"});
    // Before its first proxy.
    let api = stack.mesh("acme", "prod", open, &["payments"]).await;
    let page = repository().join("docs/guides/bring-your-own-root.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (folder, url) = (stack.directory.path(), stack.server.url());
    docs::execute(&page, |script| {
        let script = format!("export HEDDLE_SERVER={url}\n{script}");
        shell(&script, folder, &url, &api.token)
    })
    .await;
}

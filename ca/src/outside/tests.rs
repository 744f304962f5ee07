//! A customer with OpenSSL and a root of their own.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use super::*;
use crate::testing::{MemoryJournal, MemoryKey, mesh, subject};
use crate::{Issuer, LocalSigner, Profile, Signer as _, SystemRandom, TrustBundle};

/// A folder in which somebody keeps their authority.
struct Customer(tempfile::TempDir);

impl Customer {
    fn new() -> Self {
        let own = Self(tempfile::tempdir().expect("folder"));
        own.key("root", "RSA", "rsa_keygen_bits:2048");
        own.root(
            "root",
            "basicConstraints=critical,CA:true",
            "keyUsage=critical,keyCertSign,cRLSign",
        );
        own.key("middle", "EC", "ec_paramgen_curve:P-384");
        own.openssl("req -new -key middle.key -subj /CN=Middle -out middle.csr");
        own.sign(
            "middle",
            "root",
            "basicConstraints=critical,CA:true,pathlen:1\nkeyUsage=critical,keyCertSign",
        );
        own
    }

    fn path(&self, file: &str) -> std::path::PathBuf {
        self.0.path().join(file)
    }

    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.path(file)).expect("file")
    }

    fn run(&self, arguments: &str) -> Output {
        let folder: &Path = self.0.path();
        let words = arguments.split(' ');
        let mut openssl = Command::new("openssl");
        openssl
            .args(words)
            .current_dir(folder)
            .output()
            .expect("openssl")
    }

    fn openssl(&self, arguments: &str) -> String {
        let output = self.run(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments}: {said}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn key(&self, name: &str, algorithm: &str, option: &str) {
        self.openssl(&format!(
            "genpkey -algorithm {algorithm} -pkeyopt {option} -out {name}.key"
        ));
    }

    fn root(&self, name: &str, constraints: &str, usage: &str) {
        self.openssl(&format!(
            "req -x509 -new -key {name}.key -sha384 -days 400 -subj /O=Customer/CN=Root -addext {constraints} -addext {usage} -out {name}.pem"
        ));
    }

    /// Signs a request, with what it asks for and these extensions.
    fn sign(&self, name: &str, by: &str, extensions: &str) {
        self.sign_for(name, by, extensions, "-days 90 -sha256");
    }

    fn sign_for(&self, name: &str, by: &str, extensions: &str, with: &str) {
        let extensions =
            format!("authorityKeyIdentifier=keyid\nsubjectKeyIdentifier=hash\n{extensions}\n");
        std::fs::write(self.path("ext"), extensions).expect("file");
        self.openssl(&format!(
            "x509 -req -in {name}.csr -CA {by}.pem -CAkey {by}.key -CAcreateserial -copy_extensions copy -extfile ext {with} -out {name}.pem"
        ));
    }

    fn request(&self, n: u128) -> AuthorityRequest {
        let request =
            AuthorityRequest::new(&mesh(n), &MemoryKey::new(1), start_now(), &SystemRandom);
        let request = request.expect("request");
        std::fs::write(self.path("issuing.csr"), &request.request_pem).expect("file");
        request
    }

    fn chain(&self, names: &[&str]) -> String {
        names
            .iter()
            .map(|name| self.read(&format!("{name}.pem")))
            .collect()
    }
}

/// OpenSSL goes by the clock of the machine.
#[expect(
    clippy::disallowed_methods,
    reason = "OpenSSL cannot be told another time"
)]
fn start_now() -> DateTime<Utc> {
    Utc::now()
}

fn adopt(request: &AuthorityRequest, n: u128, chain: &str) -> Result<Hierarchy, Error> {
    request.adopt(&mesh(n), chain, &[], start_now(), &SystemRandom)
}

#[tokio::test]
async fn spiffe_s16_s17_leaves_verify_under_the_root_of_a_customer() {
    let customer = Customer::new();
    let request = customer.request(1);
    let asked = customer.openssl("req -in issuing.csr -noout -text -verify");
    for extension in [
        "CA:TRUE, pathlen:0",
        "URI:spiffe://shop-00000001.heddle.internal",
        "Certificate Sign",
    ] {
        assert!(asked.contains(extension), "{asked}");
    }
    for (by, chain) in [
        ("root", vec!["issuing", "root"]),
        ("middle", vec!["issuing", "middle", "root"]),
    ] {
        customer.sign("issuing", by, "");
        let made = adopt(&request, 1, &customer.chain(&chain)).expect(by);
        assert!(made.root.is_of_others() && !made.issuing.is_of_others());
        assert_eq!(
            made.mesh_identity().expect("identity").trust_domain,
            mesh(1).trust_domain
        );
        assert_eq!(made.bundle().expect("bundle"), made.root.certificate_pem);
        assert_eq!(
            made.due(),
            made.issuing.not_after,
            "nobody here can make its successor"
        );
        assert!(matches!(
            made.next_issuing(&MemoryKey::new(1), start_now(), &SystemRandom),
            Err(Error::RootOfOthers)
        ));
        let roots = [made.root.certificate_pem.as_str()];
        let bundle =
            serde_json::to_value(TrustBundle::of(roots, 1).expect("bundle")).expect("json");
        assert_eq!(bundle["keys"][0]["kty"], "RSA");

        let signer = LocalSigner::new(
            Arc::new(MemoryJournal::default()),
            Arc::new(MemoryKey::new(1)),
            Arc::new(start_now),
            Arc::new(SystemRandom),
            Profile::default(),
        );
        let leaf = signer
            .leaf(&subject(1, "payments", 7), &made)
            .await
            .expect("leaf");
        std::fs::write(customer.path("leaf.pem"), &leaf.chain_pem).expect("file");
        let verified =
            customer.openssl("verify -x509_strict -CAfile root.pem -untrusted leaf.pem leaf.pem");
        assert!(verified.contains("OK"), "{verified}");
        let certificates = leaf.chain_pem.matches("BEGIN CERTIFICATE").count();
        assert_eq!(certificates, chain.len(), "all but the root");
    }
}

#[test]
fn spiffe_s16_a_second_authority_under_a_root_that_is_known_is_under_the_same_row() {
    let customer = Customer::new();
    let first = customer.request(1);
    customer.sign("issuing", "root", "");
    let first = adopt(&first, 1, &customer.chain(&["issuing", "root"])).expect("first");
    let second = customer.request(1);
    customer.sign("issuing", "middle", "");
    let chain = customer.chain(&["issuing", "middle", "root"]);
    let known = [first.root.clone(), first.issuing];
    let second = second.adopt(&mesh(1), &chain, &known, start_now(), &SystemRandom);
    assert_eq!(second.expect("second").root, first.root);
}

#[test]
fn what_is_wrong_with_a_chain_is_said() {
    let customer = Customer::new();
    let request = customer.request(1);
    let said = |chain: &str| match adopt(&request, 1, chain) {
        Err(Error::Check(fault)) => fault.to_string(),
        Err(other) => other.to_string(),
        Ok(_) => panic!("it is taken: {chain}"),
    };
    let chain = |names: &[&str]| customer.chain(names);
    customer.sign("issuing", "middle", "");
    assert!(said("").contains("no certificate"));
    assert!(
        said("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n").contains("not PEM")
    );
    assert!(said(&chain(&["issuing"])).contains("one certificate only"));
    assert!(said(&chain(&["issuing", "middle"])).contains("no root"));
    assert!(said(&chain(&["issuing", "root"])).contains("each must be followed"));
    assert!(said(&chain(&["root", "middle", "root"])).contains("followed"));
    assert!(said(&chain(&["middle", "root"])).contains("S17"));
    assert!(
        said(&chain(&[
            "issuing", "middle", "middle", "middle", "middle", "root"
        ]))
        .contains("more than five")
    );

    // For another request, and for another mesh.
    let other = customer.request(1);
    let good = chain(&["issuing", "middle", "root"]);
    assert!(adopt(&other, 1, &good).is_err());
    assert!(adopt(&request, 1, &good).is_ok());
    assert!(matches!(
        adopt(&request, 2, &good),
        Err(Error::ForeignTrustDomain { .. })
    ));
    let later = start_now() + chrono::TimeDelta::days(91);
    let late = request.adopt(&mesh(1), &good, &[], later, &SystemRandom);
    assert!(matches!(late, Err(Error::IssuerExpired { .. })));

    // What a customer's authority may make of a request.
    std::fs::write(customer.path("issuing.csr"), &request.request_pem).expect("file");
    for (extensions, with, rule) in [
        (
            "basicConstraints=critical,CA:true",
            "-days 90 -sha256",
            "S17",
        ),
        (
            "basicConstraints=critical,CA:false",
            "-days 90 -sha256",
            "S13",
        ),
        (
            "keyUsage=critical,digitalSignature",
            "-days 90 -sha256",
            "S13",
        ),
        ("extendedKeyUsage=serverAuth", "-days 90 -sha256", "S14"),
        ("subjectAltName=DNS:shop.example", "-days 90 -sha256", "S10"),
        (
            "subjectAltName=URI:spiffe://shop-00000001.heddle.internal/a",
            "-days 90 -sha256",
            "S12",
        ),
        (
            "nameConstraints=critical,permitted;DNS:shop.example",
            "-days 90 -sha256",
            "S17",
        ),
        ("1.2.3.4=critical,DER:0500", "-days 90 -sha256", "x509"),
        ("", "-days 90 -sha1", "S18"),
        (
            "extendedKeyUsage=anyExtendedKeyUsage",
            "-days 90 -sha256",
            "S14",
        ),
        ("", "-days 3 -sha256", "x509: it, or what signed it, ends"),
        // Leaves name their issuer by what was read of its subject.
        (
            "",
            "-days 90 -sha256 -subj /DC=com/DC=example/CN=Issuing",
            "x509: its subject cannot be named",
        ),
    ] {
        // What is in the file goes before what the request asks for.
        customer.sign_for("issuing", "root", extensions, with);
        let fault = said(&chain(&["issuing", "root"]));
        assert!(fault.starts_with(rule), "{extensions} {with}: {fault}");
    }
    // A root that somebody changed is not the one that signed.
    customer.sign("issuing", "root", "");
    customer.key("root2", "RSA", "rsa_keygen_bits:2048");
    customer.root(
        "root2",
        "basicConstraints=critical,CA:true",
        "keyUsage=critical,keyCertSign",
    );
    assert!(said(&chain(&["issuing", "root2"])).starts_with('S'));
    customer.key("small", "RSA", "rsa_keygen_bits:1024");
    customer.root(
        "small",
        "basicConstraints=critical,CA:true",
        "keyUsage=critical,keyCertSign",
    );
    customer.sign("issuing", "small", "");
    assert!(said(&chain(&["issuing", "small"])).starts_with("S18"));
}

#[test]
fn spiffe_s16_rows_of_a_customers_root_open_as_what_they_are() {
    let customer = Customer::new();
    let request = customer.request(1);
    customer.sign("issuing", "middle", "");
    let made = adopt(&request, 1, &customer.chain(&["issuing", "middle", "root"])).expect("adopt");
    let open = |issuing: &AuthorityRow, root: &str| Issuer::open(issuing, root, &MemoryKey::new(1));
    assert!(open(&made.issuing, &made.root.certificate_pem).is_ok());
    // Without what is between, under another root, with another key.
    let mut torn = made.issuing.clone();
    torn.certificate_pem = write_pem(&read_chain(&made.issuing.certificate_pem).expect("chain")[0]);
    assert!(open(&torn, &made.root.certificate_pem).is_err());
    customer.key("root", "RSA", "rsa_keygen_bits:2048");
    customer.root(
        "root",
        "basicConstraints=critical,CA:true",
        "keyUsage=critical,keyCertSign",
    );
    assert!(open(&made.issuing, &customer.read("root.pem")).is_err());
    let mut moved = made.issuing.clone();
    moved.sealed_key = customer.request(1).sealed_key;
    assert!(open(&moved, &made.root.certificate_pem).is_err());
    assert!(!format!("{request:?}").contains("BEGIN"));
}

//! Certificates for programs that are no proxies: the key is made here, and only a request that it has signed is sent.

use heddle_agent::{Answer, NewKey};
use reqwest::Method;
use serde_json::{Value, json};

use crate::args::certificates::{CertificatesCommand, IssueCertificate};
use crate::client::Request;
use crate::command::get::noted;
use crate::failure::Failure;
use crate::kinds::segment;
use crate::output::{self, Format, cell, data, say};
use crate::place::Here;

pub(crate) async fn run(here: &Here, command: CertificatesCommand) -> Result<(), Failure> {
    match command {
        CertificatesCommand::Issue(args) => issue(here, &args).await,
    }
}

async fn issue(here: &Here, args: &IssueCertificate) -> Result<(), Failure> {
    let client = here.client().await?;
    let (mesh, service) = (segment(here.mesh()?), segment(&args.service));
    let path = client.org(&format!("/meshes/{mesh}/services/{service}/certificates"));
    let failed = |error: heddle_agent::Error| Failure::error(error.to_string());
    let key = NewKey::generate().map_err(failed)?;
    let body = json!({"request": key.request_pem().map_err(failed)?});
    let request = noted(Request::new(Method::POST, path).body(body), &args.note);
    let issued = client.send(request).await?.json()?;
    if args.note.dry_run {
        show(&issued, args)?;
        say("Nothing was issued.");
        return Ok(());
    }
    let text = |field: &str| issued[field].as_str().unwrap_or_default();
    let answer = Answer {
        trust_domain: text("trust_domain"),
        chain_pem: text("chain_pem"),
        bundle_pem: text("bundle_pem"),
    };
    key.keep(&answer, args.out.clone()).map_err(failed)?;
    show(&issued, args)?;
    say(&format!("It is in {}.", args.out.display()));
    Ok(())
}

fn show(issued: &Value, args: &IssueCertificate) -> Result<(), Failure> {
    match args.shown.output {
        Format::Json => data(&output::json(issued)?),
        Format::Yaml => data(&output::yaml(issued)?),
        Format::Name => data(&format!("certificate/{}\n", cell(&issued["serial"]))),
        Format::Table | Format::Wide => {
            let fields = ["spiffe_id", "serial", "not_after", "renew_at"];
            let row = fields.map(|field| cell(&issued[field])).to_vec();
            data(&output::table(
                &["SPIFFE ID", "SERIAL", "ENDS", "RENEW AT"],
                &[row],
            ))
        }
    }
}

//! Identities that are not trusted any more.

use reqwest::Method;
use serde_json::json;

use crate::args::revoke::{Revoke, RevokeCommand};
use crate::client::Request;
use crate::command::get;
use crate::failure::Failure;
use crate::kinds::{Noun, noun};
use crate::output::{plain, say};
use crate::place::Here;

pub(crate) async fn run(here: &Here, command: RevokeCommand) -> Result<(), Failure> {
    let noun = noun("revocation")?;
    match command {
        RevokeCommand::Proxy(args) => revoke(here, noun, "proxy", &args).await,
        RevokeCommand::Service(args) => revoke(here, noun, "service", &args).await,
        RevokeCommand::List(shown) => {
            let path = noun.collection(Some(here.mesh()?), None)?;
            let client = here.client().await?;
            let request = Request::new(Method::GET, client.org(&path));
            let items = client.list(request, usize::MAX).await?;
            get::list(noun, &items, shown.output)
        }
        RevokeCommand::Lift { id } => {
            let path = noun.address(Some(here.mesh()?), &id)?;
            let client = here.client().await?;
            client
                .send(Request::new(Method::DELETE, client.org(&path)))
                .await?;
            say(&format!("revocation {} is lifted.", plain(&id)));
            Ok(())
        }
    }
}

async fn revoke(here: &Here, noun: &Noun, what: &str, args: &Revoke) -> Result<(), Failure> {
    let path = noun.collection(Some(here.mesh()?), None)?;
    let client = here.client().await?;
    let body = json!({what: args.name, "reason": args.reason});
    let request = Request::new(Method::POST, client.org(&path)).body(body);
    let made = client.send(request).await?.json()?;
    let id = made["meta"]["uid"].as_str();
    let id = id.ok_or_else(|| Failure::error("the server's answer lacks the id"))?;
    say(&format!(
        "{what} {} is revoked; `heddle revoke lift {}` takes it back.",
        plain(&args.name),
        plain(id)
    ));
    Ok(())
}

//! Where the organisation is told what happens in it.

use reqwest::Method;
use serde_json::{Value, json};

use crate::args::Shown;
use crate::args::webhooks::{
    CreateWebhook, Deliveries, Resend, Rotate, State, Topic, WebhookCommand,
};
use crate::client::Request;
use crate::command::get;
use crate::failure::Failure;
use crate::kinds::{noun, segment};
use crate::output::{self, Format, cell, data, plain, say};
use crate::place::Here;

/// Where they are, below the organisation.
const WEBHOOKS: &str = "/webhooks";
/// What a delivery is called, and what its name begins with where one is printed.
const DELIVERY: &str = "webhook_delivery";

pub(crate) async fn run(here: &Here, command: WebhookCommand) -> Result<(), Failure> {
    match command {
        WebhookCommand::List(shown) => {
            let client = here.client().await?;
            let request = Request::new(Method::GET, client.org(WEBHOOKS));
            let items = client.list(request, usize::MAX).await?;
            get::list(noun("webhook")?, &items, shown.output)
        }
        WebhookCommand::Create(args) => create(here, &args).await,
        WebhookCommand::Ping(args) => {
            let path = format!("{}/pings", address(&args.name));
            send(here, &path, &args.shown).await
        }
        WebhookCommand::Deliveries(args) => deliveries(here, &args).await,
        WebhookCommand::Resend(args) => resend(here, &args).await,
        WebhookCommand::Rotate(args) => rotate(here, &args).await,
        WebhookCommand::Enable(args) => switch(here, &args.name, true).await,
        WebhookCommand::Disable(args) => switch(here, &args.name, false).await,
        WebhookCommand::Delete(args) => {
            let client = here.client().await?;
            let request = Request::new(Method::DELETE, client.org(&address(&args.name)));
            client.send(request).await?;
            say(&format!("{} is gone", plain(&args.name)));
            Ok(())
        }
    }
}

fn address(name: &str) -> String {
    format!("{WEBHOOKS}/{}", segment(name))
}

async fn create(here: &Here, args: &CreateWebhook) -> Result<(), Failure> {
    let topic = |topic: &Topic| match topic {
        Topic::Revision => "revision",
        Topic::Audit => "audit",
    };
    let topics: Vec<_> = args.topics.iter().map(topic).collect();
    let body = json!({"name": args.name, "url": args.url, "topics": topics});
    let client = here.client().await?;
    let request = Request::new(Method::POST, client.org(WEBHOOKS)).body(body);
    once(&client.send(request).await?.json()?, &args.shown)
}

async fn rotate(here: &Here, args: &Rotate) -> Result<(), Failure> {
    let mut body = json!({});
    if let Some(overlap) = &args.overlap {
        body["overlap"] = json!(overlap);
    }
    let client = here.client().await?;
    let path = client.org(&format!("{}/rotations", address(&args.name)));
    let request = Request::new(Method::POST, path).body(body);
    once(&client.send(request).await?.json()?, &args.shown)
}

/// Shows what is shown once.
fn once(made: &Value, shown: &Shown) -> Result<(), Failure> {
    match shown.output {
        Format::Json => return data(&output::json(made)?),
        Format::Yaml => return data(&output::yaml(made)?),
        Format::Name => {
            let noun = noun("webhook")?;
            return data(&format!("{}/{}\n", noun.name, plain(&noun.title(made))));
        }
        Format::Table | Format::Wide => {}
    }
    let row = [&made["name"], &made["secret"]].map(cell).to_vec();
    data(&output::table(&["NAME", "SECRET"], &[row]))?;
    say("Keep it now: it is not shown again.");
    Ok(())
}

async fn switch(here: &Here, name: &str, enabled: bool) -> Result<(), Failure> {
    let client = here.client().await?;
    let body = json!({"enabled": enabled});
    let request = Request::new(Method::PATCH, client.org(&address(name))).body(body);
    client.send(request).await?;
    let now = if enabled { "enabled" } else { "disabled" };
    say(&format!("{} is {now}", plain(name)));
    Ok(())
}

async fn deliveries(here: &Here, args: &Deliveries) -> Result<(), Failure> {
    let state = args.state.map(|state| match state {
        State::Pending => "pending",
        State::Delivered => "delivered",
        State::Failed => "failed",
    });
    let client = here.client().await?;
    let path = client.org(&format!("{}/deliveries", address(&args.name)));
    let request = Request::new(Method::GET, path).query_if("state", state);
    let items = client.list(request, args.limit).await?;
    get::list(noun(DELIVERY)?, &items, args.shown.output)
}

async fn resend(here: &Here, args: &Resend) -> Result<(), Failure> {
    let message = args.message.strip_prefix(DELIVERY);
    let message = message.and_then(|rest| rest.strip_prefix('/'));
    let message = message.unwrap_or(&args.message);
    let path = format!(
        "{}/deliveries/{}/sendings",
        address(&args.name),
        segment(message)
    );
    send(here, &path, &args.shown).await
}

/// Has something sent, and shows what is known of it.
async fn send(here: &Here, path: &str, shown: &Shown) -> Result<(), Failure> {
    let client = here.client().await?;
    let request = Request::new(Method::POST, client.org(path)).body(json!({}));
    let delivery = client.send(request).await?.json()?;
    match shown.output {
        Format::Json => data(&output::json(&delivery)?),
        Format::Yaml => data(&output::yaml(&delivery)?),
        _ => get::list(noun(DELIVERY)?, &[delivery], shown.output),
    }
}

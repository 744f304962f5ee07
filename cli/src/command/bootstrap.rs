//! The file that an Envoy starts with.

use std::path::Path;

use chrono::{DateTime, Utc};
use heddle_model::clock::{Clock as _, SystemClock};
use reqwest::Method;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use super::overlay;
use crate::args::proxy::{Bootstrap, Instance};
use crate::client::{Client, Request};
use crate::config::private;
use crate::failure::{Exit, Failure};
use crate::host::files;
use crate::kinds::segment;
use crate::output::{self, Format, data, plain, say};
use crate::place::Here;

/// Prints it, as YAML unless JSON is asked for.
pub(crate) async fn bootstrap(here: &Here, args: &Bootstrap) -> Result<(), Failure> {
    let mesh = here.mesh()?;
    if let Some(file) = &args.overlay.beside {
        overlay::check(file)?;
    }
    if let Some(path) = &args.inline_token {
        let token = token_in(path)?;
        let client = here.as_holder(token)?;
        say("The join token is in what is printed: whoever reads it can join.");
        let found = fetch(&client, mesh, args, None).await?;
        return print(&found, args.output);
    }
    let client = here.client().await?;
    let file = match (&args.join_token_file, &args.new_token) {
        (Some(file), _) => Some(file.clone()),
        (None, Some(file)) => Some(absolute(file)?),
        (None, None) => None,
    };
    // First what can go wrong without a trace.
    let found = fetch(&client, mesh, args, file.as_deref()).await?;
    if let Some(path) = &args.new_token {
        let made = make_token(&client, mesh, &args.service, &args.proxy, false).await?;
        files::write_token(path, &made.secret)?;
        say(&format!(
            "The join token {} is in {}, for its owner only; it is for one proxy, and for an hour.",
            plain(&made.name),
            path.display()
        ));
    }
    print(&found, args.output)
}

fn print(found: &Value, format: Format) -> Result<(), Failure> {
    match format {
        Format::Json => data(&output::json(found)?),
        _ => data(&output::yaml(found)?),
    }
}

async fn fetch(
    client: &Client,
    mesh: &str,
    args: &Bootstrap,
    token_file: Option<&Path>,
) -> Result<Value, Failure> {
    let mut request = request(
        client,
        mesh,
        &args.service,
        &args.proxy,
        &args.instance,
        token_file,
    );
    if args.overlay.overlay {
        request = request.query("mode", "augment");
    }
    if args.overlay.keep_node {
        request = request.query("keep_node", "true");
    }
    answered(client, request).await
}

/// Asks the server for a bootstrap. Without a file of the join token, a client that holds one gets it inlined.
pub(crate) async fn render(
    client: &Client,
    mesh: &str,
    service: &str,
    proxy: &str,
    instance: &Instance,
    token_file: Option<&Path>,
) -> Result<Value, Failure> {
    let request = request(client, mesh, service, proxy, instance, token_file);
    answered(client, request).await
}

fn request(
    client: &Client,
    mesh: &str,
    service: &str,
    proxy: &str,
    instance: &Instance,
    token_file: Option<&Path>,
) -> Request {
    let path = client.org(&format!("/meshes/{}/bootstrap", segment(mesh)));
    let text = |number: Option<u16>| number.map(|number| number.to_string());
    let file = token_file.map(|file| file.display().to_string());
    Request::new(Method::GET, path)
        .query("service", service)
        .query("proxy", proxy)
        .query_if("version", instance.version.as_deref())
        .query_if("bind_address", instance.bind_address.as_deref())
        .query_if("advertise_address", instance.advertise_address.as_deref())
        .query_if("app_address", instance.app_address.as_deref())
        .query_if("inbound_port", text(instance.inbound_port).as_deref())
        .query_if("outbound_port", text(instance.outbound_port).as_deref())
        .query_if("admin_port", text(instance.admin_port).as_deref())
        .query_if("token_file", file.as_deref())
}

async fn answered(client: &Client, request: Request) -> Result<Value, Failure> {
    let found = client.send(request).await?.json()?;
    if found["node"].is_null() {
        return Err(Failure::new(Exit::Error, "the server sent no bootstrap")
            .hint("is this address the API of Heddle?"));
    }
    Ok(found)
}

/// A join token that was just made.
pub(crate) struct Made {
    pub(crate) name: String,
    pub(crate) secret: SecretString,
}

/// Makes a join token under a name that nobody has yet.
pub(crate) async fn make_token(
    client: &Client,
    mesh: &str,
    service: &str,
    proxy: &str,
    reusable: bool,
) -> Result<Made, Failure> {
    let path = client.org(&format!("/meshes/{}/join-tokens", segment(mesh)));
    let name = token_name(proxy, SystemClock.now());
    let body = json!({"name": name, "service": service, "reusable": reusable});
    let request = Request::new(Method::POST, path).body(body);
    let mut answer = client.send(request).await?.json()?;
    match answer["secret"].take() {
        Value::String(secret) => Ok(Made {
            name,
            secret: SecretString::from(secret),
        }),
        _ => Err(Failure::error(
            "the server's answer has no join token in it",
        )),
    }
}

/// The proxy's name as a token's, and the time, so that it is new.
fn token_name(proxy: &str, now: DateTime<Utc>) -> String {
    let kept = proxy.to_lowercase();
    let kept = kept.chars().map(|c| match c {
        'a'..='z' | '0'..='9' => c,
        _ => '-',
    });
    let kept: String = kept
        .skip_while(|c| !c.is_ascii_lowercase())
        .take(40)
        .collect();
    let base = if kept.is_empty() { "proxy" } else { &kept };
    format!("{base}-{:x}", now.timestamp_micros())
}

/// A join token that somebody put into a file.
pub(crate) fn token_in(path: &Path) -> Result<SecretString, Failure> {
    let missing = || {
        Failure::new(
            Exit::NotFound,
            format!("there is no file {}", path.display()),
        )
        .hint("it holds a join token; `heddle bootstrap --new-token FILE` makes one")
    };
    let text = private(path)?.ok_or_else(missing)?;
    let token = SecretString::from(text.trim());
    match token.expose_secret().starts_with("heddle_join_") {
        true => Ok(token),
        false => Err(
            Failure::usage(format!("{} holds no join token", path.display()))
                .hint("they begin with heddle_join_"),
        ),
    }
}

/// Envoy may be started from elsewhere.
pub(crate) fn absolute(path: &Path) -> Result<std::path::PathBuf, Failure> {
    std::path::absolute(path)
        .map_err(|error| Failure::io(&format!("find {}", path.display()), &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_tokens_are_names() {
        let now = DateTime::from_timestamp_micros(0xabc).unwrap();
        for (proxy, name) in [
            ("payments-1", "payments-1-abc"),
            ("Host.7_a", "host-7-a-abc"),
            ("7", "proxy-abc"),
            (&"x".repeat(128), &format!("{}-abc", "x".repeat(40))),
        ] {
            assert_eq!(token_name(proxy, now), *name);
            assert!(
                token_name(proxy, now)
                    .parse::<heddle_model::name::Name>()
                    .is_ok()
            );
        }
    }
}

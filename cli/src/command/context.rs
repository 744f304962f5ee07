//! Contexts: made, listed, chosen and forgotten. Nothing here speaks to a server.

use serde_json::json;

use crate::args::{ContextCommand, Place, Shown};
use crate::config::{Context, Home};
use crate::failure::{Exit, Failure};
use crate::output::{self, Format, data, plain, say};

pub(crate) fn run(place: &Place, command: ContextCommand) -> Result<(), Failure> {
    let home = Home::find()?;
    match command {
        ContextCommand::List(shown) => list(&home, shown),
        ContextCommand::Set { name } => set(&home, place, &name),
        ContextCommand::Use { name } => choose(&home, &name),
        ContextCommand::Delete { name } => delete(&home, &name),
    }
}

fn list(home: &Home, shown: Shown) -> Result<(), Failure> {
    let all = home.contexts()?;
    match shown.output {
        Format::Json => return data(&output::json(&json!(all))?),
        Format::Yaml => return data(&output::yaml(&json!(all))?),
        Format::Name => {
            return data(
                &all.contexts
                    .keys()
                    .map(|n| format!("{}\n", plain(n)))
                    .collect::<String>(),
            );
        }
        Format::Table | Format::Wide => {}
    }
    if all.contexts.is_empty() {
        say("There are no contexts; `heddle login --server URL` makes one.");
        return Ok(());
    }
    let text = |text: Option<&str>| plain(text.unwrap_or("-"));
    let row = |(name, context): (&String, &Context)| {
        let current = all.current.as_ref() == Some(name);
        vec![
            String::from(if current { "*" } else { "" }),
            plain(name),
            plain(&context.server),
            text(context.org.as_deref()),
            text(context.mesh.as_deref()),
        ]
    };
    let rows: Vec<_> = all.contexts.iter().map(row).collect();
    data(&output::table(
        &["", "NAME", "SERVER", "ORGANISATION", "MESH"],
        &rows,
    ))
}

/// Makes a context, or changes what flags and environment name.
pub(crate) fn set(home: &Home, place: &Place, name: &str) -> Result<(), Failure> {
    let _lock = home.lock()?;
    let mut all = home.contexts()?;
    let mut context = all.contexts.remove(name).unwrap_or_default();
    if let Some(server) = &place.server {
        server.trim_end_matches('/').clone_into(&mut context.server);
    }
    if context.server.is_empty() {
        return Err(Failure::usage("which server?").hint("name it with --server"));
    }
    let take = |new: &Option<String>, old: Option<String>| new.clone().or(old);
    context.org = take(&place.org, context.org);
    context.mesh = take(&place.mesh, context.mesh);
    if let Some(path) = &place.token_file {
        let path =
            std::path::absolute(path).map_err(|e| Failure::io("find the token's file", &e))?;
        context.token_file = Some(path);
    }
    all.contexts.insert(name.to_owned(), context);
    all.current = Some(name.to_owned());
    home.write_contexts(&all)?;
    say(&format!("Context {} is in use.", plain(name)));
    Ok(())
}

fn missing(name: &str) -> Failure {
    Failure::new(Exit::NotFound, format!("there is no context `{name}`"))
        .hint("`heddle context list` shows what there is")
}

fn choose(home: &Home, name: &str) -> Result<(), Failure> {
    let _lock = home.lock()?;
    let mut all = home.contexts()?;
    if !all.contexts.contains_key(name) {
        return Err(missing(name));
    }
    all.current = Some(name.to_owned());
    home.write_contexts(&all)?;
    say(&format!("Context {} is in use.", plain(name)));
    Ok(())
}

fn delete(home: &Home, name: &str) -> Result<(), Failure> {
    let _lock = home.lock()?;
    let mut all = home.contexts()?;
    all.contexts.remove(name).ok_or_else(|| missing(name))?;
    if all.current.as_deref() == Some(name) {
        all.current = None;
    }
    home.write_contexts(&all)?;
    let mut sessions = home.sessions()?;
    if sessions.sessions.remove(name).is_some() {
        home.write_sessions(&sessions)?;
        say("Its session is forgotten here, and goes on at the server until it ends.");
    }
    say(&format!("Context {} is gone.", plain(name)));
    Ok(())
}

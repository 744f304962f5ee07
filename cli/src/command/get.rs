//! Objects of any kind: listed, shown, deleted.

use reqwest::Method;
use serde_json::{Value, json};

use crate::args::{Delete, Get, Note};
use crate::client::Request;
use crate::failure::Failure;
use crate::kinds::{Column, Noun, noun};
use crate::output::{self, Format, cell, data, plain, say};
use crate::place::Here;

/// The mesh, where the noun lies in one.
pub(crate) fn mesh_of<'a>(here: &'a Here, noun: &Noun) -> Result<Option<&'a str>, Failure> {
    if noun.in_mesh() {
        here.mesh().map(Some)
    } else {
        Ok(None)
    }
}

pub(crate) async fn get(here: &Here, args: &Get) -> Result<(), Failure> {
    let noun = noun(&args.kind)?;
    let mesh = mesh_of(here, noun)?;
    let format = args.shown.output;
    if let Some(name) = &args.name {
        let path = noun.address(mesh, name)?;
        let client = here.client().await?;
        let item = client.get(client.org(&path)).await?;
        return match format {
            Format::Json => data(&output::json(&item)?),
            Format::Yaml => data(&output::yaml(&item)?),
            _ => show(noun, &[item], format),
        };
    }
    let path = noun.collection(mesh, args.service.as_deref())?;
    let client = here.client().await?;
    let request =
        Request::new(Method::GET, client.org(&path)).query_if("filter", args.filter.as_deref());
    let items = client.list(request, args.limit as usize).await?;
    list(noun, &items, format)
}

/// A list, however it is shown.
pub(crate) fn list(noun: &Noun, items: &[Value], format: Format) -> Result<(), Failure> {
    match format {
        Format::Json => data(&output::json(&json!({"items": items}))?),
        Format::Yaml => data(&output::yaml(&json!({"items": items}))?),
        _ => show(noun, items, format),
    }
}

/// As a table, or by name.
pub(super) fn show(noun: &Noun, items: &[Value], format: Format) -> Result<(), Failure> {
    if format == Format::Name {
        let line = |item: &Value| format!("{}/{}\n", noun.name, plain(&noun.title(item)));
        return data(&items.iter().map(line).collect::<String>());
    }
    if items.is_empty() {
        say(&format!("There are no {}.", noun.plural));
        return Ok(());
    }
    let wide = format == Format::Wide;
    let columns: Vec<&Column> = noun.columns.iter().filter(|c| wide || !c.2).collect();
    let headings: Vec<&str> = columns.iter().map(|c| c.0).collect();
    let row = |item: &Value| {
        let at = |column: &&Column| cell(item.pointer(column.1).unwrap_or(&Value::Null));
        columns.iter().map(at).collect::<Vec<_>>()
    };
    let rows: Vec<_> = items.iter().map(row).collect();
    data(&output::table(&headings, &rows))
}

/// A write with what is said about it.
pub(crate) fn noted(request: Request, note: &Note) -> Request {
    let request = request
        .header_if("heddle-message", note.message.as_deref())
        .header_if("heddle-change-group", note.change_group.as_deref());
    if note.dry_run {
        request.query("dry_run", "true")
    } else {
        request
    }
}

pub(crate) async fn delete(here: &Here, args: &Delete) -> Result<(), Failure> {
    let noun = noun(&args.kind)?;
    let path = noun.address(mesh_of(here, noun)?, &args.name)?;
    let client = here.client().await?;
    let request = Request::new(Method::DELETE, client.org(&path))
        .header_if("if-match", args.if_match.as_deref());
    let mut request = noted(request, &args.note);
    if args.takeover {
        request = request.query("takeover", "true");
    }
    client.send(request).await?;
    let done = if args.note.dry_run {
        "would be deleted"
    } else {
        "is deleted"
    };
    say(&format!(
        "{} {} {done}.",
        noun.name.replace('_', " "),
        plain(&args.name)
    ));
    Ok(())
}

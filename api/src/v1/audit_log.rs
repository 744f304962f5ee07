//! The audit log: read page by page, or taken away whole.

use axum::body::Body;
use axum::extract::{OriginalUri, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::stream;
use heddle_model::authz::permission::AuditRead;
use heddle_model::id::{MeshId, TokenId};
use heddle_store::audit::{self, AuditFilter, AuditRow, Head, Link};
use heddle_store::{Grant, Store, meshes};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::auth::Allow;
use crate::extract::{Page, Query};
use crate::problem::Problem;
use crate::state::App;
use crate::view;

/// The path of the log.
pub(crate) const COLLECTION: &str = "/v1/orgs/{org}/audit-log";
/// All of it.
pub(crate) const EXPORT: &str = "/v1/orgs/{org}/audit-log/export";
/// One JSON text a line.
pub(crate) const NDJSON: &str = "application/x-ndjson";

/// How many rows are read in one go for an export.
const ROWS: u32 = 500;

pub(crate) fn render(row: &AuditRow) -> Value {
    let chain = row.seq.map(|seq| {
        json!({
            "id": row.mesh_id.map(|id| MeshId::from_uuid(id).to_string()),
            "seq": seq,
            "previous_hash": row.previous_hash.as_deref().map(hex::encode),
            "hash": row.hash.as_deref().map(hex::encode),
        })
    });
    let mut body = json!({
        "id": row.id.simple().to_string(),
        "at": view::time(row.at),
        "actor": row.actor,
        "token": row.token_id.map(|id| TokenId::from_uuid(id).to_string()),
        "client": row.client,
        "ip": row.ip,
        "message": row.message,
        "change_group": row.change_group,
        "mesh": row.mesh_id.map(|id| MeshId::from_uuid(id).to_string()),
        "revision": row.revision,
        "action": row.action,
        "kind": row.kind,
        "uid": row.uid(),
        "name": row.name,
        "outcome": row.outcome.as_deref().unwrap_or("done"),
        "before": row.before,
        "after": row.after,
        "chain": chain,
    });
    if let Some(map) = body.as_object_mut() {
        map.retain(|_, value| !value.is_null());
    }
    if let Some(chain) = body["chain"].as_object_mut() {
        chain.retain(|_, value| !value.is_null());
    }
    body
}

pub(crate) fn time(query: &mut Query, name: &str) -> Result<Option<DateTime<Utc>>, Problem> {
    let Some(text) = query.take(name) else {
        return Ok(None);
    };
    let parsed = DateTime::parse_from_rfc3339(&text).ok();
    let bad = || {
        Problem::parameter(
            name,
            format!("`{name}`: a time such as 2027-01-31T12:00:00Z"),
        )
    };
    parsed.map(|time| Some(time.to_utc())).ok_or_else(bad)
}

/// The stored form of an identifier of any kind.
fn object(query: &mut Query) -> Result<Option<Uuid>, Problem> {
    let Some(text) = query.take("uid") else {
        return Ok(None);
    };
    let bad = || Problem::parameter("uid", "`uid`: not an identifier");
    heddle_model::id::any(&text).map(Some).ok_or_else(bad)
}

pub(crate) async fn list(
    Allow(grant): Allow<AuditRead>,
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    mut query: Query,
) -> Result<Response, Problem> {
    let page = Page::take(&mut query)?;
    let before = page.parse_after(|text| Uuid::try_parse(text).ok())?;
    let mesh = query.take("mesh");
    let mut filter = AuditFilter {
        mesh: None,
        actor: query.take_text("actor")?,
        action: query.take_text("action")?,
        kind: query.take_text("kind")?,
        object: object(&mut query)?,
        outcome: query.take_text("outcome")?,
        since: time(&mut query, "since")?,
        until: time(&mut query, "until")?,
    };
    query.finish()?;
    let mut tx = app.store.begin(&grant).await?;
    if let Some(mesh) = &mesh {
        // One that was deleted still has its log.
        filter.mesh = Some(match mesh.parse::<MeshId>() {
            Ok(id) => id,
            Err(_) => meshes::require(&mut tx, mesh).await?.id,
        });
    }
    let rows = audit::page(&mut tx, &filter, before, page.limit + 1).await?;
    Ok(view::list(
        rows,
        &page,
        &uri.to_string(),
        |row| row.id.simple().to_string(),
        render,
    ))
}

/// What an export has still to write.
struct Rest {
    store: Store,
    grant: Grant<AuditRead>,
    heads: std::vec::IntoIter<Head>,
    /// The chain that is being written, and how far it is.
    current: Option<(Head, u64)>,
}

impl Rest {
    /// The next lines; empty at the end.
    async fn next(&mut self) -> Result<Vec<u8>, heddle_store::Error> {
        loop {
            let Some((head, after)) = self
                .current
                .take()
                .or_else(|| Some((self.heads.next()?, 0)))
            else {
                return Ok(Vec::new());
            };
            // Short transactions, whatever time the client takes: rows never change.
            let mut tx = self.store.begin(&self.grant).await?;
            let links = audit::links(&mut tx, &head, after, ROWS).await?;
            drop(tx);
            if let Some(last) = links.last() {
                self.current = Some((head, last.seq));
                return Ok(links
                    .iter()
                    .flat_map(|link| line(link).into_bytes())
                    .collect());
            }
        }
    }
}

/// The record stands there to the byte, so that whoever reads the line can hash it.
fn line(link: &Link) -> String {
    let Link {
        previous_hash,
        hash,
        record,
        ..
    } = link;
    format!("{{\"hash\":\"{hash}\",\"previous_hash\":\"{previous_hash}\",\"record\":{record}}}\n")
}

pub(crate) async fn export(
    Allow(grant): Allow<AuditRead>,
    State(app): State<App>,
    query: Query,
) -> Result<Response, Problem> {
    query.finish()?;
    let mut tx = app.store.begin(&grant).await?;
    let heads = audit::heads(&mut tx).await?;
    drop(tx);
    let first = json!({
        "format": "heddle-audit/1",
        "org": grant.org().to_string(),
        "exported_at": view::time(app.clock.now()),
        "heads": heads,
    });
    let first = Bytes::from(format!("{first}\n"));
    let rest = Rest {
        store: app.store.clone(),
        grant,
        heads: heads.into_iter(),
        current: None,
    };
    let requests = app.requests.clone();
    let lines = stream::unfold(Some(rest), move |rest| {
        let requests = requests.clone();
        async move {
            let mut rest = rest?;
            // In a task of its own: a client that hangs up abandons no transaction.
            let read = requests.spawn(async move {
                let lines = rest.next().await;
                (lines, rest)
            });
            match read.await {
                Ok((Ok(lines), _)) if lines.is_empty() => None,
                Ok((Ok(lines), rest)) => Some((Ok(Bytes::from(lines)), Some(rest))),
                Ok((Err(error), _)) => Some((Err(std::io::Error::other(error)), None)),
                Err(error) => Some((Err(std::io::Error::other(error)), None)),
            }
        }
    });
    let lines = stream::StreamExt::chain(stream::once(async { Ok(first) }), lines);
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(NDJSON)),
        (
            header::CACHE_CONTROL,
            HeaderValue::from_static("private, no-store"),
        ),
        (
            header::CONTENT_DISPOSITION,
            HeaderValue::from_static("attachment; filename=\"audit-log.ndjson\""),
        ),
    ];
    Ok((headers, Body::from_stream(lines)).into_response())
}

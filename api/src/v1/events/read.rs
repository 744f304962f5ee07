//! What came after an event: read in short transactions, each with the permission that its topic needs.

use heddle_store::live::{self, Heads};
use heddle_store::proxies::{self, Forgotten, ProxyRow};
use heddle_store::{Error, MeshRef, Store, audit, revisions};
use serde_json::{Value, json};

use super::write::Event;
use super::{Grants, Topics};
use crate::v1::{audit_log, revisions as revision, rollout};
use crate::view;

/// How many of each topic are read in one go.
const PAGE: u32 = 100;

/// What was read.
pub(super) struct Batch {
    /// Some may belong together: they are written in one piece.
    pub(super) events: Vec<Vec<Event>>,
    /// How far that is.
    pub(super) at: Heads,
    /// There is more.
    pub(super) more: bool,
    /// How far the newest revision has come, if that is wanted.
    pub(super) rollout: Option<Value>,
}

/// What a proxy is doing, by itself: whether it has what it should have.
fn state(row: &ProxyRow) -> &'static str {
    let refused = row.nacks.as_array().is_some_and(|nacks| !nacks.is_empty());
    match row.acked_revision {
        _ if !row.connected => "offline",
        _ if refused => "nacked",
        None => "connecting",
        acked if acked >= row.target_revision && row.pending_types.is_empty() => "ready",
        Some(_) => "stale",
    }
}

fn render_proxy(row: &ProxyRow) -> Value {
    let mut body = json!({
        "name": row.node_id,
        "uid": row.id.to_string(),
        "service": row.service,
        "version": row.registration.as_ref().and_then(|at| at.version.as_ref()),
        "state": state(row),
        "acked": row.acked_revision,
        "pending_types": row.pending_types,
        "nacks": row.nacks,
        "at": row.seen_at.map(view::time),
    });
    if let Some(map) = body.as_object_mut() {
        map.retain(|_, value| !value.is_null());
    }
    body
}

fn render_forgotten(node_id: &str, uid: &str) -> Value {
    json!({"name": node_id, "uid": uid, "state": "forgotten"})
}

/// Where a topic is after a page: at its last row while there are more, at its end otherwise.
fn advance(read: usize, last: Option<u64>, end: u64, more: &mut bool) -> u64 {
    if read >= PAGE as usize {
        *more = true;
        last.unwrap_or(end)
    } else {
        last.unwrap_or(end).max(end)
    }
}

/// Reads what came after `at`.
pub(super) async fn read(
    store: &Store,
    mesh: MeshRef,
    topics: Topics,
    grants: &Grants,
    mut at: Heads,
) -> Result<Batch, Error> {
    let id = mesh.mesh();
    let mut events = Vec::new();
    let mut more = false;
    let mut tx = store.begin(&grants.config).await?;
    // First of all: whatever is up to there is found below.
    let end = live::heads(&mut tx, id).await?.ok_or(Error::NotFound)?;
    let rows = match topics.revision && end.revision > at.revision {
        true => revisions::after(&mut tx, id, at.revision, PAGE).await?,
        false => Vec::new(),
    };
    drop(tx);
    let last = rows.last().map(|row| row.revision);
    for row in &rows {
        at.revision = row.revision;
        events.push(vec![Event::new(
            "revision",
            Some(at),
            revision::render(row),
        )]);
    }
    at.revision = advance(rows.len(), last, end.revision, &mut more);

    if let (true, Some(grant)) = (topics.audit && end.audit > at.audit, &grants.audit) {
        let mut tx = store.begin(grant).await?;
        let rows = audit::after(&mut tx, id, at.audit, PAGE).await?;
        drop(tx);
        let last = rows.last().and_then(|row| row.seq).map(i64::unsigned_abs);
        for row in &rows {
            at.audit = row.seq.unwrap_or_default().unsigned_abs();
            let event = Event::new("audit", Some(at), audit_log::render(row));
            let gone = topics.proxy && row.kind == "proxy" && row.action == "forget";
            let gone = gone.then(|| {
                let what = render_forgotten(&row.name, &row.uid().unwrap_or_default());
                Event::new("proxy", None, what)
            });
            events.push(gone.into_iter().chain([event]).collect());
        }
        at.audit = advance(rows.len(), last, end.audit, &mut more);
    }

    let mut rollout = None;
    if let (true, Some(grant)) = (topics.proxy || topics.rollout, &grants.proxy) {
        let mut tx = store.begin(grant).await?;
        if topics.proxy && !topics.audit && end.audit > at.audit {
            let gone = proxies::forgotten(&mut tx, id, at.audit, PAGE).await?;
            let last = gone.last().map(|one| one.seq);
            for Forgotten {
                seq,
                proxy,
                node_id,
            } in &gone
            {
                at.audit = *seq;
                let what = render_forgotten(node_id, &proxy.to_string());
                events.push(vec![Event::new("proxy", Some(at), what)]);
            }
            at.audit = advance(gone.len(), last, end.audit, &mut more);
        }
        if topics.proxy && end.status > at.status {
            let news = proxies::news(&mut tx, id, at.status, PAGE).await?;
            let last = news.last().map(|(seq, _)| *seq);
            for (seq, row) in &news {
                at.status = *seq;
                events.push(vec![Event::new("proxy", Some(at), render_proxy(row))]);
            }
            at.status = advance(news.len(), last, end.status, &mut more);
        }
        if topics.rollout && !more {
            let counts = proxies::counts(&mut tx, id, end.revision).await?;
            rollout = Some(rollout::render_counts(end.revision, &counts));
        }
    }
    if !topics.proxy {
        at.status = at.status.max(end.status);
        if !topics.audit {
            at.audit = at.audit.max(end.audit);
        }
    }
    Ok(Batch {
        events,
        at,
        more,
        rollout,
    })
}

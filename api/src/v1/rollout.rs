//! Is my change live? How far a revision has come, from what proxies have acknowledged.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use heddle_model::authz::permission::ProxyRead;
use heddle_store::live::{self as heads, Heads};
use heddle_store::proxies::{self, Counts, ProxyRow, Rollout, Stands};
use heddle_store::{Grant, MeshRef};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

use super::revisions::place;
use crate::auth::Allow;
use crate::extract::{Query, Segments};
use crate::live::{self, Now, Recheck, Slot};
use crate::problem::Problem;
use crate::state::App;
use crate::view;

/// The path.
pub(crate) const PATH: &str = "/v1/orgs/{org}/meshes/{mesh}/revisions/{revision}/rollout";

/// How long an answer may be waited for.
pub(crate) const MOST: Duration = Duration::from_secs(60);
/// How many of those that hold a revision up are named.
const NAMED: u32 = 100;
/// A proxy that takes longer than this is called slow.
const SLOW: TimeDelta = TimeDelta::seconds(10);
/// However much happens, it is counted again after this time at the earliest.
const PAUSE: Duration = Duration::from_millis(100);

/// How it stands in one word.
fn state(counts: &Counts) -> &'static str {
    match counts {
        counts if counts.holding_up() == 0 => "live",
        counts if counts.pending > 0 => "under_way",
        counts if counts.nacked > 0 => "refused",
        _ => "waiting",
    }
}

/// Whether nothing more comes by itself: everybody has it, or somebody refuses it and nobody else is missing.
fn is_settled(counts: &Counts) -> bool {
    matches!(state(counts), "live" | "refused")
}

/// Of those that are waited for, how many in a hundred need nothing more; 100 only when that is all of them.
fn percent(counts: &Counts) -> u64 {
    let of = counts.target() - counts.gone;
    ((counts.acked + counts.skipped) * 100)
        .checked_div(of)
        .unwrap_or(100)
}

/// The numbers of a rollout: what its answer and its events have in common.
pub(crate) fn render_counts(revision: u64, counts: &Counts) -> Value {
    json!({
        "revision": revision,
        "state": state(counts),
        "done": counts.holding_up() == 0,
        "percent": percent(counts),
        "target": counts.target(),
        "acked": counts.acked,
        "skipped": counts.skipped,
        "pending": counts.pending,
        "nacked": counts.nacked,
        "offline": counts.offline,
        "gone": counts.gone,
    })
}

/// Why somebody holds it up.
fn reason(row: &ProxyRow, stands: Stands, revision: u64, now: DateTime<Utc>) -> &'static str {
    let late = row.seen_at.is_some_and(|at| now - at > SLOW);
    match stands {
        Stands::Nacked => "refused",
        Stands::Offline => "offline",
        Stands::Acked | Stands::Skipped => "none",
        Stands::Pending if late => "slow",
        Stands::Pending if row.acked_revision.is_none() => "connecting",
        Stands::Pending if row.target_revision < Some(revision) => "server",
        Stands::Pending => "under_way",
    }
}

fn render_held_up(row: &ProxyRow, stands: Stands, revision: u64, now: DateTime<Utc>) -> Value {
    let state = match stands {
        Stands::Acked => "acked",
        Stands::Skipped => "skipped",
        Stands::Pending => "pending",
        Stands::Nacked => "nacked",
        Stands::Offline => "offline",
    };
    let mut body = json!({
        "name": row.node_id,
        "service": row.service,
        "uid": row.id.to_string(),
        "state": state,
        "reason": reason(row, stands, revision, now),
        "acked": row.acked_revision,
        "pending_types": row.pending_types,
        "nacks": row.nacks,
        "last_seen_at": row.seen_at.map(view::time),
    });
    if let Some(map) = body.as_object_mut() {
        map.retain(|_, value| !value.is_null());
    }
    body
}

/// What was counted, and when.
struct Seen {
    revision: u64,
    mesh_revision: u64,
    rollout: Rollout,
    at: DateTime<Utc>,
}

impl Seen {
    fn render(&self, returned: &str) -> Value {
        let mut body = render_counts(self.revision, &self.rollout.counts);
        body["mesh_revision"] = json!(self.mesh_revision);
        let held_up = self.rollout.held_up_by.iter();
        body["held_up_by"] = held_up
            .map(|(row, stands)| render_held_up(row, *stands, self.revision, self.at))
            .collect();
        body["returned"] = json!(returned);
        body
    }
}

pub(crate) async fn get(
    Allow(grant): Allow<ProxyRead>,
    State(app): State<App>,
    Segments((org, mesh, revision)): Segments<(String, String, String)>,
    mut query: Query,
    recheck: Recheck,
) -> Result<Response, Problem> {
    let wait = live::wait(&mut query, MOST)?.unwrap_or_default();
    query.finish()?;
    let mut tx = app.store.begin(&grant).await?;
    let (mesh, revision) = place(&mut tx, &mesh, &revision).await?;
    let known = heads::heads(&mut tx, mesh.id).await?;
    let known = known.ok_or_else(Problem::not_found)?;
    let rollout = proxies::rollout(&mut tx, mesh.id, revision, NAMED).await?;
    let mesh_ref = tx.mesh_ref(&mesh);
    drop(tx);
    let seen = Seen {
        revision,
        mesh_revision: mesh.revision,
        rollout,
        at: app.clock.now(),
    };
    if wait.is_zero() || is_settled(&seen.rollout.counts) {
        let returned = match is_settled(&seen.rollout.counts) {
            true => "settled",
            false => "time",
        };
        return Ok(answer(Json(seen.render(returned)).into_response()));
    }
    let slot = app.live.slot(grant.org().uuid(), grant.holder())?;
    let (send, lines) = mpsc::channel(1);
    let waiter = Waiter {
        until: Instant::now() + wait,
        app: app.clone(),
        org,
        mesh: mesh_ref,
        known,
        grant,
        recheck,
        seen,
        slot,
    };
    app.requests.spawn(waiter.run(send));
    let mut response = live::body(lines).into_response();
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    Ok(answer(response))
}

fn answer(mut response: Response) -> Response {
    let private = HeaderValue::from_static("private, no-store");
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, private);
    response
}

/// Waits until a revision is live, or time is up.
struct Waiter {
    app: App,
    org: String,
    mesh: MeshRef,
    known: Heads,
    grant: Grant<ProxyRead>,
    recheck: Recheck,
    seen: Seen,
    until: Instant,
    slot: Slot,
}

impl Waiter {
    /// Ends with the answer, or when the client has gone.
    async fn run(mut self, send: mpsc::Sender<Bytes>) {
        if let Some(returned) = self.wait(&send).await {
            let body = self.seen.render(returned).to_string();
            // The client may have gone by now.
            let _gone = send.send(Bytes::from(body)).await;
        }
        drop(self.slot);
    }

    /// Why the answer is due; nothing when nobody wants it any more. Only waiting is ever broken off, never a look at the database.
    async fn wait(&mut self, send: &mpsc::Sender<Bytes>) -> Option<&'static str> {
        let live = self.app.live.clone();
        let mut news = live.watch(self.mesh, self.known);
        news.mark_changed();
        let mut recheck = tokio::time::interval(live::EVERY);
        recheck.reset();
        loop {
            tokio::select! {
                () = send.closed() => return None,
                () = live.stopping() => return Some("stopping"),
                () = sleep_until(self.until) => return Some("time"),
                _ = recheck.tick() => match self.recheck.ask(&self.app).await {
                    Now::Unknown => {}
                    Now::Ended => return Some("credential"),
                    Now::Valid(caller) => match live::reaching(&caller, &self.org, self.mesh.mesh()) {
                        Some(grant) => self.grant = grant,
                        None => return Some("credential"),
                    },
                },
                changed = news.changed() => {
                    let heads = *news.borrow_and_update();
                    if changed.is_err() || heads.is_none() {
                        return Some("gone");
                    }
                    if heads != Some(self.known) {
                        match self.count().await {
                            Ok(true) => return Some("settled"),
                            Ok(false) => {}
                            // What was counted last is what there is to say until it works again.
                            Err(_) => news.mark_changed(),
                        }
                        sleep(PAUSE).await;
                    }
                }
            }
        }
    }

    /// Counts once more. Whether it is settled.
    async fn count(&mut self) -> Result<bool, Problem> {
        let mut tx = self.app.store.begin(&self.grant).await?;
        let mesh = self.mesh.mesh();
        let known = heads::heads(&mut tx, mesh).await?;
        let known = known.ok_or_else(Problem::not_found)?;
        let rollout = proxies::rollout(&mut tx, mesh, self.seen.revision, NAMED).await?;
        drop(tx);
        self.known = known;
        self.seen.mesh_revision = known.revision;
        self.seen.at = self.app.clock.now();
        self.seen.rollout = rollout;
        Ok(is_settled(&self.seen.rollout.counts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_it_stands() {
        let counts = |acked, skipped, pending, nacked, offline, gone| Counts {
            acked,
            skipped,
            pending,
            nacked,
            offline,
            gone,
        };
        for (counts, state_is, settled, percent_is) in [
            (counts(0, 0, 0, 0, 0, 0), "live", true, 100),
            (counts(1, 2, 0, 0, 0, 0), "live", true, 100),
            (counts(1, 1, 0, 0, 2, 2), "live", true, 100),
            (counts(1, 0, 1, 1, 0, 0), "under_way", false, 33),
            (counts(1, 0, 0, 1, 0, 0), "refused", true, 50),
            (counts(0, 0, 0, 0, 3, 2), "waiting", false, 0),
            (counts(199, 0, 1, 0, 0, 0), "under_way", false, 99),
        ] {
            assert_eq!(
                (state(&counts), is_settled(&counts), percent(&counts)),
                (state_is, settled, percent_is),
                "{counts:?}"
            );
        }
    }
}

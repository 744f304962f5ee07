//! What happens in a mesh, as it happens: events by Server-Sent Events or as JSON, one text a line.

mod cursor;
mod follow;
mod read;
mod write;

use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use heddle_model::authz::Permission;
use heddle_model::authz::permission::{AuditRead, ConfigRead, ProxyRead};
use heddle_model::code::Code;
use heddle_store::{Grant, live as heads, meshes};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::auth::Allow;
use crate::extract::{Headers, Query, Segments};
use crate::live::{self, Now, Recheck};
use crate::problem::Problem;
use crate::state::App;

pub(crate) use cursor::CURSOR;
use follow::Follower;
use write::{Event, Format};

pub(crate) use write::SSE;

/// The path.
pub(crate) const PATH: &str = "/v1/orgs/{org}/meshes/{mesh}/events";
/// The header with which a browser that comes back says what it had last.
pub(crate) const LAST: &str = "Last-Event-ID";
/// What there is to hear of.
pub(crate) const TOPICS: [&str; 4] = ["revision", "proxy", "rollout", "audit"];

/// How long a stream may be asked to stay open.
const MOST: Duration = Duration::from_secs(3600);
/// How many events wait for the client to read them.
const AHEAD: usize = 8;

/// Which topics are wanted.
#[derive(Debug, Clone, Copy, Default)]
struct Topics {
    revision: bool,
    proxy: bool,
    rollout: bool,
    audit: bool,
}

impl Topics {
    fn named(list: &str) -> Self {
        let has = |topic| list.split(',').any(|one| one == topic);
        Self {
            revision: has("revision"),
            proxy: has("proxy"),
            rollout: has("rollout"),
            audit: has("audit"),
        }
    }
}

/// What the holder of a stream may read.
struct Grants {
    config: Grant<ConfigRead>,
    proxy: Option<Grant<ProxyRead>>,
    audit: Option<Grant<AuditRead>>,
}

/// What a client had last: the header of a browser that comes back counts more than the address that it began with.
fn last(headers: &HeaderMap, query: &mut Query) -> Result<Option<heads::Heads>, Problem> {
    let after = query.take("after");
    let (name, text) = match headers.get(LAST) {
        Some(value) => (LAST, Some(String::from_utf8_lossy(value.as_bytes()).into())),
        None => ("after", after),
    };
    let bad = || Problem::parameter(name, format!("`{name}`: not the id of an event"));
    text.map(|text| cursor::parse(&text).ok_or_else(bad))
        .transpose()
}

pub(crate) async fn get(
    Allow(config): Allow<ConfigRead>,
    State(app): State<App>,
    Segments((org, mesh)): Segments<(String, String)>,
    Headers(headers): Headers,
    mut query: Query,
    mut recheck: Recheck,
) -> Result<Response, Problem> {
    let format = Format::of(&headers);
    let after = last(&headers, &mut query)?;
    let named = query.take("topic");
    let wait = live::wait(&mut query, MOST)?;
    let limit = query.integer("limit", 1, u32::MAX)?;
    query.finish()?;

    let mut tx = app.store.begin(&config).await?;
    let mesh = meshes::require(&mut tx, &mesh).await?;
    let now = heads::heads(&mut tx, mesh.id).await?;
    let now = now.ok_or_else(Problem::not_found)?;
    let mesh = tx.mesh_ref(&mesh);
    drop(tx);

    let caller = match recheck.ask(&app).await {
        Now::Valid(caller) => caller,
        Now::Unknown | Now::Ended => {
            return Err(Problem::new(
                Code::Unauthenticated,
                "the credential has ended",
            ));
        }
    };
    let grants = Grants {
        config,
        proxy: live::reaching(&caller, &org, mesh.mesh()),
        audit: live::reaching(&caller, &org, mesh.mesh()),
    };
    let topics = match &named {
        Some(list) => Topics::named(list),
        None => Topics {
            revision: true,
            proxy: grants.proxy.is_some(),
            rollout: grants.proxy.is_some(),
            audit: false,
        },
    };
    if (topics.proxy || topics.rollout) && grants.proxy.is_none() {
        return Err(Problem::forbidden(ProxyRead::ACTION.scope()));
    }
    if topics.audit && grants.audit.is_none() {
        return Err(Problem::forbidden(AuditRead::ACTION.scope()));
    }

    let first = match after {
        None => Some(Event::position(now)),
        // Nothing that was ever handed out is beyond the end.
        Some(at)
            if at.revision > now.revision || at.audit > now.audit || at.status > now.status =>
        {
            Some(Event::reset(now))
        }
        Some(_) => None,
    };
    let at = match (&first, after) {
        (None, Some(after)) => after,
        _ => now,
    };
    // Without a word a browser stays, and a list ends.
    let wait = match (format, wait) {
        (Format::Sse, None) => None,
        (_, wait) => Some(wait.unwrap_or_default()),
    };
    let slot = app
        .live
        .slot(grants.config.org().uuid(), grants.config.holder())?;
    let (send, lines) = mpsc::channel(AHEAD);
    let follower = Follower::new(app.clone(), org, mesh, topics, grants, recheck, at);
    let until = wait.map(|wait| Instant::now() + wait);
    app.requests
        .spawn(follower.run(first, send, format, until, limit, slot));

    let mut response = live::body(lines).into_response();
    let answer = response.headers_mut();
    answer.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(format.media()),
    );
    let private = HeaderValue::from_static("private, no-store");
    answer.insert(header::CACHE_CONTROL, private);
    Ok(response)
}

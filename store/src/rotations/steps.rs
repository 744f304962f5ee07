//! The steps of a rotation. Each holds the lock of its mesh, so there is one writer, and names the generation that it follows.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use heddle_model::authz::permission::MeshWrite;
use heddle_model::id::{AuthorityId, MeshId, RotationId};
use serde_json::json;

use super::places::{activate, publish, put_away, remove, restore};
use super::progress::{Counts, counts};
use super::{Mode, RotationRow, State, What, open, select};
use crate::authorities::{self, AuthorityRow, AuthorityState};
use crate::authz::MeshRef;
use crate::error::{Cause, Error, Result, inconsistent, retry};
use crate::meshes::MeshRow;
use crate::sessions;
use crate::store::Store;
use crate::tx::{Change, Mode as TxMode, Tx, Work};

/// The longest life of a leaf.
const LONGEST_LEAF: TimeDelta = TimeDelta::hours(72);
/// Who takes the steps that nobody asks for.
const ACTOR: &str = "rotation";

/// What makes authorities: their keys are sealed where they are made.
#[async_trait]
pub trait AuthorityMaker: Send + Sync {
    /// A root with an issuing authority under it.
    ///
    /// # Errors
    /// They could not be made.
    async fn root(
        &self,
        mesh: &MeshRef,
        trust_domain: &str,
    ) -> std::result::Result<[AuthorityRow; 2], Cause>;

    /// An issuing authority under this root, to follow `issuing`.
    ///
    /// # Errors
    /// It could not be made.
    async fn issuing(
        &self,
        mesh: &MeshRef,
        root: &AuthorityRow,
        issuing: &AuthorityRow,
    ) -> std::result::Result<AuthorityRow, Cause>;
}

/// A rotation about to begin.
#[derive(Debug, Clone, Copy)]
pub struct NewRotation {
    /// What is replaced.
    pub what: What,
    /// How careful it is.
    pub mode: Mode,
    /// Whether each step waits for somebody to ask for it.
    pub manual: bool,
    /// Over which time leaves are replaced.
    pub replace_over: Duration,
}

/// Why a step is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Another rotation is under way.
    UnderWay(RotationId),
    /// The mesh has no authorities yet.
    NothingThere,
    /// It waits for proxies.
    Waits(Counts),
    /// It has ended.
    Ended(State),
    /// It was turned round already.
    Reversing,
    /// What is new ends then, which is too soon for it to sign anything.
    TooLate(DateTime<Utc>),
    /// It is not where the caller thinks: this is its generation.
    Moved(u64),
}

/// What a step came to.
type Outcome = Result<std::result::Result<RotationRow, Refused>>;

/// Makes new authorities and begins to put them in the place of those that there are. The mesh must have been found in this
/// transaction, so that it is locked.
///
/// # Errors
/// [`Error::SignInAgain`], [`Error::Unavailable`], [`Error::Inconsistent`], [`Error::Signer`].
pub async fn start(
    tx: &mut Tx<MeshWrite>,
    mesh: &MeshRow,
    new: &NewRotation,
    maker: &dyn AuthorityMaker,
) -> Outcome {
    let at = tx.mesh_ref(mesh);
    let work = &mut tx.work;
    work.lock(mesh.id).await?;
    if let Some(other) = open(work, mesh.id).await? {
        return Ok(Err(Refused::UnderWay(other.id)));
    }
    let there = authorities::select(work, &at).await?;
    let signs = authorities::issuing(&there);
    let Some((issuing, root)) = signs.and_then(|i| Some((i, authorities::root_of(&there, i)?)))
    else {
        return Ok(Err(Refused::NothingThere));
    };
    if new.what == What::Root || new.mode != Mode::Planned {
        // In the end it drops what is trusted now, which cannot be taken back.
        sessions::require_fresh(work).await?;
    }
    let mut made = match new.what {
        What::Root => {
            let made = maker.root(&at, &mesh.trust_domain).await;
            made.map_err(Error::Signer)?.to_vec()
        }
        What::Intermediate => {
            let made = maker.issuing(&at, root, issuing).await;
            vec![made.map_err(Error::Signer)?]
        }
    };
    for row in &mut made {
        row.state = AuthorityState::Prepared;
        authorities::insert(work, &at, row).await?;
    }
    let of = |kind| made.iter().find(|row| row.kind == kind).map(|row| row.id);
    let root = of(authorities::AuthorityKind::Root);
    let issuing = of(authorities::AuthorityKind::Issuing).ok_or_else(|| {
        let made: Cause = "no issuing authority was made".into();
        Error::Database(made)
    })?;
    let id = RotationId::from_uuid(work.next_id());
    work.explain(&format!("{id}: a new {} is prepared", new.what.as_str()));
    let revision = work.bump(mesh.id).await?;
    insert(work, mesh.id, id, new, (root, issuing), revision).await?;
    let mut rotation = select(work, mesh.id, id).await?.ok_or(Error::NotFound)?;
    record(work, mesh.id, &rotation, "create").await?;
    if new.mode == Mode::BreakTrust {
        publish(work, mesh.id, &rotation).await?;
        activate(work, mesh.id, &rotation).await?;
        remove(work, mesh.id, &rotation).await?;
        rotation.replaced_from = Some(work.now());
        rotation = save(work, mesh.id, rotation, State::Removed).await?;
        record(work, mesh.id, &rotation, "remove").await?;
    }
    Ok(Ok(rotation))
}

/// Takes the next step, as far as nobody is to be waited for; with `force`, whoever is.
///
/// # Errors
/// [`Error::NotFound`], [`Error::SignInAgain`], [`Error::Unavailable`], [`Error::Inconsistent`].
pub async fn advance(
    tx: &mut Tx<MeshWrite>,
    mesh: MeshId,
    id: RotationId,
    generation: Option<u64>,
    force: bool,
) -> Outcome {
    let work = &mut tx.work;
    let rotation = match held(work, mesh, id, generation).await? {
        Ok(rotation) => rotation,
        refused => return Ok(refused),
    };
    let waits = counts(work, mesh, &rotation).await?;
    if waits.waiting_for > 0 && !force {
        return Ok(Err(Refused::Waits(waits)));
    }
    if let Some(ends) = too_late(work, mesh, &rotation).await? {
        return Ok(Err(Refused::TooLate(ends)));
    }
    if waits.waiting_for > 0 || rotation.state == State::Retiring {
        sessions::require_fresh(work).await?;
    }
    next(work, mesh, rotation).await.map(Ok)
}

/// Turns a rotation round: what was there before signs again, and in the end nothing of what was new is left.
///
/// # Errors
/// As [`advance`].
pub async fn reverse(
    tx: &mut Tx<MeshWrite>,
    mesh: MeshId,
    id: RotationId,
    generation: Option<u64>,
) -> Outcome {
    let work = &mut tx.work;
    let mut rotation = match held(work, mesh, id, generation).await? {
        Ok(rotation) => rotation,
        refused => return Ok(refused),
    };
    if rotation.reversing {
        return Ok(Err(Refused::Reversing));
    }
    work.explain(&format!("{id}: turned round"));
    work.bump(mesh).await?;
    rotation.reversing = true;
    let state = match rotation.state {
        // It signed nothing.
        State::Prepared | State::Published => {
            put_away(work, mesh, &rotation).await?;
            State::Cancelled
        }
        _ => {
            restore(work, mesh, &rotation).await?;
            rotation.replaced_from = Some(work.now());
            State::Published
        }
    };
    let rotation = save(work, mesh, rotation, state).await?;
    record(work, mesh, &rotation, "reverse").await?;
    Ok(Ok(rotation))
}

/// Takes the next step of the rotation that is under way in a mesh, if it goes by itself and waits for nobody. Several servers may
/// try at once: one does it.
///
/// # Errors
/// [`Error::Unavailable`], [`Error::Inconsistent`].
pub async fn step(store: &Store, mesh: &MeshRef) -> Result<Option<RotationRow>> {
    let mut work = store.work(mesh.org(), ACTOR, TxMode::Read).await?;
    let Some(rotation) = open(&mut work, mesh.mesh()).await? else {
        return Ok(None);
    };
    if rotation.manual || counts(&mut work, mesh.mesh(), &rotation).await?.waiting_for > 0 {
        return Ok(None);
    }
    drop(work);
    retry!(step_once(store, mesh, rotation.generation))
}

async fn step_once(store: &Store, mesh: &MeshRef, follows: u64) -> Result<Option<RotationRow>> {
    let mut work = store.work(mesh.org(), ACTOR, TxMode::Write).await?;
    match work.lock(mesh.mesh()).await {
        Err(Error::NotFound) => return Ok(None),
        locked => locked?,
    }
    let Some(rotation) = open(&mut work, mesh.mesh()).await? else {
        return Ok(None);
    };
    let waits = counts(&mut work, mesh.mesh(), &rotation).await?;
    let late = too_late(&mut work, mesh.mesh(), &rotation).await?;
    if rotation.generation != follows || waits.waiting_for > 0 || late.is_some() {
        return Ok(None);
    }
    let rotation = next(&mut work, mesh.mesh(), rotation).await?;
    work.commit().await?;
    Ok(Some(rotation))
}

/// The rotation, under the lock of its mesh and fit for a step.
async fn held(work: &mut Work, mesh: MeshId, id: RotationId, generation: Option<u64>) -> Outcome {
    work.lock(mesh).await?;
    let rotation = select(work, mesh, id).await?.ok_or(Error::NotFound)?;
    Ok(if rotation.ended_at.is_some() {
        Err(Refused::Ended(rotation.state))
    } else if generation.is_some_and(|wanted| wanted != rotation.generation) {
        Err(Refused::Moved(rotation.generation))
    } else {
        Ok(rotation)
    })
}

/// When what is new ends, if it is about to sign and that is too soon for the longest leaf: as what somebody else has signed may, by
/// the time that everybody trusts it.
async fn too_late(
    work: &mut Work,
    mesh: MeshId,
    rotation: &RotationRow,
) -> Result<Option<DateTime<Utc>>> {
    if rotation.state != State::Published || rotation.reversing {
        return Ok(None);
    }
    let soon = work.now() + LONGEST_LEAF;
    let query = sqlx::query_scalar(
        "select not_after from heddle.authorities where mesh_id = $1 and id = $2 and not_after < $3",
    )
    .bind(mesh.uuid())
    .bind(rotation.issuing.uuid())
    .bind(soon);
    Ok(query.fetch_optional(work.conn()).await?)
}

async fn next(work: &mut Work, mesh: MeshId, mut rotation: RotationRow) -> Result<RotationRow> {
    let (state, action, why) = match (rotation.state, rotation.reversing) {
        (State::Prepared, false) => (State::Published, "publish", "published"),
        (State::Published, false) => (State::Active, "activate", "signs"),
        (State::Active, false) => (State::Retiring, "retire", "leaves are replaced"),
        (State::Retiring, false) => (State::Removed, "remove", "what was before is removed"),
        (State::Published, true) => (State::Cancelled, "cancel", "cancelled"),
        (state, _) => {
            let reason = "it goes nowhere from here";
            return Err(inconsistent(
                "rotations",
                "state",
                rotation.id,
                format!("{}: {reason}", state.as_str()),
            ));
        }
    };
    let (id, what) = (rotation.id, rotation.what.as_str());
    work.explain(&format!("{id}: the new {what}: {why}"));
    work.bump(mesh).await?;
    match state {
        State::Published => publish(work, mesh, &rotation).await?,
        State::Active => activate(work, mesh, &rotation).await?,
        State::Retiring => rotation.replaced_from = Some(work.now()),
        State::Removed => remove(work, mesh, &rotation).await?,
        State::Cancelled => put_away(work, mesh, &rotation).await?,
        State::Prepared => {}
    }
    let rotation = save(work, mesh, rotation, state).await?;
    record(work, mesh, &rotation, action).await?;
    Ok(rotation)
}

async fn insert(
    work: &mut Work,
    mesh: MeshId,
    id: RotationId,
    new: &NewRotation,
    (root, issuing): (Option<AuthorityId>, AuthorityId),
    revision: u64,
) -> Result<()> {
    let over = i64::try_from(new.replace_over.as_millis()).unwrap_or(i64::MAX);
    let query = sqlx::query(
        "insert into heddle.rotations (org_id, mesh_id, id, what, mode, manual, state, root_id, issuing_id, \
                                       replace_over_ms, revision, created_at, created_by, moved_at) \
         values ($1, $2, $3, $4, $5, $6, 'prepared', $7, $8, $9, $10, $11, $12, $11)",
    )
    .bind(work.org().uuid())
    .bind(mesh.uuid())
    .bind(id.uuid())
    .bind(new.what.as_str())
    .bind(new.mode.as_str())
    .bind(new.manual)
    .bind(root.map(AuthorityId::uuid))
    .bind(issuing.uuid())
    .bind(over)
    .bind(revision.cast_signed())
    .bind(work.now())
    .bind(work.actor().to_owned());
    query.execute(work.conn()).await?;
    Ok(())
}

/// Writes where a rotation is now. It follows the generation that was read, or nothing.
async fn save(
    work: &mut Work,
    mesh: MeshId,
    rotation: RotationRow,
    state: State,
) -> Result<RotationRow> {
    let ends = matches!(state, State::Removed | State::Cancelled);
    let revision = work.locked_at(mesh).ok_or(Error::NotFound)?;
    let now = work.now();
    let saved = RotationRow {
        state,
        revision,
        generation: rotation.generation + 1,
        moved_at: now,
        ended_at: ends.then_some(now),
        ..rotation
    };
    let query = sqlx::query(
        "update heddle.rotations set state = $4, reversing = $5, generation = $3 + 1, replaced_from = $6, \
                                     revision = $7, moved_at = $8, ended_at = $9 \
         where mesh_id = $1 and id = $2 and generation = $3",
    )
    .bind(mesh.uuid())
    .bind(saved.id.uuid())
    .bind(rotation.generation.cast_signed())
    .bind(saved.state.as_str())
    .bind(saved.reversing)
    .bind(saved.replaced_from)
    .bind(revision.cast_signed())
    .bind(saved.moved_at)
    .bind(saved.ended_at);
    let done = query.execute(work.conn()).await?;
    if done.rows_affected() != 1 {
        let reason = "somebody without the mesh's lock took a step";
        return Err(inconsistent("rotations", "generation", saved.id, reason));
    }
    Ok(saved)
}

async fn record(
    work: &mut Work,
    mesh: MeshId,
    rotation: &RotationRow,
    action: &'static str,
) -> Result<()> {
    let after = json!({
        "what": rotation.what.as_str(),
        "mode": rotation.mode.as_str(),
        "state": rotation.state.as_str(),
        "reversing": rotation.reversing,
        "generation": rotation.generation,
        "root": rotation.root,
        "issuing": rotation.issuing,
    });
    work.record(Change {
        mesh: Some(mesh),
        revision: work.locked_at(mesh),
        action,
        kind: "rotation",
        id: rotation.id.uuid(),
        name: rotation.what.as_str(),
        before: None,
        after: after.as_object(),
    })
    .await
}

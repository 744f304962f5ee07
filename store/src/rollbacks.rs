//! Going back: a mesh made equal to one of its revisions, or one revision taken back. Either makes a new revision.
//!
//! First a [`Plan`], which writes nothing: what each object is and what it would become. Then its application, in two
//! statements however many objects there are: all rows that change are ended before any is started, so that names,
//! priorities and hosts may change hands.

mod judge;
mod revert;

use std::collections::BTreeMap;

use heddle_model::authz::permission::ConfigWrite;
use heddle_model::code::Code;
use heddle_model::id::MeshId;
use heddle_model::kind::Kind;
use heddle_model::manager::ManagedBy;
use heddle_model::name::Name;
use serde_json::{Map, Value};
use sqlx::types::Json;
use uuid::Uuid;

use crate::error::Result;
use crate::meshes::MeshRow;
use crate::quotas::{self, Turn};
use crate::resources::{SPEC_VERSION, granted};
use crate::revisions::{Difference, Placed, differences_far};
use crate::tx::{Change, RevisionCause, Tx, Work};

/// Where to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// The mesh as it was at this revision.
    To(u64),
    /// The mesh as it is now, without what this revision changed.
    Without(u64),
}

/// What going back would do.
#[derive(Debug)]
pub struct Plan {
    mesh: MeshId,
    goal: Goal,
    /// What each object that differs is, and what it would become.
    pub steps: Vec<Step>,
    /// Why it cannot be done; empty when it can.
    pub obstacles: Vec<Obstacle>,
}

/// One object that goes back.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// What it is and what it becomes, and what it is below.
    pub placed: Placed<Difference>,
    /// Who looks after it: whoever does now, or did when it was deleted.
    pub owner: Option<ManagedBy>,
}

/// One reason why a revision cannot be taken back.
#[derive(Debug, Clone, PartialEq)]
pub struct Obstacle {
    /// The object's identifier, without the prefix of its kind.
    pub id: Uuid,
    /// The object's kind.
    pub kind: Kind,
    /// Its name.
    pub name: Name,
    /// The names of its parents, outermost first.
    pub parents: Vec<Name>,
    /// The field: a JSON pointer; empty for the whole object.
    pub pointer: String,
    /// Which rule.
    pub code: Code,
    /// What is wrong.
    pub detail: String,
    /// What the field is now.
    pub current: Option<Value>,
    /// What it would become.
    pub wanted: Option<Value>,
}

impl Plan {
    /// Whether it would change an object of this kind.
    #[must_use]
    pub fn touches(&self, kind: Kind) -> bool {
        let mut kinds = self.steps.iter().map(|step| step.placed.object.kind);
        kinds.any(|one| one == kind)
    }
}

/// Says what going back would do. The mesh must have been found in this transaction, so that it is locked; the revision
/// must be one of its own.
///
/// # Errors
/// [`crate::Error::NotFound`] without such a mesh, [`crate::Error::Unavailable`], [`crate::Error::Inconsistent`].
pub async fn plan(tx: &mut Tx<ConfigWrite>, mesh: &MeshRow, goal: Goal) -> Result<Plan> {
    let work = &mut tx.work;
    work.lock(mesh.id).await?;
    let (steps, obstacles) = match goal {
        Goal::To(revision) => {
            let both = (mesh.revision, revision);
            let steps = differences_far(work, mesh.id, both).await?;
            // That revision was accepted as a whole. Only the rules about single objects may have changed since.
            let obstacles = judge::content(&steps);
            (steps, obstacles)
        }
        Goal::Without(revision) => {
            let (steps, mut obstacles) = revert::steps(work, mesh, revision).await?;
            obstacles.extend(judge::content(&steps));
            obstacles.extend(judge::surroundings(work, mesh, &steps).await?);
            (steps, obstacles)
        }
    };
    let mut owners = owners(work, mesh.id, &steps).await?;
    let steps = steps.into_iter().map(|placed| Step {
        owner: owners.remove(&placed.object.id),
        placed,
    });
    Ok(Plan {
        mesh: mesh.id,
        goal,
        steps: steps.collect(),
        obstacles,
    })
}

/// Who looks after each of these objects, by its newest row.
async fn owners(
    work: &mut Work,
    mesh: MeshId,
    steps: &[Placed<Difference>],
) -> Result<BTreeMap<Uuid, ManagedBy>> {
    let ids: Vec<Uuid> = steps.iter().map(|step| step.object.id).collect();
    let rows: Vec<(Uuid, Option<Json<ManagedBy>>)> = sqlx::query_as(
        "select i.id, r.managed_by from unnest($2::uuid[]) as i (id), \
                lateral (select v.managed_by from heddle.resources v \
                         where v.mesh_id = $1 and v.id = i.id order by v.from_revision desc limit 1) r",
    )
    .bind(mesh.uuid())
    .bind(ids)
    .fetch_all(work.conn())
    .await?;
    let owned = |(id, owner): (Uuid, Option<Json<ManagedBy>>)| Some((id, owner?.0));
    Ok(rows.into_iter().filter_map(owned).collect())
}

/// Does what a plan without obstacles says; `None` when there is nothing to do, which makes no revision.
///
/// # Errors
/// [`crate::Error::NotGranted`], [`crate::Error::LimitReached`], [`crate::Error::Unavailable`].
pub async fn apply(tx: &mut Tx<ConfigWrite>, plan: &Plan) -> Result<Option<u64>> {
    if plan.steps.is_empty() {
        return Ok(None);
    }
    for step in &plan.steps {
        granted(tx, step.placed.object.kind)?;
    }
    let work = &mut tx.work;
    let revision = work.bump(plan.mesh).await?;
    let cause = match plan.goal {
        Goal::To(revision) => RevisionCause::RolledBackTo(revision),
        Goal::Without(revision) => RevisionCause::Reverted(revision),
    };
    work.because(plan.mesh, cause);
    end_rows(work, plan, revision).await?;
    start_rows(work, plan, revision).await?;
    for Step {
        placed: Placed { object, .. },
        ..
    } in &plan.steps
    {
        let action = match (&object.before, &object.after) {
            (None, _) => "create",
            (Some(_), Some(_)) => "replace",
            (Some(_), None) => "delete",
        };
        work.record(Change {
            mesh: Some(plan.mesh),
            revision: Some(revision),
            action,
            kind: object.kind.as_str(),
            id: object.id,
            name: object.name.as_str(),
            before: object.before.as_ref(),
            after: object.after.as_ref(),
        })
        .await?;
    }
    quotas::judge_objects(work, plan.steps.iter().filter_map(turn)).await?;
    Ok(Some(revision))
}

/// Whether there is one more of its kind afterwards, or one less.
fn turn(step: &Step) -> Option<(Kind, Turn)> {
    let object = &step.placed.object;
    let turn = match (&object.before, &object.after) {
        (None, Some(_)) => Turn::Comes,
        (Some(_), None) => Turn::Goes,
        (None, None) | (Some(_), Some(_)) => return None,
    };
    Some((object.kind, turn))
}

async fn end_rows(work: &mut Work, plan: &Plan, revision: u64) -> Result<()> {
    let objects = plan.steps.iter().map(|step| &step.placed.object);
    let there = objects.filter(|object| object.before.is_some());
    let ids: Vec<Uuid> = there.map(|object| object.id).collect();
    sqlx::query(
        "update heddle.resources set to_revision = $3 \
         where mesh_id = $1 and id = any($2) and to_revision is null",
    )
    .bind(plan.mesh.uuid())
    .bind(ids)
    .bind(revision.cast_signed())
    .execute(work.conn())
    .await?;
    Ok(())
}

async fn start_rows(work: &mut Work, plan: &Plan, revision: u64) -> Result<()> {
    let rows: Vec<(&Step, &Map<String, Value>)> = plan
        .steps
        .iter()
        .filter_map(|step| Some((step, step.placed.object.after.as_ref()?)))
        .collect();
    fn column<'a, T>(
        rows: &[(&'a Step, &'a Map<String, Value>)],
        of: impl Fn(&'a Difference) -> T,
    ) -> Vec<T> {
        rows.iter()
            .map(|(step, _)| of(&step.placed.object))
            .collect()
    }
    let specs: Vec<_> = rows.iter().map(|(_, after)| Json(*after)).collect();
    let owners: Vec<_> = rows
        .iter()
        .map(|(step, _)| step.owner.as_ref().map(Json))
        .collect();
    let query = sqlx::query(
        "insert into heddle.resources (org_id, mesh_id, id, kind, parent_id, name, spec, spec_version, \
                                       from_revision, created_at, updated_at, managed_by) \
         select $1, $2, o.id, o.kind, o.parent_id, o.name, o.spec, $3, $4, o.created_at, $5, o.managed_by \
         from unnest($6::uuid[], $7::text[], $8::uuid[], $9::text[], $10::jsonb[], $11::timestamptz[], $12::jsonb[]) \
              as o (id, kind, parent_id, name, spec, created_at, managed_by)",
    )
    .bind(work.org().uuid())
    .bind(plan.mesh.uuid())
    .bind(SPEC_VERSION)
    .bind(revision.cast_signed())
    .bind(work.now())
    .bind(column(&rows, |o| o.id))
    .bind(column(&rows, |o| o.kind.as_str()))
    .bind(column(&rows, |o| o.parent))
    .bind(column(&rows, |o| o.name.as_str()))
    .bind(specs)
    .bind(column(&rows, |o| o.created_at))
    .bind(owners);
    query.execute(work.conn()).await?;
    Ok(())
}

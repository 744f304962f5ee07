//! Everything that translation needs of one mesh, now or at a past revision, as of one instant.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use heddle_model::id::{AccessRuleId, ProfileId, RouteId, ServiceId, SplitId};
use heddle_model::kind::{AccessRule, Kind, Mesh, Spec};
use heddle_model::name::Name;
use heddle_model::snapshot::{MeshSnapshot, Object, RouteNode, ServiceNode};
use heddle_model::wire;
use uuid::Uuid;

use crate::authz::MeshRef;
use crate::error::{Error, Result, inconsistent};
use crate::resources::{COLUMNS, Row, Stored};
use crate::revocations;
use crate::store::Store;
use crate::tx::{Mode, Work};

/// A mesh, and what could not be read of it.
#[derive(Debug)]
pub struct Loaded {
    /// The mesh without the objects below.
    pub snapshot: MeshSnapshot,
    /// One [`Error::Inconsistent`] for each row that this version cannot make sense of. Left out with everything
    /// below it, so that one bad row never costs a mesh. A mesh whose own row is bad has its defaults.
    pub skipped: Vec<Error>,
}

type Siblings = BTreeMap<Option<Uuid>, Vec<Stored>>;

impl Store {
    /// Reads a mesh as it is now; `None` when it was deleted.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn snapshot(&self, mesh: &MeshRef) -> Result<Option<Loaded>> {
        self.read(mesh, None).await
    }

    /// Reads a mesh as it was at a revision; `None` when it was deleted or the revision is not one of its own.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn snapshot_at(&self, mesh: &MeshRef, revision: u64) -> Result<Option<Loaded>> {
        self.read(mesh, Some(revision)).await
    }

    /// [`Store::snapshot`] for who has the mesh as it was: reads what was written since, and takes the rest from there. `known` is one
    /// that was read whole, with nothing skipped.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn snapshot_after(
        &self,
        mesh: &MeshRef,
        known: &MeshSnapshot,
    ) -> Result<Option<Loaded>> {
        let mut work = self.work(mesh.org(), "snapshot", Mode::Snapshot).await?;
        let Some(head) = head(&mut work, mesh).await? else {
            return Ok(None);
        };
        let same = made_at(&mut work, mesh, known.revision).await? == known.made_at;
        if head.revision < known.revision || !same {
            // The database was set back, and may have gone on since.
            drop(work);
            return self.read(mesh, None).await;
        }
        let touched = touched(&mut work, mesh, known.revision).await?;
        let rows = rows_of(&mut work, mesh, &touched).await?;
        let revision = head.revision;
        let revoked = revocations::services(&mut work, mesh.mesh(), revision).await?;
        let made_at = made_at(&mut work, mesh, revision).await?;
        drop(work);
        let mut loaded = assemble(mesh, head, revision, rows);
        loaded.snapshot.revoked = revoked;
        loaded.snapshot.made_at = made_at;
        let kept = known.services.iter();
        let kept = kept.filter(|(_, node)| !touched.contains(&node.service.id.uuid()));
        let services = &mut loaded.snapshot.services;
        services.extend(kept.map(|(name, node)| (name.clone(), node.clone())));
        Ok(Some(loaded))
    }

    async fn read(&self, mesh: &MeshRef, at: Option<u64>) -> Result<Option<Loaded>> {
        let mut work = self.work(mesh.org(), "snapshot", Mode::Snapshot).await?;
        let Some(head) = head(&mut work, mesh).await? else {
            return Ok(None);
        };
        let revision = at.unwrap_or(head.revision);
        if revision == 0 || revision > head.revision {
            return Ok(None);
        }
        let sql = format!(
            "select {COLUMNS} from heddle.resources r \
             where r.mesh_id = $1 and r.from_revision <= $2 and (r.to_revision is null or r.to_revision > $2) \
             order by r.kind, r.name, r.id"
        );
        let rows: Vec<Row> = sqlx::query_as(&sql)
            .bind(mesh.mesh().uuid())
            .bind(revision.cast_signed())
            .fetch_all(work.conn())
            .await?;
        let revoked = revocations::services(&mut work, mesh.mesh(), revision).await?;
        let made_at = made_at(&mut work, mesh, revision).await?;
        drop(work);
        let mut loaded = assemble(mesh, head, revision, rows);
        loaded.snapshot.revoked = revoked;
        loaded.snapshot.made_at = made_at;
        Ok(Some(loaded))
    }
}

/// What the mesh's own row says.
struct Head {
    name: Name,
    trust_domain: String,
    revision: u64,
}

/// `None` when the mesh was deleted.
async fn head(work: &mut Work, mesh: &MeshRef) -> Result<Option<Head>> {
    let row: Option<(String, String, i64)> = sqlx::query_as(
        "select name, trust_domain, revision from heddle.meshes where mesh_id = $1 and deleted_at is null",
    )
    .bind(mesh.mesh().uuid())
    .fetch_optional(work.conn())
    .await?;
    let Some((name, trust_domain, revision)) = row else {
        return Ok(None);
    };
    let name = name.parse();
    Ok(Some(Head {
        name: name.map_err(|e| inconsistent("meshes", "name", mesh.mesh(), e))?,
        trust_domain,
        revision: revision.unsigned_abs(),
    }))
}

/// When a revision was made; `None` when there is none of that number.
async fn made_at(work: &mut Work, mesh: &MeshRef, revision: u64) -> Result<Option<DateTime<Utc>>> {
    let made_at = sqlx::query_scalar(
        "select created_at from heddle.revisions where mesh_id = $1 and revision = $2",
    );
    let made_at = made_at
        .bind(mesh.mesh().uuid())
        .bind(revision.cast_signed());
    Ok(made_at.fetch_optional(work.conn()).await?)
}

/// The services that were written after a revision, or something below them was.
async fn touched(work: &mut Work, mesh: &MeshRef, revision: u64) -> Result<BTreeSet<Uuid>> {
    let ids: Vec<Uuid> = sqlx::query_scalar(
        "with written as ( \
             select r.id, r.kind, r.parent_id from heddle.resources r where r.mesh_id = $1 and r.from_revision > $2 \
             union \
             select r.id, r.kind, r.parent_id from heddle.resources r where r.mesh_id = $1 and r.to_revision > $2) \
         select w.id from written w where w.kind = 'service' \
         union select w.parent_id from written w where w.kind in ('route', 'access_rule') \
         union select r.parent_id from written w join heddle.resources r on r.mesh_id = $1 and r.id = w.parent_id \
               where w.kind = 'split'",
    )
    .bind(mesh.mesh().uuid())
    .bind(revision.cast_signed())
    .fetch_all(work.conn())
    .await?;
    Ok(ids.into_iter().collect())
}

/// What is said now of the mesh itself, its profiles, and these services with everything below them.
async fn rows_of(work: &mut Work, mesh: &MeshRef, services: &BTreeSet<Uuid>) -> Result<Vec<Row>> {
    let services: Vec<Uuid> = services.iter().copied().collect();
    let sql = format!(
        "with below as ( \
             select r.* from heddle.resources r \
             where r.mesh_id = $1 and r.to_revision is null and r.parent_id = any($2)) \
         select {COLUMNS} from ( \
             select r.* from heddle.resources r \
             where r.mesh_id = $1 and r.to_revision is null and r.kind in ('mesh', 'profile') \
               and coalesce(r.parent_id, r.mesh_id) = $1 \
             union all \
             select r.* from heddle.resources r \
             where r.mesh_id = $1 and r.to_revision is null and r.id = any($2) \
             union all select b.* from below b \
             union all \
             select r.* from below b join heddle.resources r \
               on r.mesh_id = $1 and r.to_revision is null and r.parent_id = b.id) r \
         order by r.kind, r.name, r.id"
    );
    let rows = sqlx::query_as(&sql)
        .bind(mesh.mesh().uuid())
        .bind(services)
        .fetch_all(work.conn())
        .await?;
    Ok(rows)
}

fn assemble(mesh: &MeshRef, head: Head, revision: u64, rows: Vec<Row>) -> Loaded {
    let Head {
        name, trust_domain, ..
    } = head;
    let mut skipped = Vec::new();
    let mut kinds: BTreeMap<Kind, Siblings> = BTreeMap::new();
    for row in rows {
        match Stored::try_from(row) {
            Ok(stored) => {
                let siblings = kinds.entry(stored.kind).or_default();
                siblings.entry(stored.parent).or_default().push(stored);
            }
            Err(error) => skipped.push(error),
        }
    }
    let mut take = |kind: Kind, parent: Option<Uuid>| {
        kinds
            .get_mut(&kind)
            .and_then(|siblings| siblings.remove(&parent))
            .unwrap_or_default()
    };

    let written = take(Kind::Mesh, None).into_iter().next();
    let (mesh_revision, mesh_spec) = match written.map(|stored| (stored.revision, spec(&stored))) {
        Some((revision, Ok(spec))) => (revision, spec),
        Some((revision, Err(error))) => {
            skipped.push(error);
            (revision, Mesh::default())
        }
        None => {
            skipped.push(inconsistent("resources", "id", mesh.mesh(), "missing"));
            (revision, Mesh::default())
        }
    };

    let mut profiles = BTreeMap::new();
    for stored in take(Kind::Profile, None) {
        if let Some(profile) = object(&stored, ProfileId::from_uuid, &mut skipped) {
            profiles.insert(stored.name, profile);
        }
    }
    let mut services = BTreeMap::new();
    for stored in take(Kind::Service, None) {
        let Some(service) = object(&stored, ServiceId::from_uuid, &mut skipped) else {
            continue;
        };
        let mut routes = Vec::new();
        for stored in take(Kind::Route, Some(stored.id)) {
            let split = take(Kind::Split, Some(stored.id)).into_iter().next();
            if let Some(route) = object(&stored, RouteId::from_uuid, &mut skipped) {
                let split = split.and_then(|s| object(&s, SplitId::from_uuid, &mut skipped));
                routes.push(RouteNode { route, split });
            }
        }
        routes.sort_by(|a, b| {
            let key = |node: &RouteNode| (node.route.spec.priority, node.route.name.clone());
            key(a).cmp(&key(b))
        });
        let access_rules: Vec<Object<AccessRuleId, AccessRule>> =
            take(Kind::AccessRule, Some(stored.id))
                .iter()
                .filter_map(|s| access_rule(s, &mut skipped))
                .collect();
        let node = ServiceNode {
            service,
            routes,
            access_rules,
        };
        services.insert(stored.name, Arc::new(node));
    }

    let snapshot = MeshSnapshot {
        org: mesh.org(),
        revision,
        made_at: None,
        mesh: Object {
            id: mesh.mesh(),
            name,
            revision: mesh_revision,
            spec: mesh_spec,
        },
        trust_domain,
        profiles,
        services,
        revoked: BTreeSet::new(),
    };
    Loaded { snapshot, skipped }
}

fn spec<T: Spec>(stored: &Stored) -> Result<T> {
    wire::decode_object(&stored.sent).map_err(|violations| {
        let first = violations.first();
        let reason = first.map_or_else(
            || String::from("invalid"),
            |v| format!("{} at {:?}: {}", v.code.as_str(), v.pointer, v.detail),
        );
        inconsistent("resources", "spec", stored.id, reason)
    })
}

/// A rule that cannot be read, because a newer version of this program wrote it, lets nobody in; unless it says that it allows,
/// it refuses everybody. To leave it out would open what it closes.
fn access_rule(
    stored: &Stored,
    skipped: &mut Vec<Error>,
) -> Option<Object<AccessRuleId, AccessRule>> {
    let read = object(stored, AccessRuleId::from_uuid, skipped);
    let allows = stored
        .sent
        .get("action")
        .and_then(serde_json::Value::as_str)
        == Some("allow");
    if read.is_some() || allows {
        return read;
    }
    Some(Object {
        id: AccessRuleId::from_uuid(stored.id),
        name: stored.name.clone(),
        revision: stored.revision,
        spec: AccessRule::deny_all(),
    })
}

fn object<I, T: Spec>(
    stored: &Stored,
    id: impl Fn(Uuid) -> I,
    skipped: &mut Vec<Error>,
) -> Option<Object<I, T>> {
    match spec(stored) {
        Ok(spec) => Some(Object {
            id: id(stored.id),
            name: stored.name.clone(),
            revision: stored.revision,
            spec,
        }),
        Err(error) => {
            skipped.push(error);
            None
        }
    }
}

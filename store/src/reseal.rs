//! Every sealed key of the installation, one after the other: for whoever seals them anew under another key.
//!
//! The keys of people are taken organisation by organisation, and those of meshes mesh by mesh, each in a transaction of its own, so it can be stopped anywhere and begun again.
//! A key that somebody else has put in the place of one meanwhile stays; one that was replaced is locked until its mesh is done, and
//! nobody waits for it but who would replace it, too. Keys of deleted meshes are left as they are; nobody opens them any more.

use heddle_model::id::OrgId;
use uuid::Uuid;

use crate::authorities::AuthorityKind;
use crate::authz::MeshRef;
use crate::error::{Cause, Error, Result, inconsistent};
use crate::store::Store;
use crate::tx::{Mode, Work};

/// Who acts.
const ACTOR: &str = "reseal";

/// Where a sealed key belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// An authority of a mesh.
    Authority {
        /// The mesh.
        mesh: MeshRef,
        /// The authority.
        id: Uuid,
        /// What it signs.
        kind: AuthorityKind,
    },
    /// A key that signs sessions' tokens.
    SessionKey {
        /// Which one.
        id: Uuid,
    },
    /// The second factor of a member.
    SecondFactor {
        /// Whose.
        org: OrgId,
        /// Which one.
        id: Uuid,
    },
    /// What messages to a webhook are signed with.
    Webhook {
        /// Whose.
        org: OrgId,
        /// Which one.
        id: Uuid,
    },
    /// What is shown to a provider that members sign in by.
    SsoConnection {
        /// Whose.
        org: OrgId,
        /// Which one.
        id: Uuid,
    },
}

/// Looks at sealed keys, one after the other.
pub trait Resealer: Send + Sync {
    /// What to store in the place of `sealed`; `None` when it is to stay.
    ///
    /// # Errors
    /// It does not open, or could not be sealed.
    fn reseal(&self, place: Place, sealed: &[u8]) -> std::result::Result<Option<Vec<u8>>, Cause>;
}

/// What became of the sealed keys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Resealed {
    /// How many were looked at.
    pub seen: u64,
    /// How many were replaced.
    pub replaced: u64,
}

/// Shows every sealed key to `resealer`, and stores what it gives.
///
/// # Errors
/// [`Error::Unavailable`], [`Error::Inconsistent`]; [`Error::Database`] with what `resealer` says. What was done before stays done.
pub async fn reseal(store: &Store, resealer: &dyn Resealer) -> Result<Resealed> {
    let mut done = Resealed::default();
    session_keys(store, resealer, &mut done).await?;
    of_orgs(store, resealer, &mut done).await?;
    for head in store.feed(None).await?.meshes {
        authorities(store, &head.mesh, resealer, &mut done).await?;
    }
    Ok(done)
}

async fn authorities(
    store: &Store,
    mesh: &MeshRef,
    resealer: &dyn Resealer,
    done: &mut Resealed,
) -> Result<()> {
    let mut work = store.issuer(mesh.org(), ACTOR, Mode::Write).await?;
    // Those that are to become authorities first: one that becomes an authority meanwhile has become one by the second question.
    let mut rows: Vec<(&str, Uuid, String, Vec<u8>)> = Vec::new();
    for (table, select) in [
        (
            "authority_requests",
            "select id, 'issuing', sealed_key from heddle.authority_requests \
             where mesh_id = $1 order by id for update",
        ),
        // A root of somebody else has no key here.
        (
            "authorities",
            "select id, kind, sealed_key from heddle.authorities \
             where mesh_id = $1 and octet_length(sealed_key) > 0 order by id",
        ),
    ] {
        let found: Vec<(Uuid, String, Vec<u8>)> = sqlx::query_as(select)
            .bind(mesh.mesh().uuid())
            .fetch_all(work.conn())
            .await?;
        let found = found.into_iter();
        rows.extend(found.map(|(id, kind, sealed)| (table, id, kind, sealed)));
    }
    for (table, id, kind, sealed) in rows {
        let kind = AuthorityKind::parse(&kind)
            .ok_or_else(|| inconsistent("authorities", "kind", id, &kind))?;
        let mesh = *mesh;
        let place = Place::Authority { mesh, id, kind };
        done.seen += 1;
        let Some(new) = resealer.reseal(place, &sealed).map_err(Error::Database)? else {
            continue;
        };
        let update = match table {
            "authorities" => {
                "update heddle.authorities set sealed_key = $4 \
                 where mesh_id = $1 and id = $2 and sealed_key = $3"
            }
            _ => {
                "update heddle.authority_requests set sealed_key = $4 \
                 where mesh_id = $1 and id = $2 and sealed_key = $3"
            }
        };
        let query = sqlx::query(update)
            .bind(mesh.mesh().uuid())
            .bind(id)
            .bind(&sealed)
            .bind(&new);
        done.replaced += query.execute(work.conn()).await?.rows_affected();
    }
    work.commit().await?;
    Ok(())
}

async fn session_keys(store: &Store, resealer: &dyn Resealer, done: &mut Resealed) -> Result<()> {
    let rows: Vec<(Uuid, Vec<u8>)> =
        sqlx::query_as("select id, sealed_key from heddle.session_keys order by id")
            .fetch_all(store.pool())
            .await?;
    for (id, sealed) in rows {
        done.seen += 1;
        let place = Place::SessionKey { id };
        let Some(new) = resealer.reseal(place, &sealed).map_err(Error::Database)? else {
            continue;
        };
        let query = sqlx::query(
            "update heddle.session_keys set sealed_key = $3 where id = $1 and sealed_key = $2",
        )
        .bind(id)
        .bind(&sealed)
        .bind(&new);
        done.replaced += query.execute(store.pool()).await?.rows_affected();
    }
    Ok(())
}

/// What organisations have sealed beside their meshes.
async fn of_orgs(store: &Store, resealer: &dyn Resealer, done: &mut Resealed) -> Result<()> {
    let orgs: Vec<Uuid> =
        sqlx::query_scalar("select whose from heddle.sealing_orgs order by whose")
            .fetch_all(store.pool())
            .await?;
    for org in orgs.into_iter().map(OrgId::from_uuid) {
        let mut work = store.work(org, ACTOR, Mode::Write).await?;
        for table in [SECOND_FACTORS, SSO_CONNECTIONS, WEBHOOKS] {
            let rows: Vec<(Uuid, Vec<u8>)> =
                sqlx::query_as(table.select).fetch_all(work.conn()).await?;
            for (id, sealed) in rows {
                done.seen += 1;
                let place = (table.place)(org, id);
                let Some(new) = resealer.reseal(place, &sealed).map_err(Error::Database)? else {
                    continue;
                };
                let query = sqlx::query(table.update).bind(id).bind(&sealed).bind(&new);
                done.replaced += query.execute(work.conn()).await?.rows_affected();
            }
        }
        work.commit().await?;
    }
    Ok(())
}

/// Notes that an organisation has something sealed, so that whoever seals it anew comes to it.
pub(crate) async fn note_org(work: &mut Work) -> Result<()> {
    sqlx::query("insert into heddle.sealing_orgs (whose) values ($1) on conflict do nothing")
        .bind(work.org().uuid())
        .execute(work.conn())
        .await?;
    Ok(())
}

/// A table in which an organisation has something sealed.
#[derive(Clone, Copy)]
struct Sealed {
    place: fn(OrgId, Uuid) -> Place,
    select: &'static str,
    update: &'static str,
}

const SECOND_FACTORS: Sealed = Sealed {
    place: |org, id| Place::SecondFactor { org, id },
    select: "select id, sealed_key from heddle.second_factors order by id",
    update: "update heddle.second_factors set sealed_key = $3 where id = $1 and sealed_key = $2",
};

const SSO_CONNECTIONS: Sealed = Sealed {
    place: |org, id| Place::SsoConnection { org, id },
    select: "select id, sealed_secret from heddle.sso_connections where sealed_secret is not null order by id",
    update: "update heddle.sso_connections set sealed_secret = $3 where id = $1 and sealed_secret = $2",
};

const WEBHOOKS: Sealed = Sealed {
    place: |org, id| Place::Webhook { org, id },
    select: "select id, sealed_key from heddle.webhook_secrets order by id",
    update: "update heddle.webhook_secrets set sealed_key = $3 where id = $1 and sealed_key = $2",
};

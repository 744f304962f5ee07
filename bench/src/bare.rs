//! The same transactions without a server in between: BEGIN, set_config, one query, COMMIT, by a client with as many
//! connections as the server has. What the server adds is the difference.

use anyhow::Context as _;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{Executor as _, PgConnection, Row as _};
use uuid::Uuid;

/// As many as the server opens.
pub(crate) const CONNECTIONS: u32 = 20;

/// A client of the database itself, in the role and with the row security of the server.
#[derive(Clone)]
pub(crate) struct Bare {
    pool: PgPool,
    org: String,
}

const BEGIN: &str = "select set_config('role', 'heddle_tenant', true), set_config('heddle.org_id', $1, true), \
                            set_config('transaction_read_only', $2, true)";
const COLUMNS: &str = "r.id, r.kind, r.parent_id, r.name, r.spec, r.spec_version, r.from_revision, r.created_at, \
                       r.updated_at, r.managed_by";

/// Where a write of the server leaves its history, once more: the history proper is the server's. The same columns, indexes, checks,
/// foreign keys and row security, or else it would not be the same transaction. The chain of hashes is not among what is compared
/// with: its columns are filled, but nobody locks its end, hashes anything or moves it on.
const HISTORY: &str = "
    create schema bench;
    create table bench.revisions (like heddle.revisions including all,
        foreign key (org_id, mesh_id) references heddle.meshes (org_id, mesh_id));
    create table bench.changes (like heddle.changes including all,
        foreign key (org_id) references heddle.orgs (org_id),
        foreign key (org_id, mesh_id) references heddle.meshes (org_id, mesh_id));
    select heddle.own_by_org('bench.revisions', 'select, insert'), heddle.own_by_org('bench.changes', 'select, insert');
    grant usage on schema bench to heddle_tenant;";

/// One statement with the effect of a PUT: the mesh's revision, the row that ends, the one that begins, the history.
const WRITE: &str = "
    with bumped as (
        update heddle.meshes set revision = revision + 1 where mesh_id = $1 returning revision),
    ended as (
        update heddle.resources r set to_revision = (select revision from bumped)
        where r.mesh_id = $1 and r.kind = 'service' and coalesce(r.parent_id, r.mesh_id) = $1 and r.name = $2
          and r.to_revision is null
        returning r.*),
    begun as (
        insert into heddle.resources (org_id, mesh_id, id, kind, parent_id, name, spec, spec_version, from_revision,
                                      created_at, updated_at, managed_by)
        select org_id, mesh_id, id, kind, parent_id, name, $3::text::jsonb, spec_version, to_revision,
               created_at, now(), managed_by from ended
        returning *),
    made as (
        insert into bench.revisions (org_id, mesh_id, revision, actor, added, changed, removed, created_at)
        select org_id, mesh_id, from_revision, 'bench', 0, 1, 0, now() from begun)
    insert into bench.changes (org_id, id, mesh_id, revision, actor, action, kind, resource_id, name, before, after, at,
                               outcome, chain, seq, previous_hash, hash)
    select b.org_id, gen_random_uuid(), b.mesh_id, b.from_revision, 'bench', 'replace', b.kind, b.id, b.name, e.spec, b.spec,
           now(), 'done', b.mesh_id, b.from_revision, decode(repeat('00', 32), 'hex'), decode(repeat('00', 32), 'hex')
    from begun b join ended e using (id)";

impl Bare {
    /// Connects as the server does, and as the superuser to make the tables of its own.
    ///
    /// # Errors
    /// The database refuses.
    pub(crate) async fn connect(server: &str, superuser: &str, org: &str) -> anyhow::Result<Self> {
        let superuser: PgConnectOptions = superuser.parse()?;
        let admin = PgPoolOptions::new()
            .max_connections(1)
            .connect_with(superuser)
            .await?;
        admin.execute(HISTORY).await.context("make tables")?;
        // As after an hour, not as in the first second.
        admin.execute("vacuum analyze heddle.resources").await?;
        let org = sqlx::query_scalar("select org_id::text from heddle.orgs where name = $1")
            .bind(org)
            .fetch_one(&admin)
            .await?;
        admin.close().await;
        let options: PgConnectOptions = server.parse()?;
        // The server's choice among plans, which is the better one for these statements as well.
        let options = options.options([("random_page_cost", "1.1")]);
        // No question whether a connection still works: the least that a client can do.
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .min_connections(CONNECTIONS)
            .test_before_acquire(false)
            .connect_with(options.application_name("bare"))
            .await?;
        Ok(Self { pool, org })
    }

    async fn begin(
        &self,
        writes: bool,
    ) -> anyhow::Result<sqlx::Transaction<'static, sqlx::Postgres>> {
        let mut tx = self.pool.begin().await?;
        let query = sqlx::query(BEGIN)
            .bind(&self.org)
            .bind(if writes { "off" } else { "on" });
        query.execute(&mut *tx).await?;
        Ok(tx)
    }

    /// The identifiers of the meshes that begin with a prefix, in the order of their names.
    ///
    /// # Errors
    /// The database refuses.
    pub(crate) async fn meshes(&self, prefix: &str) -> anyhow::Result<Vec<Uuid>> {
        let mut tx = self.begin(false).await?;
        let sql = "select mesh_id from heddle.meshes where starts_with(name, $1) order by name";
        let query = sqlx::query_scalar(sql).bind(prefix);
        Ok(query.fetch_all(&mut *tx).await?)
    }

    /// One object by name.
    ///
    /// # Errors
    /// It is not there, or the database refuses.
    pub(crate) async fn get(&self, mesh: Uuid, name: &str) -> anyhow::Result<usize> {
        let mut tx = self.begin(false).await?;
        let sql = format!(
            "select {COLUMNS} from heddle.resources r \
             where r.mesh_id = $1 and r.kind = 'service' and coalesce(r.parent_id, r.mesh_id) = $1 \
               and r.to_revision is null and r.name = $2"
        );
        let query = sqlx::query(&sql).bind(mesh).bind(name);
        let row = query.fetch_one(&mut *tx).await?;
        tx.commit().await?;
        Ok(row.len())
    }

    /// A page of objects in the order of their names.
    ///
    /// # Errors
    /// The database refuses.
    pub(crate) async fn list(&self, mesh: Uuid, limit: i64) -> anyhow::Result<usize> {
        let mut tx = self.begin(false).await?;
        let sql = format!(
            "select {COLUMNS} from heddle.resources r \
             where r.mesh_id = $1 and r.kind = 'service' and coalesce(r.parent_id, r.mesh_id) = $1 \
               and r.to_revision is null order by r.name limit $2"
        );
        let query = sqlx::query(&sql).bind(mesh).bind(limit);
        let rows = query.fetch_all(&mut *tx).await?;
        tx.commit().await?;
        Ok(rows.len())
    }

    /// Replaces an object, durably.
    ///
    /// # Errors
    /// It is not there, or the database refuses.
    pub(crate) async fn write(&self, mesh: Uuid, name: &str, spec: &str) -> anyhow::Result<usize> {
        let mut tx = self.begin(true).await?;
        let query = sqlx::query(WRITE).bind(mesh).bind(name).bind(spec);
        let done = query.execute(&mut *tx as &mut PgConnection).await?;
        anyhow::ensure!(done.rows_affected() == 1, "{name} is not there");
        tx.commit().await?;
        Ok(1)
    }
}

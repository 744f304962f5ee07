//! The statements of a server.

use sqlx::{Executor as _, PgConnection};

use super::rows::Size;

/// One that works as a server does.
pub(super) struct Worker {
    pub(super) connection: PgConnection,
    pub(super) size: Size,
    /// What it does next, and with whom.
    pub(super) turn: u64,
}

impl Worker {
    /// The numbers of an organisation, of a mesh in it, and of something there.
    fn whom(&self, of: u64) -> (u64, u64, u64) {
        let n = self.turn.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16;
        let Size { orgs, meshes, .. } = self.size;
        (n % orgs + 1, n / 64 % meshes + 1, n / 4096 % of + 1)
    }

    pub(super) async fn work(&mut self) -> Result<(), sqlx::Error> {
        self.turn += 1;
        match self.turn % 8 {
            0 | 1 => self.read(false).await,
            2 => self.read(true).await,
            3 | 4 => self.write().await,
            5 => self.report().await,
            6 => self.issue().await,
            _ => self.refresh().await,
        }
    }

    /// A transaction of one organisation.
    async fn within(&mut self, org: u64, statements: &str) -> Result<(), sqlx::Error> {
        let id = format!("md5('o{org}')::uuid");
        let script = format!(
            "begin; select set_config('role', 'heddle_tenant', true), set_config('heddle.org_id', {id}::text, true); {statements}; commit"
        );
        let done = self.connection.execute(script.as_str()).await;
        if done.is_err() {
            let _ = self.connection.execute("rollback").await;
        }
        done.map(|_| ())
    }

    /// An object, or a list of them: whose token it is, the mesh, and what is asked for.
    async fn read(&mut self, list: bool) -> Result<(), sqlx::Error> {
        let (org, mesh, member) = self.whom(self.size.members);
        let service = self.whom(self.size.services).2;
        let what = match list {
            true => {
                "'{}'::text[], '{}'::uuid[], '{}'::text[], 'service', null, null, 50".to_owned()
            }
            false => format!(
                "array['service'], array[null]::uuid[], array['service-{service}'], null, null, null, 0"
            ),
        };
        let look = format!(
            "begin; select * from heddle.look('api', sha256(convert_to('o{org}p{member}', 'UTF8')), null, 'mesh-{mesh}', {what}); commit"
        );
        let seen = self.connection.fetch_all(look.as_str()).await;
        let Ok(rows) = seen else {
            let _ = self.connection.execute("rollback").await;
            return seen.map(|_| ());
        };
        let wanted = if list {
            2 + self.size.services.min(50)
        } else {
            3
        };
        assert_eq!(rows.len() as u64, wanted, "{look}");
        Ok(())
    }

    /// Another version of a service.
    async fn write(&mut self) -> Result<(), sqlx::Error> {
        let (org, mesh, service) = self.whom(self.size.services);
        let (m, s) = (format!("o{org}m{mesh}"), format!("o{org}m{mesh}s{service}"));
        let (m, s) = (format!("md5('{m}')::uuid"), format!("md5('{s}')::uuid"));
        let now = format!("(select revision from heddle.meshes where mesh_id = {m})");
        self.within(org, &format!(
            "update heddle.meshes set revision = revision + 1 where mesh_id = {m};
             update heddle.resources set to_revision = {now} where mesh_id = {m} and id = {s} and to_revision is null;
             insert into heddle.resources (org_id, mesh_id, id, kind, name, spec, spec_version, from_revision, created_at, updated_at)
                 select org_id, mesh_id, id, kind, name, spec, spec_version, to_revision, created_at, now()
                 from heddle.resources where mesh_id = {m} and id = {s} and to_revision = {now};
             insert into heddle.revisions (org_id, mesh_id, revision, actor, added, changed, removed, created_at)
                 select org_id, mesh_id, revision, 'test', 0, 1, 0, now() from heddle.meshes where mesh_id = {m};
             insert into heddle.changes (org_id, id, mesh_id, revision, actor, action, kind, resource_id, name, at)
                 select org_id, gen_random_uuid(), mesh_id, revision, 'test', 'replace', 'service', {s}, 'x', now()
                 from heddle.meshes where mesh_id = {m}"
        ))
        .await
    }

    /// What a proxy has.
    async fn report(&mut self) -> Result<(), sqlx::Error> {
        let (org, mesh, proxy) = self.whom(self.size.proxies);
        self.within(org, &format!(
            "update heddle.mesh_status set seq = seq + 1 where mesh_id = md5('o{org}m{mesh}')::uuid;
             update heddle.proxies set connected = true, acked_revision = 2, seen_at = now()
                 where mesh_id = md5('o{org}m{mesh}')::uuid and id = md5('o{org}m{mesh}x{proxy}')::uuid"
        ))
        .await
    }

    /// A certificate is written down, and looked for.
    async fn issue(&mut self) -> Result<(), sqlx::Error> {
        let (org, mesh, proxy) = self.whom(self.size.proxies);
        self.within(org, &format!(
            "insert into heddle.certificates (org_id, mesh_id, serial, proxy_id, service, spiffe_id, authority_id,
                                              not_before, not_after, issued_at, tbs_sha256)
                 select org_id, mesh_id, gen_random_uuid()::text, md5('o{org}m{mesh}x{proxy}')::uuid, 'service-1', 'spiffe://x', id,
                        now(), now() + '1 day', now(), repeat('0', 64)
                 from heddle.authorities where mesh_id = md5('o{org}m{mesh}')::uuid;
             select count(*) from heddle.certificates where mesh_id = md5('o{org}m{mesh}')::uuid
                 and proxy_id = md5('o{org}m{mesh}x{proxy}')::uuid and revoked_at is null"
        ))
        .await
    }

    /// Somebody goes on with a session, and a server looks at what is new.
    async fn refresh(&mut self) -> Result<(), sqlx::Error> {
        let (org, _, member) = self.whom(self.size.members);
        self.within(org, &format!(
            "update heddle.sessions set refreshed_at = now() where id = md5('o{org}p{member}')::uuid;
             select role from heddle.role_bindings where principal_id = md5('o{org}p{member}')::uuid"
        ))
        .await?;
        let feed = "select * from heddle.feed(pg_snapshot_xmin(pg_current_snapshot()))";
        self.connection.execute(feed).await.map(|_| ())
    }
}

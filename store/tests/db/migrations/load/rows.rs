//! What is in the tables.

/// How much there is.
#[derive(Clone, Copy)]
pub(super) struct Size {
    pub(super) orgs: u64,
    /// In each organisation.
    pub(super) meshes: u64,
    pub(super) members: u64,
    /// In each mesh.
    pub(super) services: u64,
    pub(super) proxies: u64,
    certificates: u64,
}

impl Size {
    /// As of small customers, so that it is there soon.
    pub(super) const FEW: Self = Self {
        orgs: 4,
        meshes: 5,
        members: 20,
        services: 20,
        proxies: 10,
        certificates: 50,
    };
    /// 300,000 objects with a row of the audit log each, 200,000 certificates, 20,000 proxies.
    pub(super) const MANY: Self = Self {
        orgs: 20,
        meshes: 10,
        members: 500,
        services: 1500,
        proxies: 100,
        certificates: 1000,
    };

    /// The rows, of which each can be named by its numbers.
    pub(super) fn rows(self) -> String {
        let Self {
            orgs,
            meshes,
            members,
            services,
            proxies,
            certificates,
        } = self;
        format!(
            "create function pg_temp.id(text) returns uuid language sql immutable as 'select md5($1)::uuid';
             create function pg_temp.hash(text) returns bytea language sql immutable as $$select sha256(convert_to($1, 'UTF8'))$$;
             create temp table o as select o, pg_temp.id('o' || o) as org from generate_series(1, {orgs}) o;
             create temp table m as select o, org, m, pg_temp.id('o' || o || 'm' || m) as mesh from o, generate_series(1, {meshes}) m;
             insert into heddle.orgs (org_id, name, created_at) select org, 'org-' || o, now() from o;
             insert into heddle.principals (org_id, id, kind, name, created_at, created_by)
                 select org, pg_temp.id('o' || o || 'p' || p), 'member', 'p' || p || '@example.com', now(), 'test'
                 from o, generate_series(1, {members}) p;
             insert into heddle.role_bindings (org_id, id, principal_id, role, created_at, created_by)
                 select org_id, id, id, 'operator', now(), 'test' from heddle.principals;
             insert into heddle.tokens (org_id, id, name, hash, created_at, created_by, principal_id)
                 select org, pg_temp.id('o' || o || 'p' || p), 'token-' || p, pg_temp.hash('o' || o || 'p' || p), now(), 'test',
                        pg_temp.id('o' || o || 'p' || p)
                 from o, generate_series(1, {members}) p;
             insert into heddle.sessions (org_id, id, principal_id, method, family_hash, refresh_hash, created_at, refreshed_at, expires_at)
                 select org_id, id, id, 'password', pg_temp.hash(id::text), pg_temp.hash(id::text), now(), now(), now() + '1 day'
                 from heddle.principals;
             insert into heddle.meshes (org_id, mesh_id, name, trust_domain, revision, created_at)
                 select org, mesh, 'mesh-' || m, 'o' || o || '-m' || m || '.example', 2, now() from m;
             insert into heddle.mesh_status (org_id, mesh_id, seq) select org, mesh, 1 from m;
             insert into heddle.resources (org_id, mesh_id, id, kind, name, spec, spec_version, from_revision, created_at, updated_at)
                 select org, mesh, mesh, 'mesh', 'mesh-' || m, '{{}}'::jsonb, 1, 1, now(), now() from m
                 union all
                 select org, mesh, pg_temp.id('o' || o || 'm' || m || 's' || s), 'service', 'service-' || s,
                        '{{\"ports\": [{{\"name\": \"http\", \"port\": 8080, \"protocol\": \"http\"}}]}}'::jsonb, 1, 2, now(), now()
                 from m, generate_series(1, {services}) s;
             insert into heddle.changes (org_id, id, mesh_id, revision, actor, action, kind, resource_id, name, after, at)
                 select org_id, id, mesh_id, from_revision, 'test', 'create', kind, id, name, spec, now() from heddle.resources;
             insert into heddle.revisions (org_id, mesh_id, revision, actor, added, changed, removed, created_at)
                 select org, mesh, r, 'test', 1, 0, 0, now() from m, generate_series(1, 2) r;
             insert into heddle.join_tokens (org_id, id, mesh_id, name, service, reusable, hash, created_at, created_by)
                 select org, mesh, mesh, 'join', 'service-1', true, pg_temp.hash(mesh::text), now(), 'test' from m;
             insert into heddle.proxies (org_id, mesh_id, id, join_token_id, service, node_id, joined_at)
                 select org, mesh, pg_temp.id('o' || o || 'm' || m || 'x' || x), mesh, 'service-1', 'proxy-' || x, now()
                 from m, generate_series(1, {proxies}) x;
             insert into heddle.authorities (org_id, mesh_id, id, kind, certificate_pem, sealed_key, serial, not_before, not_after, created_at)
                 select org, mesh, mesh, 'issuing', '', '', 'a', now(), now() + '1 year', now() from m;
             insert into heddle.certificates (org_id, mesh_id, serial, proxy_id, service, spiffe_id, authority_id,
                                              not_before, not_after, issued_at, tbs_sha256)
                 select org, mesh, 'c' || c, pg_temp.id('o' || o || 'm' || m || 'x' || c % {proxies} + 1), 'service-1', 'spiffe://x', mesh,
                        now(), now() + '1 day', now(), repeat('0', 64)
                 from m, generate_series(1, {certificates}) c;
"
        )
    }
}

/// What servers of releases in between have written into tables that were not there before, and that later ones change.
pub(super) fn between(version: i64) -> Option<&'static str> {
    (version == 20_261_130_000_300).then_some(
        "insert into heddle.mails (org_id, id, kind, recipient, created_at, sent_at) \
         select org_id, id, 'invitation', name, now(), now() from heddle.principals",
    )
}

//! What the catalogue says about tenancy. A migration that forgets something fails here.

use sqlx::PgPool;

use crate::support::TestDb;

/// Everything that is wrong with the organisation tables and functions of the schema.
async fn faults(pool: &PgPool) -> Vec<String> {
    let mut faults: Vec<String> = sqlx::query_scalar(
        "with org_tables as ( \
             select c.oid, c.relname, c.relowner, c.relrowsecurity, c.relforcerowsecurity \
             from pg_class c join pg_namespace n on n.oid = c.relnamespace \
             where n.nspname not in ('pg_catalog', 'information_schema') and c.relkind in ('r', 'p') \
               and exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'org_id')) \
         select relname || ': row security is not forced' from org_tables \
             where not (relrowsecurity and relforcerowsecurity) \
         union all \
         select relname || ': not owned by heddle_owner' from org_tables \
             where relowner <> 'heddle_owner'::regrole \
         union all \
         select t.relname || ': policy is not that of own_by_org' from org_tables t \
             where array(select p.polname || ' ' || p.polcmd::text || ' ' || p.polpermissive::text || ' ' \
                             || pg_get_expr(p.polqual, p.polrelid) || ' ' || pg_get_expr(p.polwithcheck, p.polrelid) \
                         from pg_policy p where p.polrelid = t.oid and p.polroles = '{0}') \
                   <> array['own_org * true (org_id = ( SELECT heddle.org_id() AS org_id)) ' \
                                || '(org_id = ( SELECT heddle.org_id() AS org_id))'] \
         union all \
         select t.relname || ': primary key does not start with org_id' from org_tables t \
             where not exists (select from pg_constraint k \
                 join pg_attribute a on a.attrelid = k.conrelid and a.attnum = k.conkey[1] \
                 where k.conrelid = t.oid and k.contype = 'p' and a.attname = 'org_id') \
         union all \
         select t.relname || ': ' || k.conname || ' does not include org_id' from org_tables t \
             join pg_constraint k on k.conrelid = t.oid and k.contype = 'f' \
             where not exists (select from unnest(k.conkey, k.confkey) as pair (here, there) \
                 join pg_attribute a on a.attrelid = k.conrelid and a.attnum = pair.here \
                 join pg_attribute b on b.attrelid = k.confrelid and b.attnum = pair.there \
                 where a.attname = 'org_id' and b.attname = 'org_id') \
         union all \
         select t.relname || ': ' || k.conname || ' is not a name of ours' from org_tables t \
             join pg_constraint k on k.conrelid = t.oid \
             where k.conname not like t.relname || '\\_%' \
         union all \
         select 'heddle_server may touch ' || t.relname from org_tables t \
             where has_any_column_privilege('heddle_server', t.oid, 'select, insert, update, references') \
                or has_table_privilege('heddle_server', t.oid, 'delete, truncate, trigger') \
         union all \
         select 'heddle_ca may touch ' || t.relname from org_tables t \
             where has_any_column_privilege('heddle_ca', t.oid, 'select, insert, update, references') \
                or has_table_privilege('heddle_ca', t.oid, 'delete, truncate, trigger') \
         union all \
         select 'heddle_issuer may touch ' || t.relname from org_tables t \
             where has_any_column_privilege('heddle_issuer', t.oid, 'select') \
                   and t.relname not in ('authorities', 'authority_requests', 'certificates', 'certificate_heads', 'meshes', 'revocations') \
                or has_any_column_privilege('heddle_issuer', t.oid, 'insert') \
                   and t.relname not in ('certificates', 'certificate_heads') \
                or has_any_column_privilege('heddle_issuer', t.oid, 'update') \
                   and t.relname not in ('authorities', 'authority_requests', 'certificate_heads') \
                or has_table_privilege('heddle_issuer', t.oid, 'delete, truncate, trigger, references') \
         union all \
         select 'heddle_tenant may truncate ' || t.relname from org_tables t \
             where has_table_privilege('heddle_tenant', t.oid, 'truncate, trigger, references')",
    )
    .fetch_all(pool)
    .await
    .unwrap();

    let definers: Vec<(String, String, Option<Vec<String>>, bool)> = sqlx::query_as(
        "select p.oid::regprocedure::text, pg_get_userbyid(p.proowner)::text, p.proconfig, \
                has_function_privilege('public', p.oid, 'execute') \
         from pg_proc p join pg_namespace n on n.oid = p.pronamespace \
         where p.prosecdef and n.nspname not in ('pg_catalog', 'information_schema') order by 1",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    let doors = ["heddle.authenticate(text,bytea)", "heddle.feed(xid8)"];
    for (function, owner, config, public) in &definers {
        if !doors.contains(&function.as_str()) {
            faults.push(format!("{function}: a third door"));
        }
        if owner != "heddle_door" {
            faults.push(format!("{function}: owned by {owner}"));
        }
        let pinned = config.as_deref().unwrap_or_default();
        if pinned != ["search_path=pg_catalog, pg_temp"] {
            faults.push(format!("{function}: search path is not pinned: {pinned:?}"));
        }
        if *public {
            faults.push(format!("{function}: anyone may execute it"));
        }
    }
    if definers.len() != doors.len() {
        faults.push(format!("{} doors", definers.len()));
    }

    let roles: Vec<(String, String)> = sqlx::query_as(
        "select rolname::text, concat_ws(' ', \
             case when rolsuper then 'super' end, case when rolbypassrls then 'bypassrls' end, \
             case when rolcanlogin then 'login' end, case when rolinherit then 'inherit' end, \
             case when rolcreaterole then 'createrole' end, case when rolcreatedb then 'createdb' end, \
             case when rolreplication then 'replication' end, \
             (select 'in ' || string_agg(g.rolname, ',' order by g.rolname) from pg_auth_members m \
              join pg_roles g on g.oid = m.roleid where m.member = r.oid)) \
         from pg_roles r where rolname like 'heddle%' order by 1",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    let wanted = [
        ("heddle_ca", "login in heddle_issuer"),
        ("heddle_door", "bypassrls inherit"),
        ("heddle_issuer", "inherit"),
        ("heddle_owner", "inherit"),
        ("heddle_server", "login in heddle_issuer,heddle_tenant"),
        ("heddle_tenant", "inherit"),
    ];
    for (name, is) in &roles {
        if !wanted.contains(&(name.as_str(), is.as_str())) {
            faults.push(format!("role {name} is: {is}"));
        }
    }
    if roles.len() != wanted.len() {
        faults.push(format!("{} roles", roles.len()));
    }
    faults
}

#[tokio::test]
async fn sec_t08_every_org_table_forces_row_security() {
    let db = TestDb::new().await;
    let pool = db.superuser().await;
    assert_eq!(faults(&pool).await, [] as [&str; 0]);
    let tables: i64 = sqlx::query_scalar(
        "select count(*) from information_schema.columns where table_schema = 'heddle' and column_name = 'org_id'",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(
        tables, 40,
        "the query above looks at every organisation table"
    );
}

#[tokio::test]
async fn sec_t08_what_was_forgotten_is_found() {
    let db = TestDb::new().await;
    let pool = db.superuser().await;
    let cases = [
        (
            "create table heddle.forgotten (org_id uuid not null, constraint forgotten_pkey primary key (org_id))",
            "forgotten: row security is not forced",
        ),
        (
            "create table public.elsewhere (org_id uuid not null, constraint elsewhere_pkey primary key (org_id))",
            "elsewhere: row security is not forced",
        ),
        (
            "alter table heddle.proxies no force row level security",
            "proxies: row security is not forced",
        ),
        (
            "create policy generous on heddle.meshes using (true)",
            "meshes: policy is not that of own_by_org",
        ),
        (
            "alter table heddle.tokens owner to heddle_server",
            "tokens: not owned by heddle_owner",
        ),
        (
            "create table heddle.child (org_id uuid not null, domain text, \
                 constraint child_pkey primary key (domain), \
                 constraint child_mesh_fkey foreign key (domain) references heddle.meshes (trust_domain))",
            "child: child_mesh_fkey does not include org_id",
        ),
        (
            "create table heddle.loose (id uuid primary key, org_id uuid not null)",
            "loose: primary key does not start with org_id",
        ),
        (
            "create function heddle.third() returns int language sql security definer as 'select 1'",
            "heddle.third(): a third door",
        ),
        (
            "alter function heddle.feed(xid8) reset search_path",
            "heddle.feed(xid8): search path is not pinned: []",
        ),
        (
            "grant select on heddle.meshes to heddle_server",
            "heddle_server may touch meshes",
        ),
        (
            "grant update on heddle.certificates to heddle_issuer",
            "heddle_issuer may touch certificates",
        ),
    ];
    for (sql, fault) in cases {
        let mut tx = pool.begin().await.unwrap();
        sqlx::raw_sql(sql).execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
        let found = faults(&pool).await;
        assert!(found.iter().any(|f| f == fault), "{sql}: {found:#?}");
    }
}

#[tokio::test]
async fn sec_t09_no_tenant_is_an_error() {
    let db = TestDb::new().await;
    db.org("acme").await;
    let server = db.server().await;
    let tables: Vec<String> = sqlx::query_scalar(
        "select table_name::text from information_schema.columns \
         where table_schema = 'heddle' and column_name = 'org_id' order by 1",
    )
    .fetch_all(&db.superuser().await)
    .await
    .unwrap();
    let mut connection = server.acquire().await.unwrap();
    let mut codes = Vec::new();
    for table in &tables {
        let attempts = [
            // The login role itself may not look at all.
            format!("select count(*) from heddle.{table}"),
            // Nothing was ever set on this connection: undefined_object.
            format!("begin; set local role heddle_tenant; select count(*) from heddle.{table}"),
        ];
        for sql in attempts {
            codes.push(code(&mut connection, &sql).await);
            sqlx::raw_sql("rollback")
                .execute(&mut *connection)
                .await
                .unwrap();
        }
    }
    assert_eq!(codes, ["42501", "42704"].repeat(tables.len()));

    // After somebody's transaction the parameter exists and is empty, which is no uuid.
    let tenant = "begin; set local role heddle_tenant; \
                  set local heddle.org_id = '00000000-0000-0000-0000-000000000001'; \
                  select count(*) from heddle.meshes; commit";
    sqlx::raw_sql(tenant)
        .execute(&mut *connection)
        .await
        .unwrap();
    for table in &tables {
        let sql =
            format!("begin; set local role heddle_tenant; select count(*) from heddle.{table}");
        assert_eq!(code(&mut connection, &sql).await, "22P02", "{table}");
        sqlx::raw_sql("rollback")
            .execute(&mut *connection)
            .await
            .unwrap();
    }
}

async fn code(connection: &mut sqlx::PgConnection, sql: &str) -> String {
    let error = sqlx::raw_sql(sql).execute(connection).await.unwrap_err();
    error
        .as_database_error()
        .unwrap()
        .code()
        .unwrap()
        .into_owned()
}

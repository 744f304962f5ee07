//! The judges of this module are judged: each kind of damage, done by hand, is found.

use heddle_tests::{Ledger, Random, ServerOptions, Stack, Verdict, Writer, broken};
use serde_json::json;
use sqlx::PgConnection;

async fn damaged(database: &mut PgConnection, sql: &str) {
    let done = sqlx::query(sql).execute(&mut *database).await.unwrap();
    assert!(done.rows_affected() > 0, "{sql}");
}

/// Does damage, has it judged, and undoes it.
async fn judged(database: &mut PgConnection, ledger: &Ledger, sql: &str) -> (Verdict, Vec<String>) {
    damaged(
        database,
        "create table public.kept as table heddle.resources",
    )
    .await;
    damaged(database, sql).await;
    let found = (ledger.verdict(database).await, broken(database).await);
    damaged(database, "delete from heddle.resources").await;
    damaged(
        database,
        "insert into heddle.resources select * from public.kept",
    )
    .await;
    sqlx::query("drop table public.kept")
        .execute(&mut *database)
        .await
        .unwrap();
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_is_found() {
    let stack = Stack::start(ServerOptions::default()).await;
    let api = stack.mesh("acme", "shop", json!({}), &[]).await;
    let ledger = Ledger::default();
    let mut writer = Writer::new("shop", "w", Random::new(1));
    for _ in 0..30 {
        let write = writer.next_write();
        let reply = write.send(&api).await.unwrap();
        ledger.answered(&write, &reply);
    }
    let mut database = stack.postgres.inspect().await;
    ledger.verdict(&mut database).await.assert_clean();
    assert_eq!(broken(&mut database).await, Vec::<String>::new());

    let newest = "id = (select id from heddle.resources where to_revision is null and kind = 'service' \
                        and name like 'w-a%' order by from_revision desc limit 1)";
    let delete = format!("delete from heddle.resources where to_revision is null and {newest}");
    let (verdict, rules) = judged(&mut database, &ledger, &delete).await;
    assert!(!verdict.lost.is_empty() && !rules.is_empty(), "{verdict:?}");

    let part = "delete from heddle.resources where kind = 'route' and to_revision is null";
    let (verdict, rules) = judged(&mut database, &ledger, part).await;
    assert!(
        !verdict.half_written.is_empty() && !rules.is_empty(),
        "{verdict:?}"
    );

    let again = format!(
        "insert into heddle.resources \
         select org_id, mesh_id, gen_random_uuid(), kind, parent_id, name || '-again', spec, spec_version, \
                from_revision, to_revision, created_at, updated_at, managed_by \
         from heddle.resources where to_revision is null and {newest}"
    );
    let (verdict, rules) = judged(&mut database, &ledger, &again).await;
    assert!(
        !verdict.duplicated.is_empty() && !rules.is_empty(),
        "{verdict:?}"
    );

    let other = format!(
        "update heddle.resources set spec = jsonb_set(spec, '{{labels,op}}', '\"x\"') where to_revision is null and {newest}"
    );
    let (verdict, _) = judged(&mut database, &ledger, &other).await;
    assert!(
        !verdict.invented.is_empty() && !verdict.lost.is_empty(),
        "{verdict:?}"
    );

    ledger.verdict(&mut database).await.assert_clean();
    damaged(
        &mut database,
        "delete from heddle.revisions where revision = 5",
    )
    .await;
    assert!(!broken(&mut database).await.is_empty());
}

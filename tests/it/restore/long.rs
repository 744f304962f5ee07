//! A million rows come back in less than five minutes (R22).

use std::time::Instant;

use heddle_tests::{ServerOptions, Stack, evidence};
use serde_json::json;

use super::{back_up, chains_hold, go_on, restore, service};
use crate::identity::identity;

const ROWS: i64 = 1_000_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "minutes; `make test-long`"]
async fn r22_a_million_rows_are_restored_within_five_minutes() {
    let mut stack = Stack::start(ServerOptions::default()).await;
    let api = stack.mesh("acme", "shop", json!({}), &["payments"]).await;
    let _ = identity(&stack.server, &api, "shop", "payments", "p-1").await;
    // Rows of the audit log as they are, but for the chain: nobody writes a million of them in a test.
    let mut database = stack.postgres.inspect().await;
    let fill = "insert into heddle.changes (org_id, id, actor, action, kind, resource_id, name, after, at) \
                select org_id, gen_random_uuid(), actor, action, kind, resource_id, name || '-' || n, after, at \
                from (select * from heddle.changes where kind = 'service' limit 1) one, generate_series(1, $1) n";
    sqlx::query(fill)
        .bind(ROWS)
        .execute(&mut database)
        .await
        .unwrap();
    drop(database);
    let directory = stack.directory.path().to_owned();
    let backup = directory.join("backup");
    let begun = Instant::now();
    let _ = back_up(&stack.postgres, &backup).await;
    let backed_up = begun.elapsed();
    stack.server.kill().await;
    stack.postgres.kill().await;

    let begun = Instant::now();
    let data = directory.join("restored");
    let done = restore(&stack, &backup, &data, &[]).await;
    let restored = begun.elapsed();
    go_on(&mut stack, &data).await;
    service(&api, "new").await;
    let (chain, _) = identity(&stack.server, &api, "shop", "payments", "p-2").await;
    let serves = begun.elapsed();
    assert!(!chain.is_empty());
    let mut database = stack.postgres.inspect().await;
    let rows: i64 = sqlx::query_scalar("select count(*) from heddle.changes")
        .fetch_one(&mut database)
        .await
        .unwrap();
    assert!(rows > ROWS, "{done}");
    chains_hold(&stack.server).await;
    evidence(
        "restore",
        0,
        json!({
            "rows": rows,
            "backup_s": backed_up.as_secs_f64(),
            "restore_s": restored.as_secs_f64(),
            "writes_and_signs_after_s": serves.as_secs_f64(),
        }),
    );
    assert!(serves.as_secs() < 300, "{serves:?}");
}

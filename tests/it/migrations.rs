//! `heddled migrate`, killed again and again, and beside servers of the release before.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use heddle_tests::{
    Child, Postgres, Random, ServerOptions, Stack, heddled, postgres_program, scratch, seed, until,
    until_some,
};
use sqlx::{Connection as _, Executor as _, PgConnection};
use tokio::process::Command;

const KILLS: usize = 10;
const SOON: Duration = Duration::from_secs(30);

/// What counts the commands that change the schema, and stops whoever issues the one that is asked for. It fires for roles that know
/// nothing of it, and what it has counted is undone with what it counts.
const PROBE: &str = "
create schema probe;
create table probe.commands (command boolean not null);
create table probe.stop (at bigint not null);
insert into probe.stop values (0);
create function probe.pause() returns event_trigger language plpgsql security definer as $$
begin
    insert into probe.commands values (true);
    if (select count(*) from probe.commands) = (select at from probe.stop) then
        perform pg_sleep(3600);
    end if;
end
$$;
create event trigger pause on ddl_command_end execute function probe.pause();
";

/// A database that nobody has migrated yet.
struct Database<'a> {
    postgres: &'a Postgres,
    name: &'a str,
    superuser: PgConnection,
}

impl<'a> Database<'a> {
    async fn make(postgres: &'a Postgres, name: &'a str) -> Self {
        let create = format!("create database {name} template template0");
        let mut cluster = postgres.inspect().await;
        cluster.execute(create.as_str()).await.unwrap();
        let url = postgres.url_of(name, "heddle_admin");
        let mut superuser = PgConnection::connect(&url).await.unwrap();
        superuser.execute(PROBE).await.unwrap();
        Self {
            postgres,
            name,
            superuser,
        }
    }

    /// Starts the program.
    fn migrate(&self, log: &Path) -> Child {
        let mut command = Command::new(heddled());
        command
            .arg("migrate")
            .env_remove("HEDDLE_MIGRATE_DATABASE_URL");
        let url = self.postgres.url_of(self.name, "heddle_admin");
        command.env("DATABASE_URL", url);
        Child::start(&mut command, log)
    }

    async fn migrated(&self, log: &Path) {
        let mut child = self.migrate(log);
        let ended = child.wait(SOON).await;
        assert!(ended.success(), "{}", child.output());
    }

    async fn number(&mut self, sql: &str) -> i64 {
        let number = sqlx::query_scalar(sql).fetch_one(&mut self.superuser);
        number.await.unwrap()
    }

    /// The process of PostgreSQL's that works for whoever migrates, while it waits for this.
    async fn waiting(&mut self, event: &str) -> i32 {
        let sql = "select pid from pg_stat_activity \
                   where datname = current_database() and application_name = 'heddle migrate' and wait_event = $1";
        until_some("it is midway", SOON, async || {
            let waiting = sqlx::query_scalar(sql).bind(event);
            waiting.fetch_optional(&mut self.superuser).await.unwrap()
        })
        .await
    }

    /// Waits until a process of PostgreSQL's does nothing any more for whoever was killed: by itself, and soon.
    async fn rid_of(&mut self, backend: i32) {
        let there = format!("select count(*) from pg_stat_activity where pid = {backend}");
        until("nobody works for it", SOON, async || {
            self.number(&there).await == 0
        })
        .await;
    }

    /// The whole schema, as PostgreSQL writes it down, with what is applied and who may do what.
    async fn schema(mut self) -> String {
        let forget = "drop event trigger pause; drop schema probe cascade";
        self.superuser.execute(forget).await.unwrap();
        let applied: Vec<String> = sqlx::query_scalar(
            "select concat_ws(' ', version, description, success, encode(checksum, 'hex')) \
             from heddle._sqlx_migrations order by version",
        )
        .fetch_all(&mut self.superuser)
        .await
        .unwrap();
        let dumped = Command::new(postgres_program("pg_dump"))
            .args(["--schema-only", "--dbname"])
            .arg(self.postgres.url_of(self.name, "heddle_admin"))
            .output()
            .await
            .unwrap();
        assert!(dumped.status.success(), "{dumped:?}");
        let dumped = String::from_utf8(dumped.stdout).unwrap();
        // A dump is kept from being anything else when it is read by a word that is drawn for it.
        let lines = dumped.lines();
        let lines = lines.filter(|line| !line.contains("restrict ") && !line.starts_with("--"));
        format!(
            "{}\n{}",
            applied.join("\n"),
            lines.collect::<Vec<_>>().join("\n")
        )
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(
    clippy::print_stdout,
    reason = "shown when it fails: what to run again with"
)]
async fn killed_midway_ten_times_it_ends_in_the_same_schema() {
    let directory = scratch("heddle-it-");
    let log = directory.path().join("migrate.log");
    let postgres = Postgres::start(directory.path()).await;
    let mut whole = Database::make(&postgres, "whole").await;
    whole.migrated(&log).await;
    let commands = whole.number("select count(*) from probe.commands").await;
    let whole = whole.schema().await;

    let seed = seed();
    println!("seed {seed}");
    let mut random = Random::new(seed);
    let mut broken = Database::make(&postgres, "broken").await;
    let mut points = BTreeSet::new();
    while points.len() < KILLS {
        let point = random.below(u64::try_from(commands).unwrap()) + 1;
        points.insert(i64::try_from(point).unwrap());
    }
    for at in points {
        let stop = sqlx::query("update probe.stop set at = $1").bind(at);
        stop.execute(&mut broken.superuser).await.unwrap();
        let mut child = broken.migrate(&log);
        let backend = broken.waiting("PgSleep").await;
        if random.percent(50) {
            child.kill().await;
        } else {
            let end = format!("select pg_terminate_backend({backend})");
            broken.superuser.execute(end.as_str()).await.unwrap();
            let ended = child.wait(SOON).await;
            assert!(!ended.success(), "{at}: {}", child.output());
        }
        println!("killed after command {at} of {commands}");
        broken.rid_of(backend).await;
    }
    let go_on = "update probe.stop set at = 0";
    broken.superuser.execute(go_on).await.unwrap();
    broken.migrated(&log).await;
    let broken = broken.schema().await;
    assert_eq!(whole, broken, "seed {seed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_that_was_left_half_built_is_built_anew() {
    let directory = scratch("heddle-it-");
    let log = directory.path().join("migrate.log");
    let postgres = Postgres::start(directory.path()).await;
    let whole = Database::make(&postgres, "whole").await;
    whole.migrated(&log).await;
    let whole = whole.schema().await;

    let mut broken = Database::make(&postgres, "broken").await;
    // Whoever looks at the database as of now keeps an index from being finished that others are to use.
    let url = postgres.url_of("broken", "heddle_admin");
    let mut reader = PgConnection::connect(&url).await.unwrap();
    let look = "begin isolation level repeatable read; select count(*) from pg_class";
    reader.execute(look).await.unwrap();
    let half = "select count(*) from pg_index where not indisvalid";
    for how in ["the process", "what works for it"] {
        let mut child = broken.migrate(&log);
        let backend = broken.waiting("virtualxid").await;
        assert_eq!(broken.number(half).await, 1, "{how}");
        if how == "the process" {
            child.kill().await;
            broken.rid_of(backend).await;
        } else {
            let end = format!("select pg_terminate_backend({backend})");
            broken.superuser.execute(end.as_str()).await.unwrap();
            let ended = child.wait(SOON).await;
            assert!(!ended.success(), "{}", child.output());
        }
        assert_eq!(broken.number(half).await, 1, "{how}");
    }
    reader.close().await.unwrap();
    broken.migrated(&log).await;
    assert_eq!(broken.number(half).await, 0);
    assert_eq!(whole, broken.schema().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_of_the_release_before_go_on_and_are_started_again() {
    let mut stack = Stack::start(ServerOptions::default()).await;
    let api = stack.server.org("acme").await;
    let mut database = stack.postgres.inspect().await;
    // As if the next release had been here.
    let next = "insert into heddle._sqlx_migrations (version, description, success, checksum, execution_time) \
                select max(version) + 1, 'of the next release', true, '', 0 from heddle._sqlx_migrations";
    database.execute(next).await.unwrap();
    assert_eq!(api.ready_status().await, Some(200));
    stack.server.stop().await;
    // With the migration of its own before it, as a machine does that starts.
    let said = stack.server.migrate().await;
    assert!(said.contains("newer than this version"), "{said}");
    stack.server.start_again().await;
    let _ = api
        .put("/meshes/shop", serde_json::json!({}))
        .await
        .expect(201);

    // Until it says that it is nothing for them any more.
    let contract = "update heddle.compatibility set since = (select max(version) from heddle._sqlx_migrations)";
    database.execute(contract).await.unwrap();
    let ready = api.raw(reqwest::Method::GET, "/readyz", &[], Vec::new());
    let ready = ready.await.expect(503);
    assert_eq!(ready.json["reason"], "schema");
}

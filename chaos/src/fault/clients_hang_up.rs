//! F-07: storms of clients that hang up while their writes are begun and committed, with a long way to the database.

use std::sync::Arc;
use std::time::{Duration, Instant};

use heddle_tests::{Random, Write, Writer};
use tokio::task::JoinSet;

use super::{Fault, Needs};
use crate::case::Case;
use crate::crowd::Mark;
use crate::relay::Mode;
use crate::world::{API, World, ledgers};

const DELAY: Duration = Duration::from_millis(40);
const STORM: Duration = Duration::from_secs(20);
const CLIENTS: usize = 16;
/// Nobody is more patient.
const PATIENCE: Duration = Duration::from_millis(800);
/// A transaction that nobody goes on with for longer is forgotten.
const FORGOTTEN: &str = "select count(*) from pg_stat_activity where usename = 'heddle_server' \
     and state like 'idle in transaction%' and now() - state_change > interval '1 second'";
const LOOK: Duration = Duration::from_millis(200);

pub(super) const FAULT: Fault = Fault {
    number: "F-07",
    what: "clients that hang up in the middle of BEGIN and COMMIT, 40 ms from the database",
    alert: None,
    needs: Needs::Nothing,
    strike: |world, case, before| Box::pin(strike(world, case, before)),
};

async fn strike(world: &mut World, case: &mut Case, _before: &Mark) -> anyhow::Result<()> {
    let mut database = world.inspect().await?;
    for which in API {
        world.replicas[which].database.set(Mode::Delay(DELAY));
    }
    let mut clients = JoinSet::new();
    let meshes = ledgers();
    let until = Instant::now() + world.scale.lasting(STORM);
    for number in 0..CLIENTS {
        let random = world.random.fork();
        // Names of nobody else, by the number of this run: it may be done twice.
        let prefix = format!("h{number}-{}", world.load.writers.shared.ledger.count());
        let writer = Writer::new(&meshes[number % meshes.len()], &prefix, random.clone());
        clients.spawn(client(
            world.load.writers.shared.clone(),
            writer,
            random,
            until,
        ));
    }
    let (mut most, mut hung_up) = (0, 0);
    while !clients.is_empty() {
        let forgotten: i64 = sqlx::query_scalar(FORGOTTEN)
            .fetch_one(&mut database)
            .await?;
        most = most.max(usize::try_from(forgotten)?);
        tokio::time::sleep(LOOK).await;
        while let Some(ended) = clients.try_join_next() {
            hung_up += ended?;
        }
    }
    for which in API {
        world.replicas[which].database.set(Mode::Pass);
    }
    case.heal();
    case.note("hung_up", hung_up);
    case.count("idle_in_transaction_over_1_s", most, 0);
    Ok(())
}

async fn client(
    shared: Arc<crate::writers::Shared>,
    mut writer: Writer,
    mut random: Random,
    until: Instant,
) -> usize {
    let mut hung_up = 0;
    while Instant::now() < until {
        let write: Write = writer.next_write();
        hung_up += usize::from(!shared.impatient(&write, random.duration(PATIENCE)).await);
    }
    hung_up
}

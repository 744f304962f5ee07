//! What organisations use is counted by the day.

use chrono::TimeDelta;
use heddle_model::authz::permission::UsageRead;
use heddle_store::Caller;
use heddle_store::usage::{self, Meter};

use crate::quotas::world::World;
use crate::support::grant;

#[tokio::test]
async fn what_is_counted_is_added_up_by_the_day_and_by_organisation() {
    let world = World::new("").await;
    let (acme, rival) = (&world.owner, world.db.owner("rival").await);
    let days = async |caller: &Caller| {
        let grant = grant::<UsageRead>(caller);
        let mut tx = world.there.begin(&grant).await.unwrap();
        let days = usage::days(&mut tx, 3).await.unwrap();
        let told = |day: &usage::UsageDay| (day.amount(Meter::Requests), day.amount(Meter::Pushes));
        days.iter().map(told).collect::<Vec<_>>()
    };
    for store in [&world.here, &world.there] {
        store.count(acme.org(), Meter::Requests, 2);
        store.count(acme.org(), Meter::Pushes, 0);
        store.count(rival.org(), Meter::Pushes, 7);
    }
    assert_eq!(days(acme).await, [(0, 0), (0, 0), (0, 0)]);
    world.here.write_usage().await.unwrap();
    world.there.write_usage().await.unwrap();
    // Nothing twice.
    world.here.write_usage().await.unwrap();
    assert_eq!(days(acme).await, [(0, 0), (0, 0), (4, 0)]);
    assert_eq!(days(&rival).await, [(0, 0), (0, 0), (0, 14)]);

    // What was counted before midnight is of that day, also when it is written after it.
    world.here.count(acme.org(), Meter::Requests, 1);
    world.db.clock.advance(TimeDelta::hours(12));
    world.here.count(acme.org(), Meter::Requests, 10);
    world.here.write_usage().await.unwrap();
    assert_eq!(days(acme).await, [(0, 0), (5, 0), (10, 0)]);

    // A database that is away costs nothing but time.
    world.here.count(acme.org(), Meter::Requests, 100);
    world.here.count(rival.org(), Meter::Pushes, 100);
    let superuser = world.db.superuser().await;
    let lock = "alter table heddle.usage_days rename to away";
    sqlx::query(lock).execute(&superuser).await.unwrap();
    assert!(world.here.write_usage().await.is_err());
    let back = "alter table heddle.away rename to usage_days";
    sqlx::query(back).execute(&superuser).await.unwrap();
    world.here.write_usage().await.unwrap();
    assert_eq!(days(acme).await[2], (110, 0));
    assert_eq!(days(&rival).await[2], (0, 100));
}

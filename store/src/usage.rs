//! What organisations use, by day: counted in memory by each process, and added up in the database every few seconds.
//!
//! A process that dies loses what it has counted since, which is to the good of whoever pays. What a limit hangs on is not counted
//! here but written with what it counts.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use heddle_model::authz::Permission;
use heddle_model::id::OrgId;

use crate::error::Result;
use crate::store::Store;
use crate::tx::{Mode, Tx, Work};

/// Who writes.
const ACTOR: &str = "usage";
/// For how long days are kept: a year, with the month before and after it.
const KEPT: TimeDelta = TimeDelta::days(430);

macro_rules! meters {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        /// What is counted.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Meter {
            $($(#[$doc])* $name,)*
        }

        impl Meter {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The text form used in the API and the database.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

meters! {
    /// Requests to the API that were let through.
    Requests = "requests";
    /// Responses sent to proxies.
    Pushes = "pushes";
    /// Certificates issued, to proxies and by the API.
    Certificates = "certificates";
    /// Those by the API. What limits them counts by this.
    RequestedCertificates = "requested_certificates";
    /// For how many seconds proxies were connected, added up.
    ProxySeconds = "proxy_seconds";
}

/// What a process has counted and not written yet.
#[derive(Debug, Default)]
pub(crate) struct Meters(Mutex<BTreeMap<(OrgId, NaiveDate, Meter), u64>>);

impl Meters {
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<(OrgId, NaiveDate, Meter), u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was used on one day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageDay {
    /// The day, in UTC.
    pub day: NaiveDate,
    /// How much of what; what is not there is nothing.
    pub amounts: BTreeMap<&'static str, u64>,
}

impl UsageDay {
    /// How much of this.
    #[must_use]
    pub fn amount(&self, meter: Meter) -> u64 {
        self.amounts.get(meter.as_str()).copied().unwrap_or(0)
    }
}

impl Store {
    /// Counts something that an organisation used just now.
    pub fn count(&self, org: OrgId, meter: Meter, amount: u64) {
        if amount == 0 {
            return;
        }
        let day = self.clock().now().date_naive();
        let mut meters = self.meters().lock();
        let counted = meters.entry((org, day, meter)).or_default();
        *counted = counted.saturating_add(amount);
    }

    /// Writes down what was counted. What cannot be written is kept for the next time.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`].
    pub async fn write_usage(&self) -> Result<()> {
        let counted = std::mem::take(&mut *self.meters().lock());
        let mut by_org: BTreeMap<OrgId, Vec<(NaiveDate, Meter, u64)>> = BTreeMap::new();
        for ((org, day, meter), amount) in counted {
            by_org.entry(org).or_default().push((day, meter, amount));
        }
        let mut failed = None;
        for (org, amounts) in by_org {
            // After a failure the database is most likely away: the rest is not even tried.
            let written = match failed {
                None => self.write_usage_of(org, &amounts).await,
                Some(_) => Ok(false),
            };
            if matches!(written, Ok(true)) {
                continue;
            }
            failed = failed.or(written.err());
            let mut meters = self.meters().lock();
            for (day, meter, amount) in amounts {
                *meters.entry((org, day, meter)).or_default() += amount;
            }
        }
        failed.map_or(Ok(()), Err)
    }

    async fn write_usage_of(
        &self,
        org: OrgId,
        amounts: &[(NaiveDate, Meter, u64)],
    ) -> Result<bool> {
        let mut work = self.work(org, ACTOR, Mode::Soft).await?;
        add(&mut work, amounts).await?;
        work.commit().await?;
        Ok(true)
    }
}

/// Adds to what is written. Its order is that of the key, so that no two servers wait for each other.
async fn add(work: &mut Work, amounts: &[(NaiveDate, Meter, u64)]) -> Result<()> {
    let (org, now) = (work.org().uuid(), work.now());
    let days: Vec<NaiveDate> = amounts.iter().map(|(day, ..)| *day).collect();
    let meters: Vec<&str> = amounts.iter().map(|(_, meter, _)| meter.as_str()).collect();
    let counted: Vec<i64> = amounts.iter().map(|(.., n)| n.cast_signed()).collect();
    sqlx::query(
        "with old as (delete from heddle.usage_days where day < $5) \
         insert into heddle.usage_days (org_id, day, meter, amount) \
         select $1, a.day, a.meter, a.amount from unnest($2::date[], $3::text[], $4::bigint[]) as a (day, meter, amount) \
         order by a.day, a.meter \
         on conflict (org_id, day, meter) do update set amount = usage_days.amount + excluded.amount",
    )
    .bind(org)
    .bind(days)
    .bind(meters)
    .bind(counted)
    .bind((now - KEPT).date_naive())
    .execute(work.conn())
    .await?;
    Ok(())
}

/// Adds one to what is written, with whatever else the transaction does.
pub(crate) async fn add_one(work: &mut Work, meter: Meter) -> Result<()> {
    let day = work.now().date_naive();
    add(work, &[(day, meter, 1)]).await
}

/// What was used on each of the last so many days, today last; days without any use are there as well.
///
/// # Errors
/// [`crate::Error::Unavailable`].
pub async fn days<P: Permission>(tx: &mut Tx<P>, days: u32) -> Result<Vec<UsageDay>> {
    let now: DateTime<Utc> = tx.work.now();
    let today = now.date_naive();
    let first = today - TimeDelta::days(i64::from(days.saturating_sub(1)));
    let rows: Vec<(NaiveDate, String, i64)> = sqlx::query_as(
        "select u.day, u.meter, u.amount from heddle.usage_days u where u.day between $1 and $2",
    )
    .bind(first)
    .bind(today)
    .fetch_all(tx.work.conn())
    .await?;
    let mut all: BTreeMap<NaiveDate, UsageDay> = first
        .iter_days()
        .take_while(|day| *day <= today)
        .map(|day| {
            let amounts = BTreeMap::new();
            (day, UsageDay { day, amounts })
        })
        .collect();
    for (day, meter, amount) in rows {
        // What a later version counts is nothing to this one.
        let known = Meter::ALL.iter().find(|one| one.as_str() == meter);
        if let (Some(known), Some(of)) = (known, all.get_mut(&day)) {
            of.amounts.insert(known.as_str(), amount.unsigned_abs());
        }
    }
    Ok(all.into_values().collect())
}

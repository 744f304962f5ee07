//! How much callers may do who have shown no credential.
//!
//! Counted apart from everything else: however much of it there is, nobody who has a credential is forgotten for it. Whatever is
//! remembered of a place or an address takes one of the uses that all share, so there is never more of it than is kept.

use std::net::{IpAddr, Ipv6Addr};

use chrono::{DateTime, TimeDelta, Utc};

use crate::allowance::{Allowance, Rate};
use crate::devices::Wait;

/// How much comes from one place.
const FROM_PLACE: Rate = Rate {
    burst: 60,
    every: TimeDelta::seconds(2),
};

/// The uses of strangers. Not together: who tries links must not empty what counts those who ask.
#[derive(Debug, Default)]
pub(crate) struct Strangers {
    asking: Allowance,
    links: Allowance,
}

/// Where somebody is: all of the last 64 bits are one subscriber's.
fn place(ip: Option<IpAddr>) -> String {
    match ip.map(|ip| ip.to_canonical()) {
        None => String::new(),
        Some(IpAddr::V4(ip)) => ip.to_string(),
        Some(IpAddr::V6(ip)) => {
            let [a, b, c, d, ..] = ip.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).to_string()
        }
    }
}

impl Strangers {
    /// Counts somebody who asks for something that we keep, about an account if it is about one.
    pub(crate) fn ask(
        &self,
        what: &str,
        all: Rate,
        from: Option<IpAddr>,
        account: Option<(&str, Rate)>,
        now: DateTime<Utc>,
    ) -> Result<(), Wait> {
        self.asking.take(what, all, now).map_err(Wait)?;
        let here = format!("{what} from {}", place(from));
        if let Err(wait) = self.asking.take(&here, FROM_PLACE, now) {
            // One place alone takes nothing away from the others.
            self.asking.give_back(what, all);
            return Err(Wait(wait));
        }
        if let Some((account, rate)) = account {
            let account = format!("{what} of {account}");
            self.asking.take(&account, rate, now).map_err(Wait)?;
        }
        Ok(())
    }

    /// Counts somebody who tries a link.
    pub(crate) fn try_link(&self, from: Option<IpAddr>, now: DateTime<Utc>) -> Result<(), Wait> {
        self.links.take(&place(from), FROM_PLACE, now).map_err(Wait)
    }

    /// The link that was counted was a good one.
    pub(crate) fn link_was_good(&self, from: Option<IpAddr>) {
        self.links.give_back(&place(from), FROM_PLACE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Rate = Rate {
        burst: 600,
        every: TimeDelta::milliseconds(500),
    };
    const OF_ACCOUNT: Rate = Rate {
        burst: 3,
        every: TimeDelta::minutes(5),
    };

    fn now() -> DateTime<Utc> {
        "2026-05-01T12:00:00Z".parse().unwrap()
    }

    #[test]
    fn sec_a10_however_many_places_and_accounts_there_are_all_share_one_measure() {
        let strangers = Strangers::default();
        let mut asked = 0;
        for n in 0..30_000_u32 {
            let from = Some(IpAddr::from(n.to_be_bytes()));
            let account = n.to_string();
            let account = Some((account.as_str(), OF_ACCOUNT));
            asked += u32::from(strangers.ask("x", ALL, from, account, now()).is_ok());
        }
        assert_eq!(asked, 600);
        // Something else has a measure of its own.
        assert_eq!(strangers.ask("y", ALL, None, None, now()), Ok(()));
    }

    #[test]
    fn sec_a10_a_place_takes_nothing_away_from_others_and_is_as_large_as_a_subscriber() {
        let strangers = Strangers::default();
        let ask = |ip: &str| strangers.ask("x", ALL, Some(ip.parse().unwrap()), None, now());
        let from_one = (0..2000).filter(|n| ask(&format!("2001:db8:0:1::{n:x}")).is_ok());
        assert_eq!(from_one.count(), 60);
        assert_eq!(ask("2001:db8:0:2::1"), Ok(()));
        let from_another = (0..2000).filter(|n| {
            let other = ["192.0.2.1", "::ffff:192.0.2.1"][n % 2];
            ask(other).is_ok()
        });
        assert_eq!(from_another.count(), 60);
        assert_eq!(ask("192.0.2.2"), Ok(()));
    }
}

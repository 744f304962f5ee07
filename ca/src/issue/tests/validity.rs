//! When a leaf is valid, and when it is due.

use proptest::prelude::*;

use super::*;

#[test]
fn a_profile_has_limits() {
    let new = |seconds| Profile::new(std::time::Duration::from_secs(seconds));
    for good in [5, 20, 86_400, 72 * 3_600] {
        assert!(new(good).is_ok(), "{good}");
    }
    for bad in [0, 4, 72 * 3_600 + 1, u64::MAX] {
        assert!(matches!(new(bad), Err(Error::Lifetime { .. })), "{bad}");
    }
    assert_eq!(
        Profile::default(),
        Profile::new(Profile::DEFAULT_LIFETIME).expect("default")
    );
}

#[test]
fn spiffe_s18_validity_is_back_dated_and_inside_the_issuers() {
    let bench = Bench::new(1);
    let subject = subject(1, "payments", 1);
    let issuer = bench.issuer.validity();
    let at = |now| bench.prepare(&subject, now).map(|p| p.entry);

    // At birth the back-dating is the issuer's own.
    assert_eq!(at(start()).expect("issue").not_before, issuer.not_before);
    // A clock that stepped back a little does not reach before the issuer.
    let early = start() - TimeDelta::minutes(3);
    assert_eq!(at(early).expect("issue").not_before, issuer.not_before);
    // In the middle of its life.
    let middle = start() + TimeDelta::days(40);
    let entry = at(middle).expect("issue");
    assert_eq!(entry.not_before.timestamp(), middle.timestamp() - 300);
    assert_eq!(entry.not_after.timestamp(), middle.timestamp() + 86_400);
    assert_eq!(entry.issued_at, middle);
    // Near its end the leaf is cut.
    let late = issuer.not_after - TimeDelta::hours(2);
    assert_eq!(at(late).expect("issue").not_after, issuer.not_after);
}

#[test]
fn sec_c10_c11_a_clock_outside_of_the_issuers_life_issues_nothing() {
    let bench = Bench::new(1);
    let subject = subject(1, "payments", 1);
    let error = |now| bench.prepare(&subject, now).expect_err("refused");
    let back = error(start() - TimeDelta::days(2));
    assert!(matches!(back, Error::IssuerNotYetValid { .. }), "{back:?}");
    let ahead = error(start() + TimeDelta::days(400));
    assert!(matches!(ahead, Error::IssuerExpired { .. }), "{ahead:?}");
    let last_moment = error(bench.issuer.validity().not_after - TimeDelta::seconds(2));
    assert!(
        matches!(last_moment, Error::IssuerExpired { .. }),
        "{last_moment:?}"
    );
}

#[test]
fn renewal_is_at_half_life_from_the_issue_and_spread_by_the_serial() {
    let issued = start();
    let after = issued + TimeDelta::seconds(20);
    let due = |serial: &str| (renew_at(issued, after, serial) - issued).num_milliseconds();
    assert_eq!(due(&format!("{}0000", "4".repeat(28))), 9_000);
    assert_eq!(due(&format!("{}8000", "4".repeat(28))), 10_000);
    assert_eq!(due(&format!("{}ffff", "4".repeat(28))), 10_999);
    for text in ["", "x", "zz", "\u{e9}\u{e9}\u{e9}", "4g"] {
        assert_eq!(due(text), 10_000, "{text:?}");
    }
    let random = SeededRandom::new(5);
    let draws: Vec<i64> = (0..500)
        .map(|_| due(&Serial::draw(&random).expect("draw").to_hex()))
        .collect();
    let early = draws.iter().filter(|ms| **ms < 9_500).count();
    let late = draws.iter().filter(|ms| **ms > 10_500).count();
    assert!(
        early > 80 && late > 80,
        "spread over the whole window: {early} {late}"
    );
}

proptest! {
    #[test]
    fn property_renewal_lies_within_a_tenth_of_half_life(seconds in 5_i64..=259_200, serial in "[0-9a-f]{32}") {
        let (issued, after) = (start(), start() + TimeDelta::seconds(seconds));
        let due = (renew_at(issued, after, &serial) - issued).num_milliseconds();
        prop_assert!(due >= seconds * 450 && due <= seconds * 550);
        prop_assert_eq!(renew_at(issued, after, &serial), renew_at(issued, after, &serial));
    }

    #[test]
    fn property_whatever_the_clock_says_a_leaf_lies_inside_its_issuer(offset in -200_i64..200, seconds in 5_u64..259_200) {
        let profile = Profile::new(std::time::Duration::from_secs(seconds)).expect("allowed");
        let issuer = Validity { not_before: start(), not_after: start() + TimeDelta::days(90) };
        let now = start() + TimeDelta::days(offset) + TimeDelta::milliseconds(offset * 77);
        match profile.validity(issuer, now) {
            Ok(leaf) => {
                prop_assert!(leaf.not_before >= issuer.not_before && leaf.not_after <= issuer.not_after);
                prop_assert!(leaf.not_before <= now && now < leaf.not_after);
                prop_assert!(leaf.not_after - now <= TimeDelta::seconds(i64::try_from(seconds).expect("small")));
            }
            Err(Error::IssuerNotYetValid { .. }) => prop_assert!(now < issuer.not_before),
            Err(Error::IssuerExpired { .. }) => prop_assert!(now > issuer.not_after - TimeDelta::seconds(5)),
            Err(other) => prop_assert!(false, "{other}"),
        }
    }
}

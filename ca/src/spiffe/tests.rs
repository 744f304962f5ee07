//! One test per rule, values from the list of the design, and two properties.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::SystemRandom;
use crate::testing::SeededRandom;

fn refused(text: &str) -> SpiffeError {
    SpiffeId::parse(text).expect_err(text)
}

#[test]
fn spiffe_s01_scheme_and_trust_domain_and_nothing_else() {
    assert_eq!(refused("https://td/a"), SpiffeError::Scheme);
    assert_eq!(refused("td/a"), SpiffeError::Scheme);
    assert_eq!(refused("spiffe:/td/a"), SpiffeError::Scheme);
    assert_eq!(refused(" spiffe://td/a"), SpiffeError::Scheme);
    assert_eq!(refused(""), SpiffeError::Scheme);
    assert_eq!(refused("spiffe:///a"), SpiffeError::EmptyTrustDomain);
    assert_eq!(refused("spiffe://"), SpiffeError::EmptyTrustDomain);
    assert_eq!(refused("spiffe://td?x"), SpiffeError::Query);
    assert_eq!(refused("spiffe://td/a?x=1"), SpiffeError::Query);
    assert_eq!(refused("spiffe://td#f"), SpiffeError::Fragment);
    assert_eq!(refused("spiffe://td/a#f"), SpiffeError::Fragment);
    assert_eq!(refused("spiffe://u@td"), SpiffeError::UserInfo);
    assert_eq!(refused("spiffe://u:p@td/a"), SpiffeError::UserInfo);
    assert_eq!(refused("spiffe://td:443"), SpiffeError::Port);
    assert_eq!(refused("spiffe://td:/a"), SpiffeError::Port);
}

#[test]
fn spiffe_s02_trust_domain_characters_and_length() {
    for bad in [
        "TD", "t%64", "t\u{434}", "[::1]", "a b", "a/b", "a:1", "a\0", "a\n",
    ] {
        assert_eq!(
            TrustDomain::parse(bad),
            Err(SpiffeError::TrustDomainCharacter),
            "{bad:?}"
        );
    }
    assert_eq!(
        refused("spiffe://[::1]/a"),
        SpiffeError::TrustDomainCharacter
    );
    assert_eq!(
        refused("spiffe://t%64/a"),
        SpiffeError::TrustDomainCharacter
    );
    assert_eq!(TrustDomain::parse(""), Err(SpiffeError::EmptyTrustDomain));
    assert_eq!(
        TrustDomain::parse(&"a".repeat(256)),
        Err(SpiffeError::TrustDomainTooLong)
    );
    for good in ["1.2.3.4", "example.org", "a_b-c.d", &"a".repeat(255)] {
        assert_eq!(TrustDomain::parse(good).expect(good).as_str(), good);
    }
}

#[test]
fn spiffe_s03_path_segments() {
    for bad in [
        "spiffe://td//a",
        "spiffe://td/a//b",
        "spiffe://td/a/",
        "spiffe://td/",
    ] {
        assert_eq!(refused(bad), SpiffeError::EmptySegment, "{bad}");
    }
    for bad in ["spiffe://td/./a", "spiffe://td/a/..", "spiffe://td/../a"] {
        assert_eq!(refused(bad), SpiffeError::RelativeSegment, "{bad}");
    }
    for bad in [
        "spiffe://td/%61",
        "spiffe://td/\u{e9}",
        "spiffe://td/a b",
        "spiffe://td/a:b",
    ] {
        assert_eq!(refused(bad), SpiffeError::PathCharacter, "{bad}");
    }
    let upper = SpiffeId::parse("spiffe://td/Service/A.b-c_1").expect("every allowed character");
    assert_eq!(upper.path(), "/Service/A.b-c_1");
    assert_ne!(
        upper,
        SpiffeId::parse("spiffe://td/service/a.b-c_1").expect("other case")
    );
    assert_eq!(
        SpiffeId::parse("spiffe://td/...")
            .expect("three dots are a name")
            .path(),
        "/..."
    );
}

#[test]
fn spiffe_s04_at_most_2048_bytes() {
    let head = "spiffe://td/";
    let longest = format!("{head}{}", "a".repeat(2048 - head.len()));
    assert_eq!(
        SpiffeId::parse(&longest)
            .expect("2048 bytes")
            .as_str()
            .len(),
        2048
    );
    assert_eq!(refused(&format!("{longest}a")), SpiffeError::TooLong);
    let td = TrustDomain::parse("td").expect("td");
    assert_eq!(
        SpiffeId::service(&td, &"s".repeat(2048)),
        Err(SpiffeError::TooLong)
    );
}

#[test]
fn spiffe_s05_case_is_folded_on_parse() {
    let id = SpiffeId::parse("SPIFFE://Example.ORG/Path").expect("capitals are read");
    assert_eq!(id.as_str(), "spiffe://example.org/Path");
    assert_eq!(id.trust_domain().as_str(), "example.org");
}

#[test]
fn spiffe_s06_generated_trust_domains_are_unique_and_well_formed() {
    let seeded = TrustDomain::generate("shop", &SeededRandom::new(7), "heddle.internal");
    let again = TrustDomain::generate("shop", &SeededRandom::new(7), "heddle.internal");
    assert_eq!(
        seeded.expect("generate"),
        again.expect("generate"),
        "randomness is a parameter"
    );

    let mut seen = BTreeSet::new();
    for _ in 0..2_000 {
        let made =
            TrustDomain::generate("shop", &SystemRandom, "heddle.internal").expect("generate");
        let tag = made
            .as_str()
            .strip_prefix("shop-")
            .and_then(|t| t.strip_suffix(".heddle.internal"));
        let tag = tag.expect("the parts are in place");
        assert_eq!(tag.len(), 8);
        assert!(tag.bytes().all(|b| BASE32.contains(&b)), "{tag}");
        assert!(seen.insert(made));
    }
    assert!(TrustDomain::generate("Shop", &SystemRandom, "x").is_err());
    assert!(TrustDomain::generate(&"m".repeat(250), &SystemRandom, "x").is_err());
}

#[test]
fn spiffe_s12_service_ids_have_a_path_and_domain_ids_do_not() {
    let td = TrustDomain::parse("shop-abcdefgh.example").expect("td");
    let id = SpiffeId::service(&td, "payments").expect("service");
    assert_eq!(
        id.as_str(),
        "spiffe://shop-abcdefgh.example/service/payments"
    );
    assert_eq!(id.service_name(), Some("payments"));
    assert_eq!(id.trust_domain(), td);
    assert_eq!(td.id().as_str(), "spiffe://shop-abcdefgh.example");
    assert_eq!(td.id().path(), "");
    assert_eq!(td.id().service_name(), None);
    assert_eq!(SpiffeId::parse(td.id().as_str()).expect("own id"), td.id());
    for bad in ["", ".", "..", "a/b", "a%2fb", "a b", "\u{e9}"] {
        assert!(SpiffeId::service(&td, bad).is_err(), "{bad:?}");
    }
}

proptest! {
    #[test]
    fn property_print_then_parse_is_identity(
        domain in "[a-z0-9._-]{1,64}",
        path in proptest::collection::vec("[A-Za-z0-9_-]{1,20}", 0..5),
    ) {
        let text = format!("spiffe://{domain}{}", path.iter().map(|p| format!("/{p}")).collect::<String>());
        let id = SpiffeId::parse(&text).expect("built from allowed parts");
        prop_assert_eq!(id.as_str(), &text);
        prop_assert_eq!(id.trust_domain(), TrustDomain::parse(&domain).expect("allowed"));
        prop_assert_eq!(&SpiffeId::parse(id.as_str()).expect("again"), &id);
    }

    #[test]
    fn property_whatever_is_accepted_is_canonical(text in "(?i:spiffe)://[a-zA-Z0-9./%:@?#\\[\\]_é-]{0,40}") {
        if let Ok(id) = SpiffeId::parse(&text) {
            prop_assert!(text.eq_ignore_ascii_case(id.as_str()));
            prop_assert_eq!(&SpiffeId::parse(id.as_str()).expect("canonical"), &id);
            prop_assert!(TrustDomain::parse(id.trust_domain().as_str()).is_ok());
            prop_assert!(!id.as_str().contains(['%', '?', '#', '@', ' ']));
        }
    }
}

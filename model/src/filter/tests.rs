use proptest::prelude::*;

use super::*;
use crate::kind::{AccessRule, Mesh, Route, Service};

fn equal(field: Target, value: Literal) -> Expr {
    let op = Op::Equal;
    Expr::Compare { field, op, value }
}

fn text(value: &str) -> Literal {
    Literal::Text(value.to_owned())
}

#[test]
fn what_can_be_said() {
    let team = || equal(Target::Label(String::from("team")), text("pay"));
    let name = |n: &str| equal(Target::Name, text(n));
    let cases = [
        (r#"labels.team="pay""#, team()),
        (r#"labels.team = pay"#, team()),
        (r#"((labels.team="pay"))"#, team()),
        (
            r#"labels."app.example/name" = "x \"y\" \\ z""#,
            equal(
                Target::Label(String::from("app.example/name")),
                text(r#"x "y" \ z"#),
            ),
        ),
        (
            r#"labels.team="pay" AND name="a" AND name="b""#,
            Expr::And(vec![team(), name("a"), name("b")]),
        ),
        (
            r#"NOT name="a" OR (labels.team="pay" AND NOT NOT name="b")"#,
            Expr::Or(vec![
                Expr::Not(Box::new(name("a"))),
                Expr::And(vec![
                    team(),
                    Expr::Not(Box::new(Expr::Not(Box::new(name("b"))))),
                ]),
            ]),
        ),
        (
            "priority >= 10",
            Expr::Compare {
                field: Target::Sent(String::from("priority")),
                op: Op::GreaterOrEqual,
                value: Literal::Number(10),
            },
        ),
        (
            "meta.created_at < 2026-01-31T12:00:00Z",
            Expr::Compare {
                field: Target::CreatedAt,
                op: Op::Less,
                value: Literal::Time("2026-01-31T12:00:00Z".parse().unwrap()),
            },
        ),
        (
            "meta.revision != 7",
            Expr::Compare {
                field: Target::Revision,
                op: Op::NotEqual,
                value: Literal::Number(7),
            },
        ),
    ];
    for (filter, expr) in cases {
        assert_eq!(parse(filter, &Fields::of::<Route>()), Ok(expr), "{filter}");
    }
    let protected = parse("deletion_protection=false", &Fields::of::<Mesh>());
    let field = Target::Sent(String::from("deletion_protection"));
    assert_eq!(protected, Ok(equal(field, Literal::Boolean(false))));
    let denied = parse("action=deny", &Fields::of::<AccessRule>());
    let field = Target::Sent(String::from("action"));
    assert_eq!(denied, Ok(equal(field, text("deny"))));
}

#[test]
fn what_cannot_and_where() {
    for (filter, at) in [
        ("", 1),
        ("name", 5),
        ("name=", 6),
        ("name=\"a", 6),
        ("name=\"a\\n\"", 8),
        ("name=\"a\u{1}\"", 8),
        ("name==\"a\"", 6),
        ("name=\"a\" name=\"b\"", 10),
        ("name=\"a\" AND", 13),
        ("(name=\"a\"", 10),
        ("name=\"a\")", 9),
        ("nope=\"a\"", 1),
        ("spec.name=\"a\"", 1),
        ("labels.=\"a\"", 1),
        ("ports=\"a\"", 1),
        ("\"name\"=name", 1),
        ("name<\"a\"", 5),
        ("meta.revision=\"7\"", 15),
        ("meta.revision=x", 15),
        ("meta.created_at=yesterday", 17),
        ("name=\"a\" OR name=\"b\" AND name=\"c\"", 22),
        ("name=\"a\"; drop table x", 9),
        ("name='a'", 6),
    ] {
        let refused = parse(filter, &Fields::of::<Service>()).unwrap_err();
        assert_eq!(refused.at, at, "{filter}: {refused}");
    }
    let unknown = parse("nope=1", &Fields::of::<Service>()).unwrap_err();
    assert!(
        unknown.unknown_field
            && unknown
                .reason
                .contains("labels.<key>, name, meta.created_at")
    );
    let long = format!("name=\"{}\"", "a".repeat(LONGEST));
    assert!(parse(&long, &Fields::of::<Service>()).is_err());
    let deep = format!("{}name=a{}", "(".repeat(500), ")".repeat(500));
    assert!(
        parse(&deep, &Fields::of::<Service>())
            .unwrap_err()
            .reason
            .contains("deeper")
    );
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(filter in r#"[ -~éA-Z()="!<>\\]{0,60}"#) {
        let _ = parse(&filter, &Fields::of::<Service>());
    }

    #[test]
    fn any_text_can_be_compared_to(value in "[^\u{0}-\u{1f}\u{7f}-\u{9f}]{0,40}") {
        let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
        let read = parse(&format!("name=\"{quoted}\""), &Fields::of::<Service>());
        prop_assert_eq!(read, Ok(equal(Target::Name, text(&value))));
    }
}

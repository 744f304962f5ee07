use super::*;
use crate::kind::{AccessRule, Mesh, Profile, Route, Service, Split};

fn refused<T: Spec + std::fmt::Debug>(body: &str) -> Vec<(String, &'static str)> {
    match decode::<T>(body.as_bytes()) {
        Ok(decoded) => panic!("accepted: {decoded:?}"),
        Err(Refused::Malformed(one)) => vec![(one.pointer, one.code.as_str())],
        Err(Refused::Invalid(all)) => all
            .into_sorted()
            .into_iter()
            .map(|v| (v.pointer, v.code.as_str()))
            .collect(),
    }
}

fn accepts_its_sample<T: Spec + std::fmt::Debug>() {
    let sample = T::sample().to_string();
    if let Err(refused) = decode::<T>(sample.as_bytes()) {
        panic!("{:?}: {refused:?}", T::KIND);
    }
}

#[test]
fn every_kind_has_a_schema_and_accepts_its_sample() {
    accepts_its_sample::<Mesh>();
    accepts_its_sample::<Profile>();
    accepts_its_sample::<Service>();
    accepts_its_sample::<Route>();
    accepts_its_sample::<Split>();
    accepts_its_sample::<AccessRule>();
}

#[test]
fn all_violations_come_at_once() {
    let body = r#"{"ports": [{"name": "A", "port": 0, "protocol": "smtp"}, 7], "nope": 1, "hostnames": "x"}"#;
    assert_eq!(
        refused::<Service>(body),
        [
            ("/hostnames".to_owned(), "HED-1003"),
            ("/nope".to_owned(), "HED-1002"),
            ("/ports/0/name".to_owned(), "HED-1006"),
            ("/ports/0/port".to_owned(), "HED-1005"),
            ("/ports/0/protocol".to_owned(), "HED-1007"),
            ("/ports/1".to_owned(), "HED-1003"),
        ]
    );
}

#[test]
fn rules_judge_what_the_schema_has_left() {
    let port = |name: &str, port: &str| {
        format!(r#"{{"name": "{name}", "port": {port}, "protocol": "http"}}"#)
    };
    // The rules about elements are judged beside fields that are wrong.
    let (a, b) = (port("a", "80"), port("a", "80"));
    let hosts = r#""hostnames": ["x.mesh", "ok.example", "ok.example"]"#;
    assert_eq!(
        refused::<Service>(&format!(
            r#"{{"ports": [{a}, {b}], "display_name": 7, {hosts}, "nope": 1}}"#
        )),
        [
            ("/display_name".to_owned(), "HED-1003"),
            ("/hostnames/0".to_owned(), "HED-1006"),
            ("/hostnames/2".to_owned(), "HED-1009"),
            ("/nope".to_owned(), "HED-1002"),
            ("/ports/1/name".to_owned(), "HED-1009"),
            ("/ports/1/port".to_owned(), "HED-1009"),
        ]
    );
    // An element without what it needs goes, and its array is judged no more: its elements are counted otherwise since.
    let bad = port("c", "0");
    assert_eq!(
        refused::<Service>(&format!(r#"{{"ports": [{bad}, {a}, {b}], {hosts}}}"#)),
        [
            ("/hostnames/0".to_owned(), "HED-1006"),
            ("/hostnames/2".to_owned(), "HED-1009"),
            ("/ports/0/port".to_owned(), "HED-1005"),
        ]
    );
    // Of a path that is wrong it is not said too that there is none.
    let matches = ["7", r#""/a?b""#]
        .map(|exact| format!(r#"{{"path": {{"exact": {exact}}}}}"#))
        .join(", ");
    let body = format!(
        r#"{{"priority": 1, "match": [{matches}, {{"path": {{}}}}], "backends": [{{"version": "v1"}}]}}"#
    );
    assert_eq!(
        refused::<Route>(&body),
        [
            ("/match/0/path/exact".to_owned(), "HED-1003"),
            ("/match/1/path/exact".to_owned(), "HED-1006"),
            ("/match/2/path".to_owned(), "HED-1008"),
        ]
    );
    // Nothing typed is left.
    assert_eq!(
        refused::<Route>(r#"{"priority": "x"}"#),
        [
            ("/backends".to_owned(), "HED-1004"),
            ("/priority".to_owned(), "HED-1003"),
        ]
    );
}

#[test]
fn nested_objects_are_checked_too() {
    let body = r#"{"defaults": {"timeout": "15 parsecs", "retries": {"attempts": 11, "on": []}}}"#;
    assert_eq!(
        refused::<Mesh>(body),
        [
            ("/defaults/retries/attempts".to_owned(), "HED-1005"),
            ("/defaults/retries/on".to_owned(), "HED-1005"),
            ("/defaults/timeout".to_owned(), "HED-1006"),
        ]
    );
}

#[test]
fn sec_i08_json_that_is_not_strict_is_refused() {
    assert_eq!(
        refused::<Mesh>(r#"{"display_name": "a", "display_name": "b"}"#)[0].1,
        "HED-1011"
    );
    for body in [
        "",
        "{",
        "[]",
        "1",
        "null",
        "{\"a\": NaN}",
        "{\"a\": 1e400}",
        "{\"display_name\": \"\\ud800\"}",
    ] {
        let code = refused::<Mesh>(body)[0].1;
        assert!(["HED-1001", "HED-1003"].contains(&code), "{body}: {code}");
    }
    let deep = format!("{{\"a\": {}1{}}}", "[".repeat(10_000), "]".repeat(10_000));
    assert_eq!(refused::<Mesh>(&deep)[0].1, "HED-1001");
}

#[test]
fn sec_t04_output_only_fields_are_set_aside_and_others_are_not() {
    let body = r#"{"display_name": "a", "meta": {"etag": "\"r1\"", "org": "x"}, "status": {}, "effective": {}}"#;
    let decoded = decode::<Mesh>(body.as_bytes()).unwrap();
    assert_eq!(decoded.etag.as_deref(), Some("\"r1\""));
    assert_eq!(
        Value::Object(decoded.sent),
        serde_json::json!({"display_name": "a"})
    );
    assert_eq!(
        refused::<Mesh>(r#"{"org_id": "x"}"#),
        [("/org_id".to_owned(), "HED-1002")]
    );
}

#[test]
fn null_is_absent_and_comes_back_as_sent() {
    let decoded =
        decode::<Mesh>(br#"{"display_name": null, "defaults": {"timeout": null}}"#).unwrap();
    assert_eq!(decoded.value.display_name, None);
    assert!(decoded.sent.contains_key("display_name"));
}

#[test]
fn rules_between_fields() {
    assert_eq!(
        refused::<Split>(
            r#"{"weights": [{"version": "v1", "weight": 0}, {"version": "v1", "weight": 0}]}"#
        ),
        [
            ("/weights".to_owned(), "HED-1005"),
            ("/weights/1/version".to_owned(), "HED-1009")
        ]
    );
    assert_eq!(
        refused::<Route>(
            r#"{"priority": 1, "backends": [{}], "match": [{"path": {"exact": "/a", "prefix": "/b"}}]}"#
        ),
        [
            ("/backends/0".to_owned(), "HED-1008"),
            ("/match/0/path".to_owned(), "HED-1008")
        ]
    );
    assert_eq!(
        refused::<AccessRule>(r#"{"action": "allow", "from": [], "to": [{}]}"#)[0],
        ("/from".to_owned(), "HED-1005"),
    );
}

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use chrono::TimeDelta;
use jsonwebtoken::{EncodingKey, Header};
use serde_json::json;

use super::*;

const ISSUER: &str = "https://id.example.com";
const CLIENT: &str = "heddle";
const NONCE: &str = "n-0S6_WzA2Mj";

fn now() -> DateTime<Utc> {
    "2026-05-01T12:00:00Z".parse().unwrap()
}

/// A provider's key on P-256 and what it publishes of it.
struct Signer {
    key: EncodingKey,
    name: String,
    published: Value,
}

fn signer(name: &str) -> Signer {
    let random = SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref()).unwrap();
    let point = pair.public_key().as_ref();
    let half = |at: usize| URL_SAFE_NO_PAD.encode(&point[at..at + 32]);
    Signer {
        key: EncodingKey::from_ec_der(pkcs8.as_ref()),
        name: name.to_owned(),
        published: json!({"kty": "EC", "crv": "P-256", "kid": name, "use": "sig", "alg": "ES256", "x": half(1), "y": half(33)}),
    }
}

fn keys(all: &[&Value]) -> Keys {
    let body = json!({"keys": all}).to_string();
    Keys::read("keys", body.as_bytes()).unwrap()
}

fn claims() -> Value {
    let now = now().timestamp();
    json!({"iss": ISSUER, "aud": CLIENT, "sub": "ada", "nonce": NONCE, "iat": now, "exp": now + 300, "email": "ada@example.com", "auth_time": now - 40})
}

fn signed(signer: &Signer, claims: &Value) -> String {
    let mut header = Header::new(Algorithm::ES256);
    header.kid = Some(signer.name.clone());
    jsonwebtoken::encode(&header, claims, &signer.key).unwrap()
}

fn accepted(token: &str, keys: &Keys) -> Result<Identity, Invalid> {
    let expected = Expected {
        issuer: ISSUER,
        client: CLIENT,
        nonce: NONCE,
        now: now(),
    };
    verify(token, &head(token)?, keys, &expected)
}

fn raw(header: &Value, claims: &Value, signature: &str) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{signature}", part(header), part(claims))
}

#[test]
fn a_token_that_is_one_vouches_for_somebody() {
    let signer = signer("a");
    let keys = keys(&[&signer.published]);
    let identity = accepted(&signed(&signer, &claims()), &keys).unwrap();
    assert_eq!(identity.subject, "ada");
    assert_eq!(identity.email.as_deref(), Some("ada@example.com"));
    assert_eq!(
        identity.authenticated_at,
        Some(now() - TimeDelta::seconds(40))
    );
    let mut several = claims();
    several["aud"] = json!([CLIENT, "another"]);
    several["azp"] = json!(CLIENT);
    assert!(accepted(&signed(&signer, &several), &keys).is_ok());
}

#[test]
fn sec_a01_a_token_that_nobody_signed_is_none() {
    let signer = signer("a");
    let keys = keys(&[&signer.published]);
    for alg in ["none", "None", "NONE", "nOnE", "", "ES512", "RS1"] {
        let header = json!({"alg": alg, "kid": "a"});
        for signature in ["", "AAAA"] {
            let refused = accepted(&raw(&header, &claims(), signature), &keys);
            assert!(
                matches!(refused, Err(Invalid::Algorithm(_))),
                "{alg}: {refused:?}"
            );
        }
    }
    let token = signed(&signer, &claims());
    let [head, body, signature] = token.split('.').collect::<Vec<_>>()[..] else {
        panic!("{token}");
    };
    let cut = &signature[..signature.len() - 2];
    for text in [
        format!("{head}.{body}."),
        format!("{head}.{body}"),
        format!("{head}..{signature}"),
        format!("{head}.{body}.{signature}.{signature}"),
        format!("{head}.{body}.{cut}"),
        format!("{head}.{body}.AAAA"),
        String::new(),
        String::from("..."),
        "a".repeat(MOST_BYTES + 1),
    ] {
        let refused = accepted(&text, &keys);
        assert!(
            matches!(refused, Err(Invalid::Malformed | Invalid::Signature)),
            "{text}: {refused:?}"
        );
    }
}

#[test]
fn sec_a02_a_public_key_is_no_password() {
    let signer = signer("a");
    let mut more = json!({"kty": "oct", "kid": "a", "k": "c2VjcmV0", "alg": "HS256"});
    let both = keys(&[&signer.published, &more]);
    for alg in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
        for secret in [
            signer.published.to_string().into_bytes(),
            b"secret".to_vec(),
        ] {
            let mut header = Header::new(alg);
            header.kid = Some(String::from("a"));
            let key = EncodingKey::from_secret(&secret);
            let token = jsonwebtoken::encode(&header, &claims(), &key).unwrap();
            let refused = accepted(&token, &both);
            assert!(matches!(refused, Err(Invalid::Algorithm(_))), "{refused:?}");
        }
    }
    // A key for something else, or for another algorithm, has signed nothing.
    let token = signed(&signer, &claims());
    for (field, value) in [
        ("use", json!("enc")),
        ("alg", json!("ES384")),
        ("crv", json!("P-384")),
        ("key_ops", json!(["encrypt"])),
        ("kid", json!("b")),
    ] {
        more = signer.published.clone();
        more[field] = value;
        let another = self::signer("z");
        let refused = accepted(&token, &keys(&[&more, &another.published]));
        assert_eq!(refused, Err(Invalid::Key), "{field}");
    }
}

#[test]
fn sec_a03_a_key_is_where_the_provider_says_and_not_where_the_token_does() {
    let (ours, other) = (signer("a"), signer("a"));
    let theirs = keys(&[&ours.published]);
    assert_eq!(
        accepted(&signed(&other, &claims()), &theirs),
        Err(Invalid::Signature)
    );
    for name in ["../../etc/passwd", "' or 1=1 --", "", "A"] {
        let named = Signer {
            name: name.to_owned(),
            ..signer(name)
        };
        assert_eq!(
            accepted(&signed(&named, &claims()), &theirs),
            Err(Invalid::Key),
            "{name}"
        );
    }
    for odd in ["jku", "jwk", "x5u", "crit"] {
        let mut header = json!({"alg": "ES256", "kid": "a"});
        header[odd] = json!("https://evil.example.com");
        assert_eq!(
            accepted(&raw(&header, &claims(), "AAAA"), &theirs),
            Err(Invalid::Header(odd))
        );
    }
    // Without a name it has to be the only one.
    let unnamed =
        jsonwebtoken::encode(&Header::new(Algorithm::ES256), &claims(), &ours.key).unwrap();
    assert!(accepted(&unnamed, &theirs).is_ok());
    let two = keys(&[&ours.published, &signer("b").published]);
    assert_eq!(accepted(&unnamed, &two), Err(Invalid::Key));
}

#[test]
fn sec_a04_a_token_for_somebody_else_is_none_for_us() {
    let signer = signer("a");
    let keys = keys(&[&signer.published]);
    let with = |more: &Value| {
        let mut all = claims();
        for (name, value) in more.as_object().unwrap() {
            all[name] = value.clone();
        }
        accepted(&signed(&signer, &all), &keys)
    };
    for aud in [
        json!("another"),
        json!(["another"]),
        json!([]),
        json!("heddle2"),
        json!("Heddle"),
    ] {
        let refused = with(&json!({"aud": aud}));
        assert!(
            matches!(refused, Err(Invalid::Audience(_))),
            "{aud}: {refused:?}"
        );
    }
    for aud in [json!(null), json!(7), json!({"heddle": 1})] {
        assert_eq!(with(&json!({"aud": aud})), Err(Invalid::Claim("aud")));
    }
    let several = json!([CLIENT, "another"]);
    assert_eq!(with(&json!({"aud": several})), Err(Invalid::Claim("azp")));
    let by = with(&json!({"aud": several, "azp": "another"}));
    assert_eq!(by, Err(Invalid::Audience(String::from("another"))));
    assert_eq!(with(&json!({"azp": 7})), Err(Invalid::Claim("azp")));
}

#[test]
fn sec_a05_a_token_is_good_for_a_while() {
    let signer = signer("a");
    let keys = keys(&[&signer.published]);
    let at = now().timestamp();
    let with = |name: &str, value: Value| {
        let mut all = claims();
        match value {
            Value::Null => drop(all.as_object_mut().unwrap().remove(name)),
            value => all[name] = value,
        }
        accepted(&signed(&signer, &all), &keys)
    };
    // A minute to each side for clocks that differ, and no second more.
    assert!(with("exp", json!(at - 59)).is_ok());
    assert_eq!(with("exp", json!(at - 60)), Err(Invalid::Expired(60)));
    assert_eq!(with("exp", json!(at - 61)), Err(Invalid::Expired(61)));
    assert!(with("iat", json!(at + 60)).is_ok());
    assert_eq!(with("iat", json!(at + 61)), Err(Invalid::Early(61)));
    assert_eq!(with("nbf", json!(at + 61)), Err(Invalid::Early(61)));
    for (name, odd) in [
        ("exp", json!(null)),
        ("exp", json!("never")),
        ("exp", json!(1e18)),
        ("exp", json!(u64::MAX)),
        ("exp", json!(0)),
        ("iat", json!(null)),
        ("iat", json!(-1)),
    ] {
        let refused = with(name, odd.clone());
        assert!(
            matches!(refused, Err(Invalid::Claim(_))),
            "{name} {odd}: {refused:?}"
        );
    }
}

#[test]
fn sec_a06_a_token_of_another_issuer_is_none() {
    let signer = signer("a");
    let keys = keys(&[&signer.published]);
    for iss in [
        "https://id.example.com/",
        "https://ID.example.com",
        "https://id.exampl\u{435}.com",
        "",
    ] {
        let mut all = claims();
        all["iss"] = json!(iss);
        let refused = accepted(&signed(&signer, &all), &keys);
        assert_eq!(refused, Err(Invalid::Issuer(iss.to_owned())));
    }
}

#[test]
fn sec_a07_a_token_for_another_sign_in_is_none() {
    let signer = signer("a");
    let keys = keys(&[&signer.published]);
    for (nonce, why) in [
        (json!("another"), Invalid::Nonce),
        (json!(""), Invalid::Nonce),
        (json!(null), Invalid::Claim("nonce")),
        (json!(7), Invalid::Claim("nonce")),
    ] {
        let mut all = claims();
        all["nonce"] = nonce;
        assert_eq!(accepted(&signed(&signer, &all), &keys), Err(why));
    }
}

#[test]
fn sec_a08_nobody_is_somebody_without_a_subject() {
    let signer = signer("a");
    let keys = keys(&[&signer.published]);
    for sub in [
        json!(null),
        json!(""),
        json!(7),
        json!("a\nb"),
        json!("x".repeat(256)),
    ] {
        let mut all = claims();
        all["sub"] = sub;
        assert_eq!(
            accepted(&signed(&signer, &all), &keys),
            Err(Invalid::Claim("sub"))
        );
    }
}

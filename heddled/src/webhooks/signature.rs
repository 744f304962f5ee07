//! How messages are signed: Standard Webhooks, `v1` (HMAC-SHA256 over the identifier, the time and the body).

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret as _, SecretSlice};

/// The signatures by all of these secrets, with a space between: whoever knows one of them finds one that fits.
pub(super) fn sign(secrets: &[SecretSlice<u8>], id: &str, timestamp: i64, body: &str) -> String {
    let signed = format!("{id}.{timestamp}.{body}");
    let sign = |secret: &SecretSlice<u8>| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret());
        let tag = hmac::sign(&key, signed.as_bytes());
        format!("v1,{}", STANDARD.encode(tag))
    };
    secrets.iter().map(sign).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification: <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>.
    #[test]
    fn sec_k07_the_example_of_the_specification_is_signed_as_it_says() {
        let key = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let secrets = [SecretSlice::from(key), SecretSlice::from(vec![7; 32])];
        let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
        let signed = sign(&secrets, id, 1_614_265_330, r#"{"test": 2432232314}"#);
        let (first, second) = signed.split_once(' ').unwrap();
        assert_eq!(first, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert!(second.starts_with("v1,"));
    }
}

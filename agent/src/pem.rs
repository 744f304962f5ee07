//! PEM, written; keys leave no copies behind.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// One block. The buffer has its full size from the start, so growing leaves no copies.
pub(crate) fn block(label: &str, der: &[u8]) -> Zeroizing<String> {
    let text = Zeroizing::new(STANDARD.encode(der));
    let mut pem = Zeroizing::new(String::with_capacity(text.len() * 2 + 128));
    let mut line = |parts: [&str; 3]| {
        parts.into_iter().for_each(|part| pem.push_str(part));
        pem.push('\n');
    };
    line(["-----BEGIN ", label, "-----"]);
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (head, after) = rest.split_at(rest.len().min(64)); // base64 is ASCII
        line([head, "", ""]);
        rest = after;
    }
    line(["-----END ", label, "-----"]);
    pem
}

/// Certificates, one after the other.
pub(crate) fn certificates(ders: &[Vec<u8>]) -> String {
    let blocks = ders.iter().map(|der| block("CERTIFICATE", der));
    blocks.fold(String::new(), |text, block| text + &block)
}

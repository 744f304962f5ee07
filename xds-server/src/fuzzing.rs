//! What the fuzzer's programs call (`xds-server/fuzz`); compiled for them alone.

/// One input to a stream of the incremental protocol.
pub fn delta(data: &[u8]) {
    crate::codec::feed::delta(data);
}

/// One input to a stream of the state-of-the-world protocol.
pub fn sotw(data: &[u8]) {
    crate::codec::feed::sotw(data);
}

/// One input to a connection.
pub fn http2(data: &[u8]) {
    crate::http2::feed::feed(data);
}

//! The Huffman code of header fields (RFC 7541 5.2, appendix B): read only, as nothing that is written here is worth it.

use super::hpack::Broken;

/// How many bits stand for each byte. The code is canonical, so that says it all; what ends a text, and may not be in
/// one, is the last of the longest.
#[rustfmt::skip]
const LENGTHS: [u8; 256] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
];

const SHORTEST: usize = 5;
const LONGEST: usize = 30;

/// The codes of each length are numbers in a row.
struct Code {
    /// All bytes, those with the shortest code first.
    bytes: [u8; 256],
    /// The first code of each length, how many there are, and where their bytes stand.
    first: [u32; LONGEST + 1],
    count: [u32; LONGEST + 1],
    start: [usize; LONGEST + 1],
}

const CODE: Code = code();

const fn code() -> Code {
    let mut code = Code {
        bytes: [0; 256],
        first: [0; LONGEST + 1],
        count: [0; LONGEST + 1],
        start: [0; LONGEST + 1],
    };
    let (mut length, mut next, mut place) = (1, 0_u32, 0);
    while length <= LONGEST {
        next <<= 1;
        code.first[length] = next;
        code.start[length] = place;
        let mut byte = 0;
        while byte < LENGTHS.len() {
            if LENGTHS[byte] as usize == length {
                code.bytes[place] = byte as u8;
                place += 1;
                next += 1;
            }
            byte += 1;
        }
        code.count[length] = next - code.first[length];
        length += 1;
    }
    code
}

/// The byte that the next of these bits stand for, and how many those are.
fn next(held: u64, bits: usize) -> Option<(u8, usize)> {
    for length in SHORTEST..=LONGEST.min(bits) {
        let code = (held >> (bits - length)) & ((1 << length) - 1);
        let nth = code.checked_sub(u64::from(CODE.first[length]))?;
        if nth < u64::from(CODE.count[length]) {
            let nth = usize::try_from(nth).ok()?;
            return Some((CODE.bytes[CODE.start[length] + nth], length));
        }
    }
    None
}

/// # Errors
/// It is no text in that code.
pub(super) fn decode(text: &[u8]) -> Result<Vec<u8>, Broken> {
    let mut out = Vec::with_capacity(text.len() * 8 / SHORTEST);
    let (mut held, mut bits) = (0_u64, 0);
    let mut text = text.iter();
    loop {
        while bits <= 56
            && let Some(byte) = text.next()
        {
            held = (held << 8) | u64::from(*byte);
            bits += 8;
        }
        if let Some((byte, length)) = next(held, bits) {
            out.push(byte);
            bits -= length;
            continue;
        }
        // What is left fills the last byte up, with ones.
        let ones = (1 << bits.min(8)) - 1;
        return match bits < 8 && held & ones == ones {
            true => Ok(out),
            false => Err(Broken),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_the_specification_are_read() {
        // RFC 7541 C.4 and C.6.
        for (code, text) in [
            ("f1e3c2e5f23a6ba0ab90f4ff", "www.example.com"),
            ("a8eb10649cbf", "no-cache"),
            ("25a849e95ba97d7f", "custom-key"),
            ("25a849e95bb8e8b4bf", "custom-value"),
            ("6402", "302"),
            (
                "d07abe941054d444a8200595040b8166e082a62d1bff",
                "Mon, 21 Oct 2013 20:13:21 GMT",
            ),
            (
                "9d29ad171863c78f0b97c8e9ae82ae43d3",
                "https://www.example.com",
            ),
            ("", ""),
        ] {
            let code: Vec<u8> = (0..code.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&code[at..at + 2], 16).unwrap())
                .collect();
            assert_eq!(decode(&code).unwrap(), text.as_bytes());
        }
    }

    #[test]
    fn every_byte_has_a_code_and_what_is_none_is_refused() {
        for byte in 0..=255_u8 {
            let length = usize::from(LENGTHS[usize::from(byte)]);
            let nth = CODE.bytes.iter().position(|b| *b == byte).unwrap();
            let code = CODE.first[length] as usize + nth - CODE.start[length];
            let filled = length.next_multiple_of(8);
            let bits = (code + 1) << (filled - length);
            let bytes = (bits - 1).to_be_bytes();
            assert_eq!(decode(&bytes[8 - filled / 8..]).unwrap(), [byte]);
        }
        // The end in the text; a whole byte of filling; filling that is not ones.
        assert!(decode(&[0xff; 4]).is_err());
        assert!(decode(&[0x1f, 0xff]).is_err());
        assert!(decode(&[0x18]).is_err());
    }
}

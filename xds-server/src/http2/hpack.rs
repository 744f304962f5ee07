//! Header fields on the wire (HPACK, RFC 7541).
//!
//! What is read may refer to a table of earlier fields. Peers are asked to keep none, since a connection has few requests; they may
//! until they have heard that. What is written refers to none.

use std::collections::VecDeque;

use http::{HeaderMap, StatusCode};

use super::huffman;

/// A block of fields is not what it should be: nothing after it can be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Broken;

/// What fields may have in all, beside what is refused with a status, counted as HTTP/2 counts them. A byte can stand for a name or a
/// field of thousands: who says more than that wants work, not an answer.
const MOST: usize = 64 << 10;

/// The size of the table of a peer that was told nothing, and what each entry counts beside its texts.
const TABLE: usize = 4096;
const ENTRY: usize = 32;

/// What everybody knows (appendix A); counted from 1.
const KNOWN: [(&str, &str); 61] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];

/// The place of `:status: 200`.
const OK: u8 = 8;
/// The place of `:status`.
const STATUS: u8 = 8;

/// A name and its value.
type Field = (Box<[u8]>, Box<[u8]>);

/// Reads blocks of fields, one after the other.
#[derive(Debug)]
pub(super) struct Decoder {
    /// The newest first.
    table: VecDeque<Field>,
    /// What they count.
    size: usize,
    /// What they may count, as the peer says, and as it may say at most.
    most: usize,
    limit: usize,
}

impl Decoder {
    pub(super) const fn new() -> Self {
        Self {
            table: VecDeque::new(),
            size: 0,
            most: TABLE,
            limit: TABLE,
        }
    }

    /// The peer has heard that it is to keep no table: it has none from here on.
    pub(super) fn keep_nothing(&mut self) {
        *self = Self {
            most: 0,
            limit: 0,
            ..Self::new()
        };
    }

    /// Reads a whole block, and says each field. A block of more than [`MOST`] is broken, too.
    pub(super) fn decode(
        &mut self,
        mut block: &[u8],
        mut field: impl FnMut(&[u8], &[u8]),
    ) -> Result<(), Broken> {
        let mut begun = false;
        let mut size = 0;
        let mut field = |name: &[u8], value: &[u8]| {
            size += name.len() + value.len() + ENTRY;
            field(name, value);
            if size > MOST { Err(Broken) } else { Ok(()) }
        };
        while let Some(first) = block.first().copied() {
            if first & 0x80 != 0 {
                let (name, value) = self.at(number(&mut block, 7)?)?;
                field(name, value)?;
            } else if first & 0x40 != 0 {
                let (name, value) = self.literal(&mut block, 6)?;
                field(&name, &value)?;
                self.insert(name, value);
            } else if first & 0x20 != 0 {
                let most = number(&mut block, 5)?;
                if begun || most > self.limit {
                    return Err(Broken);
                }
                self.most = most;
                self.evict(0);
                continue;
            } else {
                let (name, value) = self.literal(&mut block, 4)?;
                field(&name, &value)?;
            }
            begun = true;
        }
        Ok(())
    }

    fn at(&self, place: usize) -> Result<(&[u8], &[u8]), Broken> {
        let place = place.checked_sub(1).ok_or(Broken)?;
        if let Some((name, value)) = KNOWN.get(place) {
            return Ok((name.as_bytes(), value.as_bytes()));
        }
        let (name, value) = self.table.get(place - KNOWN.len()).ok_or(Broken)?;
        Ok((name, value))
    }

    fn literal(&self, block: &mut &[u8], bits: u32) -> Result<(Vec<u8>, Vec<u8>), Broken> {
        let name = match number(block, bits)? {
            0 => text(block)?,
            place => self.at(place)?.0.to_vec(),
        };
        Ok((name, text(block)?))
    }

    fn insert(&mut self, name: Vec<u8>, value: Vec<u8>) {
        let size = name.len() + value.len() + ENTRY;
        self.evict(size);
        if size <= self.most {
            self.size += size;
            self.table.push_front((name.into(), value.into()));
        }
    }

    /// Makes room for so much.
    fn evict(&mut self, size: usize) {
        while self.size + size > self.most
            && let Some((name, value)) = self.table.pop_back()
        {
            self.size -= name.len() + value.len() + ENTRY;
        }
    }
}

/// A number of which the first byte has so many bits. None that means anything here has more than 28 bits.
fn number(block: &mut &[u8], bits: u32) -> Result<usize, Broken> {
    let mut byte = || {
        let (first, rest) = block.split_first().ok_or(Broken)?;
        *block = rest;
        Ok(usize::from(*first))
    };
    let most = (1 << bits) - 1;
    let mut number = byte()? & most;
    if number < most {
        return Ok(number);
    }
    for shift in [0, 7, 14, 21] {
        let more = byte()?;
        number += (more & 0x7f) << shift;
        if more & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(Broken)
}

fn text(block: &mut &[u8]) -> Result<Vec<u8>, Broken> {
    let huffman = block.first().ok_or(Broken)? & 0x80 != 0;
    let length = number(block, 7)?;
    let (text, rest) = block.split_at_checked(length).ok_or(Broken)?;
    *block = rest;
    match huffman {
        true => huffman::decode(text),
        false => Ok(text.to_vec()),
    }
}

/// Writes fields, after a status if there is one.
pub(super) fn encode(status: Option<StatusCode>, fields: &HeaderMap) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    match status {
        Some(StatusCode::OK) => out.push(0x80 | OK),
        Some(status) => {
            out.push(STATUS);
            put_text(&mut out, status.as_str().as_bytes());
        }
        None => {}
    }
    for (name, value) in fields {
        out.push(0);
        put_text(&mut out, name.as_str().as_bytes());
        put_text(&mut out, value.as_bytes());
    }
    out
}

fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    const MOST: usize = 0x7f;
    match u8::try_from(text.len()) {
        Ok(length) if usize::from(length) < MOST => out.push(length),
        _ => {
            out.push(0x7f);
            let mut rest = text.len() - MOST;
            while rest > 0x7f {
                out.push((rest & 0x7f) as u8 | 0x80);
                rest >>= 7;
            }
            out.push(rest as u8);
        }
    }
    out.extend_from_slice(text);
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    type Fields = Vec<(String, String)>;

    fn hex(text: &str) -> Vec<u8> {
        let text: String = text.split_whitespace().collect();
        let bytes = (0..text.len()).step_by(2);
        bytes
            .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
            .collect()
    }

    fn decode(decoder: &mut Decoder, block: &[u8]) -> Result<Fields, Broken> {
        let mut fields = Vec::new();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        decoder.decode(block, |name, value| fields.push((text(name), text(value))))?;
        Ok(fields)
    }

    fn fields(of: &[(&str, &str)]) -> Fields {
        of.iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn the_requests_of_the_specification_are_read() {
        let first = fields(&[
            (":method", "GET"),
            (":scheme", "http"),
            (":path", "/"),
            (":authority", "www.example.com"),
        ]);
        let mut second = first.clone();
        second.extend(fields(&[("cache-control", "no-cache")]));
        let third = fields(&[
            (":method", "GET"),
            (":scheme", "https"),
            (":path", "/index.html"),
            (":authority", "www.example.com"),
            ("custom-key", "custom-value"),
        ]);
        // RFC 7541 C.3 and C.4: plain, and in the Huffman code.
        for blocks in [
            [
                "828684410f7777772e6578616d706c652e636f6d",
                "828684be58086e6f2d6361636865",
                "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
            ],
            [
                "828684418cf1e3c2e5f23a6ba0ab90f4ff",
                "828684be5886a8eb10649cbf",
                "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
            ],
        ] {
            let mut decoder = Decoder::new();
            for (block, expected) in blocks.iter().zip([&first, &second, &third]) {
                assert_eq!(decode(&mut decoder, &hex(block)).unwrap(), *expected);
            }
            assert_eq!((decoder.table.len(), decoder.size), (3, 164));
            // What the peer had in mind is gone once it was told to keep nothing.
            decoder.keep_nothing();
            assert_eq!(decode(&mut decoder, &[0xbe]), Err(Broken));
            assert!(decode(&mut decoder, &hex("2082")).is_ok());
            assert_eq!(decode(&mut decoder, &hex("3f01")), Err(Broken));
        }
    }

    #[test]
    fn the_table_forgets_what_does_not_fit() {
        let mut decoder = Decoder::new();
        for n in 0..200 {
            let value = format!("{n:0>68}");
            let mut block = vec![0x40, 1, b'n', 68];
            block.extend(value.as_bytes());
            decode(&mut decoder, &block).unwrap();
            assert!(decoder.size <= TABLE);
        }
        assert_eq!(decoder.table.len(), TABLE / 101);
        assert_eq!(
            decode(&mut decoder, &[0x80 | 62]).unwrap()[0].1,
            format!("{:0>68}", 199)
        );
        // Larger than the table: it empties it, and is read all the same.
        let mut large = vec![0x40, 1, b'n'];
        put_text(&mut large, &[b'v'; 5000]);
        assert_eq!(decode(&mut decoder, &large).unwrap()[0].1.len(), 5000);
        assert!(decoder.table.is_empty() && decoder.size == 0);
    }

    #[test]
    fn what_is_no_block_is_refused() {
        for block in [
            "80",                  // no such place
            "be",                  // nor this one
            "7f8080808001",        // a number without end
            "400a6375",            // a text that is cut off
            "4001",                // and one that is missing
            "82 20",               // a size in the middle
            "3fe21f",              // a size of 4097
            "4001 61 84 ffffffff", // the end in the text
        ] {
            let block = hex(block);
            assert_eq!(
                decode(&mut Decoder::new(), &block),
                Err(Broken),
                "{block:?}"
            );
        }
        assert!(decode(&mut Decoder::new(), &hex("3fe11f")).is_ok());
    }

    #[test]
    fn few_bytes_do_not_stand_for_work_without_end() {
        // A name of nearly the whole table, and what refers to it in two bytes each, or one.
        let mut named = vec![0x40];
        put_text(&mut named, &[b'n'; 4_000]);
        named.push(0);
        for (again, times) in [(&[0x0f, 62 - 15, 0][..], 1_000), (&[0x80 | 62], 1_000)] {
            let mut block = named.clone();
            block.extend(again.repeat(times));
            let mut seen = 0;
            let read = Decoder::new().decode(&block, |name, _| seen += name.len());
            assert_eq!(read, Err(Broken));
            assert!(seen < MOST + 4_096, "{seen}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mut map = HeaderMap::new();
        for length in [0, 1, 126, 127, 128, 254, 255, 300, 20_000] {
            let name = HeaderName::try_from(format!("x-{length}")).unwrap();
            map.insert(name, HeaderValue::from_str(&"v".repeat(length)).unwrap());
        }
        for (status, shown) in [(StatusCode::OK, "200"), (StatusCode::IM_A_TEAPOT, "418")] {
            let block = encode(Some(status), &map);
            let read = decode(&mut Decoder::new(), &block).unwrap();
            assert_eq!(read[0], (":status".to_owned(), shown.to_owned()));
            assert_eq!(read.len(), map.len() + 1);
            for (name, value) in &read[1..] {
                assert_eq!(map[name], *value);
            }
        }
        assert_eq!(
            decode(&mut Decoder::new(), &encode(None, &map))
                .unwrap()
                .len(),
            map.len()
        );
    }
}

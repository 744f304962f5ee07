use http::{HeaderName, HeaderValue};

use super::frame::{HEAD, Head, kind, put_head};
use super::*;

mod rules;

/// What a peer says, frame by frame.
#[derive(Default)]
struct Said(Vec<u8>);

impl Said {
    fn hello() -> Self {
        Self(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()).frame(kind::SETTINGS, 0, 0, &[])
    }

    fn frame(mut self, kind: u8, flags: u8, id: u32, payload: &[u8]) -> Self {
        put_head(&mut self.0, payload.len(), kind, flags, id);
        self.0.extend_from_slice(payload);
        self
    }

    fn request(self, id: u32) -> Self {
        self.frame(kind::HEADERS, flag::END_HEADERS, id, &request(&[]))
    }
}

/// The fields of a request.
fn request(more: &[(&str, &str)]) -> Vec<u8> {
    // POST, https, and a path that is written out.
    let mut block = vec![0x83, 0x87, 0x04, 2];
    block.extend_from_slice(b"/x");
    let mut fields = HeaderMap::new();
    for (name, value) in more {
        let name = HeaderName::try_from(*name).unwrap();
        fields.append(name, HeaderValue::from_str(value).unwrap());
    }
    block.extend(hpack::encode(None, &fields));
    block
}

/// Writes everything that waits.
fn written(http: &mut Http2) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        http.advance();
        let part: Vec<u8> = http.slices().iter().flat_map(|s| s.to_vec()).collect();
        if part.is_empty() {
            return all;
        }
        http.wrote(part.len());
        all.extend(part);
    }
}

/// The same as frames: kind, flags, stream, payload.
fn frames(http: &mut Http2) -> Vec<(u8, u8, u32, Vec<u8>)> {
    let all = written(http);
    let mut rest = &all[..];
    let mut frames = Vec::new();
    while let Some((head, after)) = rest.split_first_chunk::<HEAD>() {
        let head = Head::read(head);
        let (payload, after) = after.split_at(head.length);
        frames.push((head.kind, head.flags, head.stream, payload.to_vec()));
        rest = after;
    }
    assert!(rest.is_empty());
    frames
}

/// A connection on which these requests have come, and nothing waits to be written.
fn open(ids: &[u32]) -> Http2 {
    let mut http = Http2::new();
    let said = ids.iter().fold(Said::hello(), |said, id| said.request(*id));
    http.receive(&said.0);
    for id in ids {
        assert_eq!(http.accept().unwrap().0, *id);
    }
    assert!(http.accept().is_none());
    written(&mut http);
    http
}

/// Why the connection ended.
fn reason(http: &mut Http2) -> Option<u8> {
    let all = frames(http);
    let end = all.iter().find(|frame| frame.0 == kind::GOAWAY)?;
    assert!(http.is_over());
    Some(end.3[7])
}

#[test]
fn a_request_is_read_and_answered() {
    let mut http = Http2::new();
    let fields = request(&[("authorization", "Bearer t")]);
    let said = Said::hello()
        .frame(kind::HEADERS, flag::END_HEADERS, 1, &fields)
        .frame(kind::DATA, 0, 1, b"question");
    http.receive(&said.0);
    let (id, request) = http.accept().unwrap();
    assert_eq!((id, request.uri().path()), (1, "/x"));
    assert_eq!(request.headers()["authorization"], "Bearer t");
    assert_eq!(http.take(1), Taken::Data(b"question".to_vec()));
    assert_eq!(http.take(1), Taken::Nothing);
    let kinds: Vec<_> = frames(&mut http).iter().map(|f| (f.0, f.1)).collect();
    let settled = (kind::SETTINGS, flag::ACK);
    assert_eq!(
        kinds,
        [(kind::SETTINGS, 0), (kind::WINDOW_UPDATE, 0), settled]
    );

    assert_eq!(http.room(1), Room::Free);
    http.respond(1, StatusCode::OK, &HeaderMap::new(), false);
    http.send(1, Bytes::from_static(b"answer"));
    let mut end = HeaderMap::new();
    end.insert("grpc-status", HeaderValue::from_static("0"));
    http.receive(
        &Said::default()
            .frame(kind::DATA, flag::END_STREAM, 1, b"!")
            .0,
    );
    assert_eq!(http.take(1), Taken::Data(b"!".to_vec()));
    assert_eq!(http.take(1), Taken::End);
    http.finish(1, Some(&end));
    http.let_go(1);
    let all = frames(&mut http);
    let kinds: Vec<_> = all.iter().map(|f| (f.0, f.1, f.2)).collect();
    let last = (kind::HEADERS, flag::END_HEADERS | flag::END_STREAM, 1);
    let first = (kind::HEADERS, flag::END_HEADERS, 1);
    assert_eq!(kinds, [first, (kind::DATA, 0, 1), last]);
    assert_eq!(
        (&all[0].3[..], &all[1].3[..]),
        (&[0x88][..], &b"answer"[..])
    );
    assert!(all[2].3.ends_with(b"\x0bgrpc-status\x010"));
    assert_eq!(http.room(1), Room::Gone);
}

#[test]
fn bytes_may_come_in_any_pieces_and_nothing_is_kept() {
    let fields = request(&[("a", "b")]);
    let said = Said::hello()
        .frame(kind::HEADERS, 0, 1, &fields[..4])
        .frame(kind::CONTINUATION, 0, 1, &[])
        .frame(kind::CONTINUATION, flag::END_HEADERS, 1, &fields[4..])
        .frame(kind::DATA, flag::PADDED, 1, b"\x03data\0\0\0")
        .frame(kind::HEADERS, flag::END_HEADERS | flag::PRIORITY, 3, &{
            let mut block = vec![0; 5];
            block.extend(request(&[]));
            block
        })
        .frame(77, 0xff, 3, b"who knows");
    for size in 1..said.0.len() {
        let mut http = Http2::new();
        for piece in said.0.chunks(size) {
            http.receive(piece);
        }
        assert_eq!(http.accept().unwrap().1.headers()["a"], "b");
        assert_eq!(http.accept().unwrap().0, 3);
        assert_eq!(http.take(1), Taken::Data(b"data".to_vec()));
        http.let_go(3);
        assert!(!http.is_over());
        written(&mut http);
        let held = http.input.capacity() + http.out.tail().capacity() + http.accepted.capacity();
        assert_eq!(held, 0);
    }
}

#[test]
fn no_more_is_sent_than_the_peer_takes() {
    let mut http = open(&[1, 3]);
    let sent = |http: &mut Http2, of: u32| -> usize {
        let all = frames(http);
        let data = all.iter().filter(|f| f.0 == kind::DATA && f.2 == of);
        data.map(|f| f.3.len()).sum()
    };
    http.send(1, Bytes::from(vec![1; 100_000]));
    http.send(1, Bytes::from_static(b"the end"));
    assert_eq!(sent(&mut http, 1), 65_535);
    assert_eq!(http.room(1), Room::Full);
    // The connection is full, so nobody else can send either.
    http.send(3, Bytes::from_static(b"three"));
    assert_eq!(sent(&mut http, 3), 0);
    let more = Said::default().frame(kind::WINDOW_UPDATE, 0, 0, &1_000_000_u32.to_be_bytes());
    http.receive(&more.0);
    assert_eq!(sent(&mut http, 3), 5);
    assert_eq!(http.room(3), Room::Free);
    // A larger window for all: what was used counts.
    let larger = [0, 4, 0, 1, 0, 0];
    http.receive(&Said::default().frame(kind::SETTINGS, 0, 0, &larger).0);
    assert_eq!(sent(&mut http, 1), 1);
    let smaller = [0, 4, 0, 0, 0, 10];
    http.receive(&Said::default().frame(kind::SETTINGS, 0, 0, &smaller).0);
    let some = 65_536 - 10 + 5_u32;
    http.receive(
        &Said::default()
            .frame(kind::WINDOW_UPDATE, 0, 1, &some.to_be_bytes())
            .0,
    );
    assert_eq!(sent(&mut http, 1), 5);
    http.receive(
        &Said::default()
            .frame(kind::WINDOW_UPDATE, 0, 1, &100_000_u32.to_be_bytes())
            .0,
    );
    assert_eq!(sent(&mut http, 1), 100_007 - 65_541);
    assert_eq!(http.room(1), Room::Free);
}

#[test]
fn large_answers_take_turns_and_wait_for_what_is_written() {
    let mut http = open(&[1, 3]);
    let wide = 10_000_000_u32.to_be_bytes();
    let mut said = Said::default();
    for id in [0, 1, 3] {
        said = said.frame(kind::WINDOW_UPDATE, 0, id, &wide);
    }
    http.receive(&said.0);
    for id in [1, 3] {
        http.send(id, Bytes::from(vec![7; 1 << 20]));
    }
    http.advance();
    assert!(http.is_full() && http.out.len() < OUTPUT + LARGEST + 100);
    let order: Vec<u32> = frames(&mut http).iter().map(|f| f.2).collect();
    assert_eq!(order.len(), 2 * (1 << 20) / LARGEST);
    assert!(order.chunks(2).all(|pair| pair[0] != pair[1]));
}

#[test]
fn a_peer_may_send_as_much_again_as_was_read() {
    let mut http = open(&[1]);
    let piece = Said::default().frame(kind::DATA, 0, 1, &[0; LARGEST]);
    let mut told = 0;
    for _ in 0..500 {
        http.receive(&piece.0);
        assert!(matches!(http.take(1), Taken::Data(data) if data.len() == LARGEST));
        told += frames(&mut http)
            .iter()
            .filter(|f| f.0 == kind::WINDOW_UPDATE)
            .count();
    }
    assert!(!http.is_over() && (70..100).contains(&told), "{told}");
    // Unread, it is told of nothing, and goes too far.
    for _ in 0..REQUEST_WINDOW as usize / LARGEST + 1 {
        http.receive(&piece.0);
    }
    let all = frames(&mut http);
    assert!(all.iter().any(|f| (f.0, f.2) == (kind::RST_STREAM, 1)));
    assert_eq!(http.take(1), Taken::Gone);
    // What is still on its way counts, and is thrown away.
    for _ in 0..500 {
        http.receive(&piece.0);
        written(&mut http);
    }
    assert!(!http.is_over());
}

#[test]
fn a_goodbye_leaves_what_is_under_way() {
    let mut http = open(&[1]);
    http.part();
    let all = frames(&mut http);
    assert_eq!(
        (all[0].0, &all[0].3[..4]),
        (kind::GOAWAY, &[0x7f, 0xff, 0xff, 0xff][..])
    );
    // One that was on its way.
    http.receive(&Said::default().request(3).0);
    assert_eq!(http.accept().unwrap().0, 3);
    let heard = Said::default().frame(kind::PING, flag::ACK, 0, &all[1].3);
    http.receive(&heard.request(5).0);
    assert!(http.accept().is_none());
    let all = frames(&mut http);
    assert_eq!((all[0].0, all[0].3[3]), (kind::GOAWAY, 3));
    assert_eq!((all[1].0, all[1].2, all[1].3[3]), (kind::RST_STREAM, 5, 7));
    for id in [1, 3] {
        assert!(!http.is_over());
        http.finish(id, None);
        http.let_go(id);
        written(&mut http);
    }
    assert!(http.is_over());
    // With nothing under way it is over at once, and says so.
    let mut http = open(&[]);
    http.part();
    assert!(http.is_over());
    assert_eq!(
        frames(&mut http)
            .iter()
            .filter(|f| f.0 == kind::GOAWAY)
            .count(),
        2
    );
}

#[test]
fn an_answer_that_is_over_asks_for_no_more() {
    let mut http = open(&[1, 3]);
    http.respond(1, StatusCode::OK, &HeaderMap::new(), true);
    let shown: Vec<_> = frames(&mut http).iter().map(|f| (f.0, f.2)).collect();
    assert_eq!(shown, [(kind::HEADERS, 1), (kind::RST_STREAM, 1)]);
    http.finish(3, None);
    let shown: Vec<_> = frames(&mut http).iter().map(|f| (f.0, f.1, f.2)).collect();
    assert_eq!(
        shown,
        [(kind::DATA, flag::END_STREAM, 3), (kind::RST_STREAM, 0, 3)]
    );
}

#[test]
fn pings_are_answered_and_what_comes_is_heard() {
    let mut http = open(&[]);
    assert!(http.has_heard() && !http.has_heard());
    http.receive(&Said::default().frame(kind::PING, 0, 0, b"are you?").0);
    let all = frames(&mut http);
    assert_eq!(all, [(kind::PING, flag::ACK, 0, b"are you?".to_vec())]);
    assert!(http.has_heard());
    http.ping();
    assert_eq!(frames(&mut http)[0].0, kind::PING);
    http.end();
    assert!(http.is_over());
}

//! What a peer may not do, and what it costs it.

use proptest::prelude::*;

use super::*;

#[test]
fn whoever_breaks_a_rule_is_let_go_with_the_reason() {
    let window = |more: u32| more.to_be_bytes();
    let cases: Vec<(Reason, Said)> = vec![
        (Reason::Protocol, Said(b"GET / HTTP/1.1\r\n".to_vec())),
        (
            Reason::Protocol,
            Said(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()).request(1),
        ),
        (Reason::Protocol, Said::hello().request(2)),
        (Reason::Protocol, Said::hello().frame(kind::DATA, 0, 0, b"")),
        (Reason::Protocol, Said::hello().frame(kind::DATA, 0, 1, b"")),
        (
            Reason::Protocol,
            Said::hello()
                .request(1)
                .frame(kind::DATA, flag::PADDED, 1, b"\x05abc"),
        ),
        (
            Reason::Protocol,
            Said::hello().frame(kind::RST_STREAM, 0, 1, &[0; 4]),
        ),
        (
            Reason::FrameSize,
            Said::hello()
                .request(1)
                .frame(kind::RST_STREAM, 0, 1, &[0; 3]),
        ),
        (
            Reason::Protocol,
            Said::hello().frame(kind::SETTINGS, 0, 1, &[]),
        ),
        (
            Reason::FrameSize,
            Said::hello().frame(kind::SETTINGS, 0, 0, &[0; 5]),
        ),
        (
            Reason::FrameSize,
            Said::hello().frame(kind::SETTINGS, flag::ACK, 0, &[0; 6]),
        ),
        (
            Reason::FlowControl,
            Said::hello().frame(kind::SETTINGS, 0, 0, &[0, 4, 0x80, 0, 0, 0]),
        ),
        (
            Reason::Protocol,
            Said::hello().frame(kind::SETTINGS, 0, 0, &[0, 5, 0, 0, 0, 1]),
        ),
        (
            Reason::Protocol,
            Said::hello().frame(kind::SETTINGS, 0, 0, &[0, 2, 0, 0, 0, 2]),
        ),
        (
            Reason::Protocol,
            Said::hello().frame(kind::PUSH_PROMISE, 0, 1, &[0; 4]),
        ),
        (
            Reason::Protocol,
            Said::hello().frame(kind::PING, 0, 1, &[0; 8]),
        ),
        (
            Reason::FrameSize,
            Said::hello().frame(kind::PING, 0, 0, &[0; 7]),
        ),
        (
            Reason::FrameSize,
            Said::hello().frame(kind::PRIORITY, 0, 1, &[0; 4]),
        ),
        (
            Reason::Protocol,
            Said::hello().frame(kind::PRIORITY, 0, 0, &[0; 5]),
        ),
        (
            Reason::Protocol,
            Said::hello().frame(kind::GOAWAY, 0, 1, &[0; 8]),
        ),
        (
            Reason::Protocol,
            Said::hello().frame(kind::CONTINUATION, flag::END_HEADERS, 1, &[]),
        ),
        (
            Reason::Protocol,
            Said::hello()
                .frame(kind::HEADERS, 0, 1, &request(&[]))
                .request(3),
        ),
        (
            Reason::Compression,
            Said::hello().frame(kind::HEADERS, flag::END_HEADERS, 1, &[0x80]),
        ),
        (
            Reason::FrameSize,
            Said::hello().frame(kind::WINDOW_UPDATE, 0, 0, &[0; 3]),
        ),
        (
            Reason::Protocol,
            Said::hello().frame(kind::WINDOW_UPDATE, 0, 0, &window(0)),
        ),
        (
            Reason::Protocol,
            Said::hello().frame(kind::WINDOW_UPDATE, 0, 5, &window(1)),
        ),
        (
            Reason::FlowControl,
            Said::hello().frame(kind::WINDOW_UPDATE, 0, 0, &window(0x7fff_ffff)),
        ),
        (
            Reason::FrameSize,
            Said::hello().frame(kind::DATA, 0, 1, &[0; LARGEST + 1]),
        ),
    ];
    for (nth, (expected, said)) in cases.into_iter().enumerate() {
        let mut http = Http2::new();
        http.receive(&said.0);
        assert_eq!(reason(&mut http), Some(expected as u8), "{nth}");
        assert!(http.accept().is_none());
        http.receive(&Said::default().request(9).0);
        assert!(http.accept().is_none(), "nothing is read any more");
    }
}

#[test]
fn what_is_wrong_with_one_request_costs_that_request() {
    let resets = |http: &mut Http2| -> Vec<(u32, u8)> {
        let all = frames(http);
        let resets = all.iter().filter(|f| f.0 == kind::RST_STREAM);
        resets.map(|f| (f.2, f.3[3])).collect()
    };
    let mut http = open(&[1, 3, 5, 7]);
    let said = Said::default()
        .frame(kind::WINDOW_UPDATE, 0, 1, &[0; 4])
        .frame(kind::WINDOW_UPDATE, 0, 3, &0x7fff_ffff_u32.to_be_bytes())
        .frame(kind::DATA, flag::END_STREAM, 5, b"all")
        .frame(kind::DATA, 0, 5, b"more")
        .request(7)
        .frame(kind::HEADERS, flag::END_HEADERS, 9, &request(&[])[1..])
        .request(11);
    http.receive(&said.0);
    let (protocol, flow) = (Reason::Protocol as u8, Reason::FlowControl as u8);
    let closed = Reason::StreamClosed as u8;
    assert_eq!(
        resets(&mut http),
        [
            (1, protocol),
            (3, flow),
            (5, closed),
            (7, protocol),
            (9, protocol)
        ]
    );
    assert_eq!(http.accept().unwrap().0, 11);
    for id in [1, 3, 5, 7] {
        assert_eq!((http.take(id), http.room(id)), (Taken::Gone, Room::Gone));
        http.let_go(id);
    }
    assert_eq!(http.exchanges.len(), 1);
    // Who lets go of a request without an answer breaks it off.
    http.let_go(11);
    assert_eq!(resets(&mut http), [(11, Reason::Cancel as u8)]);
    assert_eq!(http.exchanges.capacity(), 0);
}

#[test]
fn no_more_piles_up_than_was_announced() {
    // Requests at a time.
    let mut http = Http2::new();
    let many = (0..17).fold(Said::hello(), |said, n| said.request(2 * n + 1));
    http.receive(&many.0);
    assert_eq!(std::iter::from_fn(|| http.accept()).count(), STREAMS);
    let all = frames(&mut http);
    assert!(
        all.iter()
            .any(|f| (f.0, f.2, f.3.last()) == (kind::RST_STREAM, 33, Some(&7)))
    );
    // Requests that are broken off at once, which nobody begins to work on.
    let mut http = open(&[]);
    let flood = (0..=200).fold(Said::default(), |said, n| {
        let id = 2 * n + 1;
        said.request(id).frame(kind::RST_STREAM, 0, id, &[0; 4])
    });
    http.receive(&flood.0[..flood.0.len() - 13]);
    assert_eq!(http.accept().unwrap().0, 401);
    assert!(http.accept().is_none() && http.exchanges.len() == 1);
    http.receive(&flood.0[flood.0.len() - 13..]);
    assert_eq!(reason(&mut http), Some(Reason::EnhanceYourCalm as u8));
    // So are those that we have to break off ourselves, for what the peer says of them.
    let window = |id| Said::default().frame(kind::WINDOW_UPDATE, 0, id, &[0; 4]);
    let after = |id| {
        Said::default()
            .frame(kind::DATA, flag::END_STREAM, id, b"")
            .frame(kind::DATA, 0, id, b"more")
    };
    let again = |id| Said::default().request(id);
    let faults: [&dyn Fn(u32) -> Said; 3] = [&window, &after, &again];
    for fault in faults {
        let mut http = open(&[]);
        for n in 0..=200 {
            assert!(!http.is_over(), "{n}");
            let id = 2 * n + 1;
            http.receive(&Said::default().request(id).0);
            // Somebody works on it already.
            assert_eq!(http.accept().unwrap().0, id);
            http.receive(&fault(id).0);
            assert_eq!(http.room(id), Room::Gone);
            http.let_go(id);
            http.out.wrote(http.out.len());
        }
        assert!(http.is_over());
    }
    // Fields without end.
    for (length, frames) in [(LARGEST, 3), (1, 17)] {
        let mut said = Said::hello().frame(kind::HEADERS, 0, 1, &vec![0; length]);
        for _ in 1..frames {
            said = said.frame(kind::CONTINUATION, 0, 1, &vec![0; length]);
        }
        let mut http = Http2::new();
        http.receive(&said.0);
        assert_eq!(reason(&mut http), Some(Reason::EnhanceYourCalm as u8));
    }
    // More fields than were announced, and many in few bytes: a status says so.
    let mut few = request(&[]);
    few.extend([0x40, 1, b'n', 100]);
    few.extend([b'v'; 100]);
    few.extend([0x80 | 62; 200]);
    for block in [request(&[("x", &"v".repeat(16_300))]), few] {
        let mut http = open(&[]);
        http.receive(
            &Said::default()
                .frame(kind::HEADERS, flag::END_HEADERS, 1, &block)
                .0,
        );
        assert!(http.accept().is_none() && !http.is_over());
        let all = frames(&mut http);
        assert_eq!(all[0].3, b"\x08\x03431");
        assert_eq!(
            (all[1].0, all[1].3[3]),
            (kind::RST_STREAM, Reason::No as u8)
        );
    }
}

#[test]
fn what_follows_the_data_of_a_request_is_no_request() {
    let line = [
        (&[0x83][..], 3),
        (&[0x87][..], 5),
        (&[0x01, 1, b'x'][..], 7),
    ];
    for (more, id) in line {
        let mut http = open(&[id]);
        let ends = flag::END_HEADERS | flag::END_STREAM;
        http.receive(&Said::default().frame(kind::HEADERS, ends, id, more).0);
        assert_eq!(http.take(id), Taken::Gone);
    }
    let mut http = open(&[1]);
    let ends = flag::END_HEADERS | flag::END_STREAM;
    let field = [0, 1, b'x', 1, b'y'];
    http.receive(&Said::default().frame(kind::HEADERS, ends, 1, &field).0);
    assert_eq!(http.take(1), Taken::End);
}

#[test]
fn the_beginning_of_a_frame_keeps_no_more_than_it_has() {
    let mut http = open(&[1]);
    let large = Said::default().frame(kind::DATA, 0, 1, &[0; LARGEST]);
    let (all, rest) = large.0.split_at(LARGEST - 10);
    http.receive(all);
    http.receive(&[rest, &large.0[..3]].concat());
    assert_eq!(http.input.len(), 3);
    assert!(http.input.capacity() < 64, "{}", http.input.capacity());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    /// Whatever comes, and whatever is done meanwhile.
    #[test]
    fn nothing_that_is_sent_breaks_it(
        noise in proptest::collection::vec(any::<u8>(), 0..200),
        pieces in proptest::collection::vec(
            (0_u8..11, any::<u8>(), 0_u32..12, proptest::collection::vec(any::<u8>(), 0..40), any::<bool>()),
            0..60,
        ),
    ) {
        let mut said = Said::hello();
        for (kind, flags, id, payload, real) in pieces {
            said = match (real, kind) {
                (true, kind::HEADERS) => said.request(id | 1),
                (true, kind::WINDOW_UPDATE) => said.frame(kind, 0, id, &[0, 0, flags, 1]),
                (true, kind::RST_STREAM) => said.frame(kind, 0, id | 1, &[0; 4]),
                _ => said.frame(kind, flags, id, &payload),
            };
        }
        let all = [said.0, noise].concat();
        let cut: Vec<u8> = all
            .chunks(100)
            .flat_map(|piece| [&[piece.len() as u8], piece].concat())
            .collect();
        feed::feed(&cut);
        feed::feed(&all);
    }
}

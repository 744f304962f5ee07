//! Whoever is on the other end may be anybody, and say anything.

use std::time::Duration;

use chrono::TimeDelta;
use heddle_xds_server::Options;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::client::Node;
use crate::raw::{
    ACK, ADS, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, Hears, PING,
    RST_STREAM, SETTINGS, Says, WINDOW_UPDATE, dial, fields, first, frame, message, request,
};
use crate::world::World;

/// The nth of many.
type Frames<'a> = &'a dyn Fn(u32) -> Vec<u8>;

/// Why connections end.
const COMPRESSION: u8 = 9;
const ENHANCE_YOUR_CALM: u8 = 11;

const TOKEN: Option<&str> = Some("a-payments");

fn node(n: u8) -> Node {
    Node::new("payments", &format!("p-{n}"), &format!("10.0.0.{n}"))
}

async fn world(change: impl FnOnce(&mut Options)) -> World {
    let world = World::with(TimeDelta::hours(24), change).await;
    world.source.mesh("a", &["frontend", "payments"]);
    world
}

/// A stream that was let in.
async fn stream(world: &World, node: &Node) -> (Says, Hears) {
    let (mut says, mut hears) = dial(world).await;
    says.say(&request(1, ADS, TOKEN)).await.unwrap();
    says.say(&first(1, node)).await.unwrap();
    hears.next(HEADERS).await;
    (says, hears)
}

/// Waits until everything that was said has been read.
async fn read(says: &mut Says, hears: &mut Hears) {
    says.say(&frame(PING, 0, 0, b"read it?")).await.unwrap();
    while hears.next(PING).await.payload != b"read it?" {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_d02_a_flood_ends_its_connection_and_nobody_elses() {
    let world = world(|_| {}).await;
    let mut proxy = world.settled("a-payments", &node(1)).await;
    // A block that refers to a name of nearly the whole table, in two bytes a time.
    let mut bomb = fields(ADS, TOKEN);
    bomb.extend([0x40, 0x7f, 0xa1, 0x1e]);
    bomb.extend([b'n'; 4_000]);
    bomb.push(0);
    bomb.extend([0x0f, 47, 0].repeat(3_000));
    let floods: [(&str, u8, Frames<'_>); 5] = [
        ("requests that are broken off", ENHANCE_YOUR_CALM, &|n| {
            let id = 2 * n + 1;
            let mut bytes = request(id, ADS, TOKEN);
            bytes.extend(frame(RST_STREAM, 0, id, &[0, 0, 0, 8]));
            bytes
        }),
        ("requests that have to be", ENHANCE_YOUR_CALM, &|n| {
            let id = 2 * n + 1;
            let mut bytes = request(id, ADS, TOKEN);
            bytes.extend(frame(WINDOW_UPDATE, 0, id, &[0; 4]));
            bytes
        }),
        ("data after the end", ENHANCE_YOUR_CALM, &|n| {
            let id = 2 * n + 1;
            let mut bytes = request(id, ADS, TOKEN);
            bytes.extend(frame(DATA, END_STREAM, id, b""));
            bytes.extend(frame(DATA, 0, id, b"more"));
            bytes
        }),
        ("fields without end", ENHANCE_YOUR_CALM, &|n| match n {
            0 => frame(HEADERS, 0, 1, &fields(ADS, TOKEN)),
            _ => frame(CONTINUATION, 0, 1, &[]),
        }),
        ("fields that stand for many", COMPRESSION, &|n| {
            frame(HEADERS, END_HEADERS, 2 * n + 1, &bomb)
        }),
    ];
    for (what, reason, next) in floods {
        let (mut says, mut hears) = dial(&world).await;
        let heard = tokio::spawn(async move { hears.rest().await });
        let mut n = 0;
        says.flood(|| {
            n += 1;
            next(n - 1)
        })
        .await;
        let last = heard.await.unwrap().into_iter().next_back().unwrap();
        assert_eq!((last.kind, last.reason()), (GOAWAY, reason), "{what}");
        // Everybody else is served as ever.
        let seen = proxy.drain().await;
        assert!(seen.is_empty(), "{what}: {seen:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_d02_who_reads_no_answers_is_not_read_and_let_go() {
    let world = world(|options| {
        options.ping_every = Duration::from_millis(300);
        options.ping_wait = Duration::from_millis(300);
    })
    .await;
    let mut proxy = world.settled("a-payments", &node(1)).await;
    let floods: [(&str, Frames<'_>); 3] = [
        ("pings", &|_| frame(PING, 0, 0, &[0; 8]).repeat(1_000)),
        ("settings", &|_| frame(SETTINGS, 0, 0, &[]).repeat(1_000)),
        ("requests of nobody", &|n| {
            let ids = (0..100).map(|m| 2 * (100 * n + m) + 1);
            ids.flat_map(|id| frame(HEADERS, END_HEADERS | END_STREAM, id, &fields("/", None)))
                .collect()
        }),
    ];
    for (what, next) in floods {
        let (mut says, _unheard) = dial(&world).await;
        let (mut n, mut said) = (0, 0);
        says.flood(|| {
            n += 1;
            let next = next(n - 1);
            said += next.len();
            next
        })
        .await;
        // What fits into the sockets, whose sizes the system chooses, and little more.
        assert!(said < 64 << 20, "{what}: {said}");
        assert!(proxy.drain().await.is_empty(), "{what}");
    }
}

#[tokio::test]
async fn sec_d02_keys_that_change_all_the_time_end_the_connection() {
    let world = world(|_| {}).await;
    let greeting = [crate::raw::PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
    let ping = frame(PING, 0, 0, b"new keys");
    // With something said in between it is what peers do.
    let mut socket = world.dial().await;
    socket.write_all(&greeting).await.unwrap();
    for _ in 0..100 {
        socket.get_mut().1.refresh_traffic_keys().unwrap();
        socket.write_all(&ping).await.unwrap();
        socket.flush().await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"new keys") {
            answer.push(socket.read_u8().await.unwrap());
        }
    }
    // With nothing else it is work for nothing.
    let mut socket = world.dial().await;
    socket.write_all(&greeting).await.unwrap();
    let flood = async {
        while socket.get_mut().1.refresh_traffic_keys().is_ok() {
            if socket.flush().await.is_err() {
                return;
            }
        }
    };
    let ended = tokio::time::timeout(Duration::from_secs(10), flood).await;
    ended.expect("it ends");
}

#[tokio::test]
async fn sec_d01_who_is_nobody_keeps_no_connection() {
    let world = world(|o| o.stranger_deadline = Duration::from_millis(500)).await;
    let (mut known, mut heard) = stream(&world, &node(1)).await;
    let (_silent, mut silence) = dial(&world).await;
    let (mut stranger, mut refusals) = dial(&world).await;
    let asks = tokio::spawn(async move {
        let mut id = 1;
        while stranger.say(&request(id, ADS, Some("x"))).await.is_ok() {
            id += 2;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    for hears in [&mut silence, &mut refusals] {
        let all = hears.rest().await;
        assert!(all.iter().any(|frame| frame.kind == GOAWAY), "{all:?}");
    }
    asks.await.unwrap();
    read(&mut known, &mut heard).await;
}

#[tokio::test]
async fn a_stream_that_is_broken_off_leaves_its_mesh() {
    let world = world(|_| {}).await;
    let (mut says, mut hears) = stream(&world, &node(1)).await;
    let proxy = world.source.proxy("a-payments", "p-1");
    world.source.until(proxy, |status| status.connected).await;
    says.say(&frame(RST_STREAM, 0, 1, &[0, 0, 0, 8]))
        .await
        .unwrap();
    world.source.until(proxy, |status| !status.connected).await;
    // The connection goes on, and others on it.
    says.say(&request(3, ADS, TOKEN)).await.unwrap();
    says.say(&first(3, &node(1))).await.unwrap();
    assert_eq!(hears.next(HEADERS).await.stream, 3);
    world.source.until(proxy, |status| status.connected).await;
}

#[tokio::test]
async fn a_stream_that_is_broken_off_before_its_mesh_is_there_leaves_it_too() {
    let world = world(|_| {}).await;
    world.source.state().broken = true;
    let (mut says, mut hears) = dial(&world).await;
    says.say(&request(1, ADS, TOKEN)).await.unwrap();
    says.say(&first(1, &node(1))).await.unwrap();
    while world.source.state().loads == 0 {
        tokio::task::yield_now().await;
    }
    says.say(&frame(RST_STREAM, 0, 1, &[0, 0, 0, 8]))
        .await
        .unwrap();
    read(&mut says, &mut hears).await;
    world.source.state().broken = false;
    world.settled("a-payments", &node(2)).await;
    let proxy = world.source.proxy("a-payments", "p-1");
    // It was never there, or goes.
    let there = || {
        let status = world.source.status(proxy);
        status.is_some_and(|status| status.connected)
    };
    let gone = async {
        while there() {
            tokio::task::yield_now().await;
        }
    };
    let gone = tokio::time::timeout(Duration::from_secs(10), gone);
    gone.await.expect("it goes");
}

#[tokio::test]
async fn xds_x05_x41_what_is_no_request_is_answered_with_the_reason() {
    let world = world(|_| {}).await;
    // Longer than any message; compressed; no request at all; the end in a message, and after one.
    let length = (4_u32 << 20) + 1;
    let huge = [&[0][..], &length.to_be_bytes()].concat();
    let cases = [
        (frame(DATA, 0, 1, &huge), "8"),
        (frame(DATA, 0, 1, &[1, 0, 0, 0, 0]), "12"),
        (message(1, 0, &[0xff; 3]), "3"),
        (frame(DATA, END_STREAM, 1, &[0, 0]), "3"),
        (frame(DATA, END_STREAM, 1, &[]), "1"),
    ];
    for (said, status) in cases {
        let (mut says, mut hears) = stream(&world, &node(1)).await;
        says.say(&said).await.unwrap();
        let end = hears.next(HEADERS).await;
        assert_eq!(end.flags & END_STREAM, END_STREAM);
        let status = format!("\x0bgrpc-status{}{status}", status.len() as u8 as char);
        let text = String::from_utf8_lossy(&end.payload).into_owned();
        assert!(text.contains(&status), "{text:?} lacks {status:?}");
    }
}

#[tokio::test]
async fn xds_x42_who_takes_nothing_is_let_go_and_who_takes_little_gets_all() {
    let hasty = self::world(|o| o.unread_deadline = Duration::from_millis(500)).await;
    let no_window = frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    let (mut says, mut hears) = dial(&hasty).await;
    let mut open = no_window;
    open.extend(request(1, ADS, TOKEN));
    open.extend(first(1, &node(1)));
    says.say(&open).await.unwrap();
    let all = hears.rest().await;
    assert!(all.iter().any(|frame| frame.kind == HEADERS), "{all:?}");
    assert!(all.iter().all(|frame| frame.kind != DATA), "{all:?}");

    let patient = self::world(|_| {}).await;
    let (mut says, mut hears) = dial(&patient).await;
    says.say(&open).await.unwrap();
    hears.next(HEADERS).await;
    let (mut message, mut length) = (Vec::new(), 5);
    while message.len() < length {
        says.say(&frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 7]))
            .await
            .unwrap();
        let data = hears.next(DATA).await.payload;
        assert!((1..=7).contains(&data.len()));
        message.extend(data);
        if let Some(prefix) = message.get(1..5) {
            length = 5 + usize::from(prefix[2]) * 256 + usize::from(prefix[3]);
        }
    }
    assert!(length > 100);
}

#[tokio::test]
async fn xds_x47_a_server_that_stops_says_goodbye_in_order() {
    let mut world = world(|_| {}).await;
    let (mut says, mut hears) = stream(&world, &node(1)).await;
    let heard = tokio::spawn(async move {
        let mut all = Vec::new();
        // The connection ends as TLS wants it, too: what is cut off is an error.
        while let Some(frame) = hears.frame().await.unwrap() {
            if frame.kind == PING && frame.flags & ACK == 0 {
                let answer = crate::raw::frame(PING, ACK, 0, &frame.payload);
                // It may be gone by then.
                let _gone = says.say(&answer).await;
            }
            all.push(frame);
        }
        all
    });
    world.stop().await;
    let all = heard.await.unwrap();
    let last =
        |frame: &crate::raw::Frame| u32::from_be_bytes(frame.payload[..4].try_into().unwrap());
    let goodbyes: Vec<_> = all.iter().filter(|f| f.kind == GOAWAY).map(last).collect();
    assert_eq!(goodbyes, [u32::MAX >> 1, 1]);
    let end = all.iter().rfind(|f| f.kind == HEADERS).unwrap();
    assert_eq!((end.stream, end.flags & END_STREAM), (1, END_STREAM));
    assert!(all.iter().all(|f| f.kind != RST_STREAM || f.reason() == 0));
}

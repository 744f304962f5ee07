use ::redis::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::fanout::Heard;

fn options(url: &str) -> Options {
    Options {
        url: SecretString::from(url),
        prefix: "heddle".to_owned(),
        ca_pem: None,
        count_within: COUNT_WITHIN,
    }
}

fn hint(revision: u64) -> Hint {
    Hint {
        org: "org_01h2xcejqtf2nbrexx3vqjhp41".parse().unwrap(),
        mesh: "mesh_01h2xcejqtf2nbrexx3vqjhp41".parse().unwrap(),
        revision,
    }
}

#[test]
fn sec_k01_neither_options_nor_what_is_wrong_with_them_show_the_password() {
    for url in [
        "redis://heddle:hunter2@127.0.0.1:6379/zero",
        "redis://heddle:hunter2@local host:6379",
        "http://heddle:hunter2@127.0.0.1:6379",
        "rediss://heddle:hunter2@127.0.0.1:6379/#insecure",
        "redis://heddle:hunter2@0.0.0.0:6379",
        "unix://heddle:hunter2@tmp/redis.sock",
    ] {
        let options = options(url);
        let shown = format!("{options:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
        let error = Redis::new(&options, 1, Servers::default()).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

#[test]
fn sec_t14_a_prefix_is_one_and_a_plain_one() {
    for wrong in ["", "a:b", "a b", "A", "ä", "*", &"x".repeat(65)] {
        let options = Options {
            prefix: wrong.to_owned(),
            ..options("redis://127.0.0.1")
        };
        let error = Redis::new(&options, 1, Servers::default()).unwrap_err();
        assert!(matches!(error, BadOptions::Prefix), "{wrong}");
    }
    assert!(Redis::new(&options("redis://127.0.0.1"), 1, Servers::default()).is_ok());
}

#[test]
fn a_certificate_authority_needs_tls_and_to_be_one() {
    let with = |url: &str, pem: &str| Options {
        ca_pem: Some(pem.as_bytes().to_vec()),
        ..options(url)
    };
    let plain = Redis::new(&with("redis://127.0.0.1", "x"), 1, Servers::default()).unwrap_err();
    assert!(matches!(plain, BadOptions::Authority(_)));
}

/// What listens on a port and answers every connection's first bytes with these.
async fn impostor(answer: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut buffer = [0; 1024];
                while let Ok(1..) = stream.read(&mut buffer).await {
                    if stream.write_all(answer).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    port
}

#[tokio::test]
async fn whatever_is_there_instead_of_redis_nobody_waits_for_it() {
    let nothing: &[&[u8]] = &[
        b"",
        b"\0\0\0\0",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"$99999999999999\r\n",
        b"*-7\r\n",
        b"-NOAUTH who are you\r\n",
        b"+OK\r\n>3\r\n$7\r\nmessage\r\n$12\r\nheddle:hints\r\n$4\r\njunk\r\n",
    ];
    for answer in nothing {
        let port = impostor(answer).await;
        let (redis, link) = Redis::new(
            &options(&format!("redis://127.0.0.1:{port}")),
            1,
            Servers::default(),
        )
        .unwrap();
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(link.run(shutdown.clone()));
        let mut hints = redis.subscribe();
        // More than fit into the queue, while somebody may or may not take from it.
        for revision in 0..3 * QUEUE as u64 {
            redis.publish(hint(revision));
            if revision % 64 == 0 {
                tokio::task::yield_now().await;
            }
        }
        let quiet = tokio::time::timeout(std::time::Duration::from_millis(300), hints.next());
        assert!(quiet.await.is_err(), "{answer:?}");
        shutdown.cancel();
        let ended = tokio::time::timeout(std::time::Duration::from_secs(5), task);
        ended.await.expect("it ends with the server").unwrap();
    }
}

#[tokio::test]
async fn a_listener_that_lags_is_told_so_and_hears_on() {
    let (redis, _link) =
        Redis::new(&options("redis://127.0.0.1:1"), 1, Servers::default()).unwrap();
    let mut hints = redis.subscribe();
    let hear = |channel: &str, text: String| {
        let data = [channel, &text].map(|part| Value::BulkString(part.as_bytes().to_vec()));
        link::hear(&data, "heddle:hints", 1, &redis.heard);
    };
    // Neither of these is for anybody here.
    hear("other:hints", hint(1).encode(2));
    hear("heddle:hints", hint(2).encode(1));
    let last = 2 * LAG as u64;
    for revision in 1..=last {
        hear("heddle:hints", hint(revision).encode(2));
    }
    assert_eq!(hints.next().await, Heard::Missed);
    assert_eq!(hints.next().await, Heard::Hint(hint(last - LAG as u64 + 1)));
}

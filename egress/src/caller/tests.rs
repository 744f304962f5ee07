use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ServerConfig;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::guard::Kept;

/// A server over TLS that answers every request with the same bytes, and counts connections.
struct Server {
    port: u16,
    certificate: CertificateDer<'static>,
    connections: Arc<AtomicUsize>,
}

/// Answers, then holds the connection open.
async fn serve(answer: Vec<u8>) -> Server {
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            let (acceptor, answer) = (acceptor.clone(), answer.clone());
            tokio::spawn(async move {
                let Ok(mut tls) = acceptor.accept(stream).await else {
                    return;
                };
                let mut asked = [0; 4096];
                let _ = tls.read(&mut asked).await;
                let _ = tls.write_all(&answer).await;
                let _ = tls.flush().await;
                while !matches!(tls.read(&mut asked).await, Ok(0) | Err(_)) {}
            });
        }
    });
    Server {
        port,
        certificate: cert.der().clone(),
        connections,
    }
}

fn loopback() -> Guard {
    Guard::new(
        vec!["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()],
        Vec::new(),
    )
}

async fn get(caller: &Caller, url: &str) -> Result<Answer, Failed> {
    let target = url.parse().unwrap();
    caller
        .call(Method::GET, &target, HeaderMap::new(), Bytes::new())
        .await
}

#[tokio::test]
async fn an_answer_comes_back_whatever_it_says() {
    let teapot = b"HTTP/1.1 418 I'm a teapot\r\nx-a: b\r\ncontent-length: 2\r\n\r\nno";
    let server = serve(teapot.to_vec()).await;
    let caller = Caller::new(loopback(), vec![server.certificate.clone()]).unwrap();
    for host in ["localhost", "127.0.0.1"] {
        let answer = get(&caller, &format!("https://{host}:{}/", server.port)).await;
        let answer = answer.unwrap();
        assert_eq!(answer.status, 418);
        assert_eq!(answer.headers["x-a"], "b");
        assert_eq!(&answer.body[..], b"no");
    }
}

#[tokio::test]
async fn sec_i11_nobody_is_connected_to_on_this_machine() {
    let server = serve(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec()).await;
    let caller = Caller::new(Guard::default(), vec![server.certificate.clone()]).unwrap();
    // A name is judged by what it stands for.
    for host in ["localhost", "127.0.0.1", "[::ffff:127.0.0.1]", "2130706433"] {
        let failed = get(&caller, &format!("https://{host}:{}/", server.port)).await;
        assert!(
            matches!(failed, Err(Failed::Kept(Kept::NotPublic(_)))),
            "{host}: {failed:?}"
        );
    }
    assert_eq!(server.connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn sec_a12_a_redirect_leads_nowhere() {
    let other = serve(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec()).await;
    let to = format!(
        "HTTP/1.1 302 Found\r\nlocation: https://localhost:{}/\r\ncontent-length: 0\r\n\r\n",
        other.port
    );
    let server = serve(to.into_bytes()).await;
    let trusted = vec![server.certificate.clone(), other.certificate.clone()];
    let caller = Caller::new(loopback(), trusted).unwrap();
    let answer = get(&caller, &format!("https://localhost:{}/", server.port)).await;
    assert_eq!(answer.unwrap().status, 302);
    assert_eq!(other.connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn sec_a12_a_long_answer_is_cut_off() {
    let mut long = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n",
        MOST_BYTES + 1
    )
    .into_bytes();
    long.resize(long.len() + MOST_BYTES + 1, b' ');
    let server = serve(long).await;
    let caller = Caller::new(loopback(), vec![server.certificate.clone()]).unwrap();
    let failed = get(&caller, &format!("https://localhost:{}/", server.port)).await;
    assert_eq!(failed.unwrap_err(), Failed::Long);
}

#[tokio::test]
async fn sec_a12_a_slow_answer_is_given_up() {
    let server = serve(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n1".to_vec()).await;
    let caller = Caller::new(loopback(), vec![server.certificate.clone()]).unwrap();
    let failed = get(&caller, &format!("https://localhost:{}/", server.port)).await;
    assert_eq!(failed.unwrap_err(), Failed::Slow);
}

#[tokio::test]
async fn who_is_not_trusted_or_not_there_is_told_apart() {
    let server = serve(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec()).await;
    let caller = Caller::new(loopback(), Vec::new()).unwrap();
    let untrusted = get(&caller, &format!("https://localhost:{}/", server.port)).await;
    let Err(Failed::Connect(why)) = untrusted else {
        panic!("{untrusted:?}");
    };
    assert!(why.contains("certificate"), "{why}");
    let nowhere = get(&caller, "https://nowhere.invalid/").await;
    assert_eq!(nowhere.unwrap_err(), Failed::Resolve);
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = closed.local_addr().unwrap().port();
    drop(closed);
    let refused = get(&caller, &format!("https://127.0.0.1:{port}/")).await;
    assert!(matches!(refused, Err(Failed::Connect(_))), "{refused:?}");
}

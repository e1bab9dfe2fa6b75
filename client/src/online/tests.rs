use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

#[test]
fn only_addresses_of_the_whole_internet_are_public() {
    for public in ["8.8.8.8", "100.128.0.1", "172.32.0.1", "2606:4700::1", "::ffff:8.8.8.8"] {
        assert!(is_public(public.parse().unwrap()), "{public}");
    }
    for other in [
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "127.0.0.1",
        "127.255.0.9",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.8",
        "192.0.2.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::127.0.0.1",
        "64:ff9b::10.0.0.1",
        "2002:7f00:1::1",
        "2002:a9fe:a9fe::1",
        "2001::1",
        "2001:db8::1",
        "3fff::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fec0::1",
        "ff02::1",
        "100::1",
    ] {
        assert!(!is_public(other.parse().unwrap()), "{other}");
    }
}

/// Answers every request on a port of its own with this, and counts them.
async fn server(answer: impl Fn(usize) -> Vec<u8> + Send + 'static) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let count = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = connection.read(&mut request).await;
            let n = seen.fetch_add(1, Ordering::SeqCst);
            let _ = connection.write_all(&answer(n)).await;
        }
    });
    (base, count)
}

fn ok(body: &[u8]) -> Vec<u8> {
    let mut out = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_vec();
    out.extend_from_slice(body);
    out
}

fn online(limits: Limits) -> Online {
    Online::new(limits).unwrap()
}

const PRIVATE: fn() -> Limits = || Limits { private_addresses: true, ..Limits::default() };

#[tokio::test]
async fn private_addresses_are_not_connected_to() {
    let (base, count) = server(|_| ok(b"secret")).await;
    let port = base.rsplit(':').next().unwrap().to_owned();
    let mut guarded = online(Limits::default());
    for host in ["127.0.0.1", "localhost", "[::1]", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]"] {
        let result = guarded.get(&format!("http://{host}:{port}/"), 100).await;
        assert!(result.is_err(), "{host}: {result:?}");
    }
    for url in ["file:///etc/passwd", "https://127.0.0.1/", "ftp://127.0.0.1/", "http:///", "x"] {
        assert!(guarded.get(url, 100).await.is_err(), "{url}");
    }
    assert_eq!(count.load(Ordering::SeqCst), 0);
    assert_eq!(online(PRIVATE()).get(&base, 100).await.unwrap(), b"secret");
}

#[tokio::test]
async fn redirects_are_held_to_the_same_rules_and_end() {
    let to = |url: &str| format!("HTTP/1.1 302 Found\r\nLocation: {url}\r\n\r\n").into_bytes();
    let (base, count) = server(move |_| to("/again")).await;
    let result = online(PRIVATE()).get(&base, 100).await;
    assert!(matches!(result, Err(OnlineError::Redirects)), "{result:?}");
    assert_eq!(count.load(Ordering::SeqCst), MAX_REDIRECTS + 1);
    let (base, _) = server(move |_| to("file:///etc/passwd")).await;
    let result = online(PRIVATE()).get(&base, 100).await;
    assert!(matches!(result, Err(OnlineError::NotHttp)), "{result:?}");
}

#[tokio::test]
async fn number_and_size_are_limited() {
    let (base, count) = server(|_| ok(&[b'x'; 1000])).await;
    let mut few = online(Limits { requests: 2, ..PRIVATE() });
    assert!(few.get(&base, 1000).await.is_ok());
    assert!(matches!(few.get(&base, 999).await, Err(OnlineError::TooLong(999))));
    assert!(matches!(few.get(&base, 1000).await, Err(OnlineError::Requests(2))));
    assert_eq!(count.load(Ordering::SeqCst), 2);
    let mut small = online(Limits { bytes: 1500, ..PRIVATE() });
    assert!(small.get(&base, 1000).await.is_ok());
    assert!(matches!(small.get(&base, 1000).await, Err(OnlineError::TooLong(500))));
    let mut late = online(Limits { time: Duration::ZERO, ..PRIVATE() });
    assert!(matches!(late.get(&base, 1000).await, Err(OnlineError::Time(_))));
}

#[tokio::test]
async fn what_is_not_the_thing_asked_for_is_told() {
    let (base, _) = server(|n| match n {
        0 => b"HTTP/1.1 404 Not Found\r\n\r\n".to_vec(),
        _ => ok(b"no list"),
    })
    .await;
    let mut online = online(PRIVATE());
    assert!(matches!(online.get(&base, 100).await, Err(OnlineError::Status(404))));
    let bytes = online.get(&base, 100).await.unwrap();
    assert!(Crl::from_pem_or_der(&bytes).is_err());
}

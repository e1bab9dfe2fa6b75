//! A proxy between an authority and its auditor: it answers by itself that nobody handed anything in.
//! To the authority that it is told of, this is what an authority that ignores vetoes is to everybody
//! else.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use reqwest::Method;

use crate::{Body, Http};

/// A proxy that is there as long as the test.
pub struct Silencer {
    url: String,
}

impl Silencer {
    /// One in front of an auditor at this address.
    #[must_use]
    pub fn start(auditor: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let behind = Http::plain(auditor);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let behind = behind.clone();
                std::thread::spawn(move || connection(stream, &behind));
            }
        });
        Self { url }
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
}

fn connection(mut stream: TcpStream, behind: &Http) {
    let Some((path, body)) = request(&mut stream) else { return };
    let (status, kind, answer) = if path.ends_with("/ask") {
        let nothing = br#"{"closed":true,"count":0}"#;
        (200, "text/plain".to_owned(), [&nothing[..], b"\n"].concat())
    } else {
        let sent = behind.try_send(Method::POST, &path, &[], Body::Other("text/plain", &body));
        let Ok(answer) = sent else { return };
        let kind = answer.headers.get("content-type").and_then(|kind| kind.to_str().ok());
        (answer.status, kind.unwrap_or("text/plain").to_owned(), answer.body)
    };
    let head = format!(
        "HTTP/1.1 {status} -\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n",
        answer.len()
    );
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&answer));
}

/// Path and body of a request.
fn request(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut read = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let n = stream.read(&mut chunk).ok().filter(|n| *n > 0)?;
        read.extend_from_slice(&chunk[..n]);
        let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&read[..end]).into_owned();
        let length: usize = head
            .lines()
            .find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
            })
            .unwrap_or(0);
        if read.len() >= end + 4 + length {
            let path = head.split(' ').nth(1)?.to_owned();
            return Some((path, read[end + 4..].to_vec()));
        }
    }
}

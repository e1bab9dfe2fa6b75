//! The protocol, as it meets a running witness.

use std::io::{Read, Write};
use std::net::TcpStream;

use avouch_tests::{Body, Http, TestLog, Witness, openssl, patiently};
use tlog::witness::{AddCheckpoint, Answer};

use super::{ORIGIN, witness};

#[test]
fn a_witness_cosigns_one_history_and_says_why_not_another() {
    let log = TestLog::with(ORIGIN, 1, "leaf", 9);
    let fork = TestLog::with(ORIGIN, 1, "other", 9);
    let mut witness = witness(&log);
    let Ok(Answer::Cosigned { time, .. }) = witness.ask(&log.request(0, 4)) else { panic!() };
    // An idle log is co-signed again, by the witness's own clock.
    witness.set_clock(3600);
    let Ok(Answer::Cosigned { time: later, .. }) = witness.ask(&log.request(4, 4)) else {
        panic!()
    };
    assert!((3600..3700).contains(&(later - time)), "{time} {later}");

    let stranger = TestLog::with("log.example/stranger", 1, "leaf", 9);
    let unsigned = {
        let text = log.request(4, 6).to_text();
        let (text, _) = text.rsplit_once("\u{2014} ").unwrap();
        format!("{text}\u{2014} somebody.else AAAAAAAAAAAAAA==\n")
    };
    let mut wrong_proof = log.request(4, 7).to_text();
    wrong_proof = wrong_proof.replacen(&wrong_proof.lines().nth(1).unwrap()[..8], "AAAAAAAA", 1);
    let shrunk = AddCheckpoint::new(6, Vec::new(), log.checkpoint(5)).unwrap();
    for (body, status) in [
        (stranger.request(4, 6).to_text(), 404),
        (TestLog::with(ORIGIN, 2, "leaf", 9).request(4, 6).to_text(), 403),
        (unsigned, 403),
        (shrunk.to_text(), 400),
        (String::new(), 400),
        ("old 4\n\nno checkpoint\n".to_owned(), 400),
        ("old 4\n".repeat(20_000), 400),
        (fork.request(4, 7).to_text(), 422),
        (wrong_proof, 422),
    ] {
        let answer = witness.post(&body);
        let shown = body.chars().take(300).collect::<String>();
        assert_eq!(answer.status, status, "{shown}\n{}", answer.text());
    }
    for request in [log.request(3, 7), log.request(0, 3), fork.request(4, 4)] {
        let answer = witness.post(&request.to_text());
        assert_eq!((answer.status, answer.text().as_str()), (409, "4\n"));
        assert_eq!(answer.header("content-type"), "text/x.tlog.size");
    }
    assert!(matches!(witness.ask(&log.request(4, 9)), Ok(Answer::Cosigned { .. })));
    let evidence: Vec<_> = std::fs::read_dir(witness.file("state/evidence")).unwrap().collect();
    assert_eq!(evidence.len(), 3, "the fork, and two that do not continue");
    assert!(witness.log().contains("ALARM: the log shows two histories"), "{}", witness.log());

    // What is remembered is shown, beside it and after it.
    let shown = witness.avouch(&["show", "--format", "json"]);
    let json: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!((&json["vkey"], &json["logs"][0]["size"]), (&witness.vkey().into(), &9.into()));
    assert_eq!(json["test_clock"], true);
    assert!(witness.stop().success());
    assert_eq!(witness.avouch(&["show", "--format", "json"]).stdout, shown.stdout);
}

#[test]
fn requests_that_never_end_do_not_keep_others_away() {
    let log = TestLog::with(ORIGIN, 1, "leaf", 9);
    let mut witness = Witness::new("w.example/one", "");
    let limits = "connections = 8\nrequest_timeout = \"1s\"\nprefix = \"/w\"";
    witness.configure(limits, &[(ORIGIN, log.vkey())]);
    witness.start().unwrap();
    let address = witness.url().strip_prefix("http://").and_then(|u| u.strip_suffix("/w")).unwrap();
    let address = address.to_owned();
    // Eight callers say that they will send a body, and do not: all places are taken.
    let mut slow: Vec<TcpStream> = (0..8)
        .map(|_| {
            let mut stream = TcpStream::connect(&address).unwrap();
            let head =
                "POST /w/add-checkpoint HTTP/1.1\r\nHost: w\r\nContent-Length: 100\r\n\r\nold";
            stream.write_all(head.as_bytes()).unwrap();
            stream
        })
        .collect();
    assert!(matches!(witness.ask(&log.request(0, 4)), Ok(Answer::Cosigned { .. })));
    for stream in &mut slow {
        let mut said = String::new();
        let _ = stream.read_to_string(&mut said);
        assert!(said.starts_with("HTTP/1.1 503 "), "{said}");
    }
    // More than a request may have is not read to its end.
    let body = "x".repeat(400_000);
    let headers = [];
    let answer = Http::plain(&format!("http://{address}")).try_send(
        "POST".parse().unwrap(),
        "/w/add-checkpoint",
        &headers,
        Body::Other("text/plain", body.as_bytes()),
    );
    assert!(answer.is_err() || answer.is_ok_and(|answer| answer.status == 413));
    let elsewhere = Http::plain(&format!("http://{address}"));
    assert_eq!(elsewhere.get("/w/add-checkpoint").status, 405);
    assert_eq!(elsewhere.get("/add-checkpoint").status, 404);
    assert_eq!(elsewhere.get("/health/live").text(), "live\n");
}

#[test]
fn a_witness_serves_https_and_takes_a_new_certificate() {
    let log = TestLog::with(ORIGIN, 1, "leaf", 9);
    let mut witness = Witness::new("w.example/one", "");
    let old = witness.certify();
    let tls = "tls_certificate = \"tls.pem\"\ntls_key = \"tls.key\"";
    witness.configure(tls, &[(ORIGIN, log.vkey())]);
    witness.start().unwrap();
    assert!(witness.url().starts_with("https://127.0.0.1:"), "{}", witness.url());
    // Somebody else's client.
    let ca = witness.file("tls.pem");
    let address = witness.url().trim_start_matches("https://").to_owned();
    let request = log.request(0, 4).to_text();
    let head = format!(
        "POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        request.len()
    );
    let said = openssl::s_client(&address, &ca, format!("{head}{request}").as_bytes());
    assert!(said.contains("Verify return code: 0 (ok)"), "{said}");
    assert!(said.contains("HTTP/1.1 200 OK") && said.contains("\u{2014} w.example/one "), "{said}");

    let new = witness.certify();
    witness.hang_up();
    let live = |ca: &str| {
        let http = Http::new(witness.url(), ca.as_bytes(), None);
        http.try_send("GET".parse().unwrap(), "/health/live", &[], Body::None)
    };
    let _ = patiently("the new certificate", || live(&new).ok());
    assert!(live(&old).is_err());
}

#[test]
fn what_it_counts_is_on_a_listener_of_its_own() {
    let log = TestLog::with(ORIGIN, 1, "leaf", 9);
    let fork = TestLog::with(ORIGIN, 1, "other", 9);
    let mut witness = Witness::new("w.example/one", "");
    let metrics = "metrics_listen = \"127.0.0.1:0\"";
    witness.configure(metrics, &[(ORIGIN, log.vkey())]);
    witness.start().unwrap();
    let address = patiently("the address of the metrics", || {
        let log = witness.log();
        let (_, rest) = log.split_once("metrics are served address=")?;
        Some(rest.lines().next()?.to_owned())
    });
    let _ = witness.ask(&log.request(0, 4)).unwrap();
    let _ = witness.ask(&log.request(4, 9)).unwrap();
    let _ = witness.post(&fork.request(9, 9).to_text());
    let text = Http::plain(&format!("http://{address}")).get("/metrics").text();
    for line in [
        "avouch_cosigner_cosignatures_total{origin=\"log.example/e2e\"} 2",
        "avouch_cosigner_size{origin=\"log.example/e2e\"} 9",
        "avouch_cosigner_refused_total{reason=\"fork\"} 1",
        "avouch_cosigner_clock_behind_total 0",
        "avouch_cosigner_not_remembered_total 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/witness.md");
    let page = std::fs::read_to_string(page).unwrap();
    for family in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let name = family.split(' ').next().unwrap();
        assert!(page.contains(&format!("`{name}")), "{name} is not in docs/witness.md");
    }
    assert_eq!(Http::plain(witness.url()).get("/metrics").status, 404);
}

#[test]
fn what_cannot_be_right_does_not_start() {
    let log = TestLog::with(ORIGIN, 1, "leaf", 9);
    let mut witness = witness(&log);
    assert!(witness.ask(&log.request(0, 4)).is_ok());
    // A second process on the folder, whatever its port.
    let second = witness.avouch(&["run"]);
    assert_eq!(second.status.code(), Some(1));
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(said.contains("in use by another process"), "{said}");
    assert!(witness.ask(&log.request(4, 5)).is_ok(), "the first one goes on");
    // A second key over the first.
    let again = witness.avouch(&["init", "--name", "w.example/two"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(witness.stop().success());

    // The folder's content is lost: an empty one is no new beginning.
    let state = witness.file("state");
    std::fs::rename(&state, witness.file("away")).unwrap();
    assert!(witness.start().unwrap_err().contains("is no co-signer's folder"));
    std::fs::create_dir(&state).unwrap();
    assert!(witness.start().unwrap_err().contains("is no co-signer's folder"));
    std::fs::remove_dir(&state).unwrap();
    std::fs::rename(witness.file("away"), &state).unwrap();
    // So is one log's file.
    let kept = std::fs::read_dir(&state).unwrap().map(|e| e.unwrap().path());
    let kept = kept.filter(|p| p.extension().is_some_and(|e| e == "txt")).collect::<Vec<_>>();
    std::fs::rename(&kept[0], witness.file("away")).unwrap();
    assert!(witness.start().unwrap_err().contains("must not co-sign that log again"));
    std::fs::rename(witness.file("away"), &kept[0]).unwrap();
    // Another's key.
    let other = Witness::new("w.example/one", "");
    std::fs::copy(other.file("cosigner.key"), witness.file("cosigner.key")).unwrap();
    assert!(witness.start().unwrap_err().contains("belongs to the key"));
    // No log.
    witness.configure("", &[]);
    assert!(witness.start().unwrap_err().contains("names no log"));
}

#[test]
fn a_clock_that_jumps_back_stops_cosigning_until_it_is_right() {
    let log = TestLog::with(ORIGIN, 1, "leaf", 9);
    let mut witness = witness(&log);
    witness.set_clock(7200);
    let Ok(Answer::Cosigned { time, .. }) = witness.ask(&log.request(0, 4)) else { panic!() };
    witness.set_clock(0);
    for restart in [false, true] {
        if restart {
            witness.kill();
            witness.start().unwrap();
        }
        let answer = witness.post(&log.request(4, 5).to_text());
        assert_eq!(answer.status, 503, "{}", answer.text());
        assert!(answer.text().contains(&time.to_string()), "{}", answer.text());
        assert!(!answer.header("retry-after").is_empty());
    }
    witness.set_clock(7200);
    let Ok(Answer::Cosigned { time: later, .. }) = witness.ask(&log.request(4, 5)) else {
        panic!()
    };
    assert!(later >= time);
}

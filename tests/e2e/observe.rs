//! What an operator sees of a running installation: its logs and its metrics.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpStream;

use avouch_tests::{Installation, load_csr, load_key};
use serde_json::Value;

use crate::enrolled;

/// An id that stands in no program.
const UID: &str = "zaphod.7c1e@heart-of-gold.example";

/// An installation with more lines in its configuration.
fn observed(more: &str) -> Installation {
    let mut installation = Installation::start();
    let path = installation.file("avouch.toml");
    let mut text = std::fs::read_to_string(&path).expect("a configuration");
    text.push_str(more);
    std::fs::write(&path, text).expect("a configuration");
    installation.restart(false);
    installation
}

/// Enrols, renews, is refused, revokes, looks.
fn live(installation: &Installation) -> (Vec<u8>, rcgen::KeyPair) {
    let key = load_key();
    let csr = load_csr(UID, &key);
    let agent = installation.agent();
    let first = enrolled(installation, UID, &csr);
    let _ = agent.enrol(UID, &csr);
    let refused = agent.enrol(UID, &load_csr(UID, &load_key()));
    assert_eq!(refused.problem().code, "identity-change-required");
    let _ = agent.enrol(UID, b"nonsense").problem();
    let _ = agent.get(&format!("/api/v1/identities/{UID}/history"));
    let _ = agent.get(&format!("/api/v1/certificates/{}", first.serial));
    (csr, key)
}

/// The JSON lines of a log; lines of before the restart are text.
fn lines(installation: &Installation) -> Vec<Value> {
    let log = installation.log();
    log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

#[test]
fn each_request_has_its_line_in_both_processes() {
    let installation = observed("\n[log]\nformat = \"json\"\n");
    let _ = live(&installation);
    installation.stop();
    let lines = lines(&installation);
    let ours = |line: &&Value, target: &str| line["target"].as_str().is_some_and(|t| t == target);
    let gateway: Vec<_> = lines.iter().filter(|line| ours(line, "avouch::http")).collect();
    let decided: Vec<_> =
        lines.iter().filter(|line| ours(line, "avouch_ca::server::connection")).collect();
    assert_eq!(gateway.len(), 6, "{lines:#?}");
    // Mere looking is for debug.
    assert_eq!(decided.len(), 4, "{decided:#?}");
    for line in &decided {
        let id = line["request_id"].as_str().expect("an id");
        let same = gateway.iter().filter(|l| l["request_id"] == id).count();
        assert_eq!(same, 1, "{line}");
        assert!(line["ms"].as_f64().is_some_and(|ms| ms >= 0.0), "{line}");
        assert_eq!(line["level"], "INFO");
    }
    let outcomes: Vec<_> =
        decided.iter().map(|l| l["outcome"].as_str().expect("an outcome")).collect();
    assert_eq!(outcomes, ["ok", "ok", "identity-change-required", "bad-encoding"]);
    assert_eq!((&decided[0]["event"], &decided[1]["event"]), (&"enrol".into(), &"renew".into()));
    assert_eq!(decided[1]["leaf_index"].as_u64(), decided[0]["leaf_index"].as_u64().map(|n| n + 2));
    assert!(decided[2]["rule"].is_string(), "a refusal names its rule: {}", decided[2]);
}

#[test]
fn logs_hold_no_pin_no_user_and_no_key() {
    let filter = "info,avouch_ca=trace,avouch_api=trace,avouch_pkcs11=trace,avouch=trace";
    let installation = observed(&format!("\n[log]\nfilter = \"{filter}\"\n"));
    let (csr, key) = live(&installation);
    installation.kill(avouch_tests::Role::HsmWorker);
    // Whether the next worker is there already does not matter here.
    let _ = installation.agent().enrol("another", &load_csr("another", &load_key()));
    installation.stop();
    let log = installation.log();
    assert!(log.contains("decided") && log.contains("refused"), "{log}");

    use rcgen::PublicKeyData;
    let spki = key.subject_public_key_info();
    let hash = wire::Hash32::of(&spki).to_string();
    let pin = String::from_utf8(installation.read("pin")).expect("a PIN");
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let secrets = [
        pin.trim().to_owned(),
        UID.to_owned(),
        UID.replace('@', "%40"),
        hash,
        hex(&spki[spki.len() - 16..]),
        hex(&csr[csr.len() - 16..]),
    ];
    for secret in secrets {
        assert!(secret.len() > 8);
        let found = log.lines().find(|line| line.contains(&secret));
        assert_eq!(found, None, "{secret:?} is in the log");
    }
}

/// One scrape: the content type and the text.
fn scrape(address: &str, accept: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).expect("a listener");
    let request = format!(
        "GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let find = |line: &str| line.to_lowercase().starts_with("content-type:");
    let form = head.lines().find(|line| find(line)).expect("a content type").to_owned();
    (form, body.to_owned())
}

type Samples = BTreeMap<String, f64>;

/// Reads Prometheus text (version 0.0.4) strictly: types before samples, each once, known types,
/// names and labels well formed, numbers readable, histograms cumulative and whole.
fn read(text: &str) -> (BTreeMap<String, String>, Samples) {
    let (mut types, mut samples) = (BTreeMap::new(), Samples::new());
    let mut current = String::new();
    assert!(text.ends_with('\n'));
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a type");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert!(types.insert(name.to_owned(), kind.to_owned()).is_none(), "twice: {line}");
            name.clone_into(&mut current);
        } else if line.starts_with("# HELP ") {
        } else {
            let (series, value) = line.rsplit_once(' ').expect("a sample");
            let value: f64 = value.parse().unwrap_or_else(|e| panic!("{line}: {e}"));
            let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
            assert!(name.chars().all(plain), "{line}");
            let labels = labels.strip_suffix('}').unwrap_or_else(|| panic!("{line}"));
            for label in labels.split("\",").filter(|label| !label.is_empty()) {
                let (key, text) = label.split_once("=\"").unwrap_or_else(|| panic!("{line}"));
                assert!(key.chars().all(plain) && !text.contains('\n'), "{line}");
            }
            let base = if types.get(&current).is_some_and(|kind| kind == "histogram") {
                let suffixes = ["_bucket", "_sum", "_count"];
                suffixes.iter().find_map(|s| name.strip_suffix(s)).unwrap_or(name)
            } else {
                name
            };
            assert_eq!(base, current, "{line} stands under another type");
            assert!(samples.insert(series.to_owned(), value).is_none(), "twice: {line}");
        }
    }
    for (series, count) in samples.iter().filter(|(series, _)| series.contains("_count")) {
        let (name, labels) = series.split_once("_count").expect("it was found by this");
        let labels = labels.trim_matches(['{', '}']);
        let comma = if labels.is_empty() { "" } else { "," };
        let infinite = format!("{name}_bucket{{{labels}{comma}le=\"+Inf\"}}");
        assert_eq!(samples.get(&infinite), Some(count), "{infinite}");
    }
    (types, samples)
}

#[test]
fn metrics_tell_what_happened_and_are_documented() {
    let more = "\n[metrics]\nauthority_listen = \"127.0.0.1:0\"\ngateway_listen = \"127.0.0.1:0\"\n\
                \n[log]\nformat = \"json\"\n";
    let installation = observed(more);
    let _ = live(&installation);
    let served: Vec<String> = lines(&installation)
        .iter()
        .filter(|line| line["message"] == "metrics are served")
        .map(|line| line["address"].as_str().expect("an address").to_owned())
        .collect();
    assert_eq!(served.len(), 2, "{}", installation.log());
    let mut types = BTreeMap::new();
    let mut samples = Samples::new();
    for address in &served {
        let (form, text) = scrape(address, "text/plain");
        assert!(form.contains("text/plain; version=0.0.4"), "{form}");
        assert!(!text.contains(UID), "{text}");
        let (more_types, more_samples) = read(&text);
        types.extend(more_types);
        samples.extend(more_samples);
        let (form, text) = scrape(address, "application/openmetrics-text; version=1.0.0");
        assert!(form.contains("application/openmetrics-text"), "{form}");
        assert!(text.ends_with("# EOF\n"), "{text}");
    }
    for (series, expected) in [
        ("avouch_authority_certificates_issued_total{event=\"enrol\"}", 1.0),
        ("avouch_authority_certificates_issued_total{event=\"renew\"}", 1.0),
        ("avouch_authority_requests_total{asked=\"issue\",outcome=\"ok\"}", 2.0),
        ("avouch_authority_hsm_ready", 1.0),
        ("avouch_authority_hsm_worker_starts_total{worker=\"0\"}", 1.0),
        ("avouch_authority_hsm_sign_seconds_count{what=\"certificate\"}", 2.0),
        ("avouch_authority_unfinished_records", 0.0),
        ("avouch_authority_alarms_total", 0.0),
        ("avouch_authority_connections{what=\"gateway\"}", 1.0),
        ("avouch_gateway_authority_connected", 1.0),
        ("avouch_gateway_problems_total{code=\"identity-change-required\"}", 1.0),
        (
            "avouch_gateway_http_requests_total{method=\"POST\",\
             route=\"/api/v1/identities/{uid}/certificates\",status=\"201\"}",
            2.0,
        ),
    ] {
        assert_eq!(samples.get(series), Some(&expected), "{series}: {samples:#?}");
    }
    let refusals = samples.iter().filter(|(series, _)| {
        series
            .starts_with("avouch_authority_refusals_total{code=\"identity-change-required\",rule=")
    });
    assert_eq!(refusals.map(|(_, n)| *n).sum::<f64>(), 1.0, "{samples:#?}");
    assert!(samples["avouch_authority_group_size_count"] >= 2.0);
    assert!(samples.keys().any(|s| s.starts_with("avouch_authority_crl_this_update_timestamp")));

    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md");
    let page = std::fs::read_to_string(page).expect("docs/metrics.md");
    let documented: BTreeSet<(String, String)> = page
        .lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| `")?.split('|').map(str::trim);
            let name = cells.next()?.trim_end_matches('`').to_owned();
            Some((name, cells.next()?.to_owned()))
        })
        .collect();
    let found: BTreeSet<(String, String)> = types.into_iter().collect();
    let unknown: Vec<_> = found.difference(&documented).collect();
    assert!(unknown.is_empty(), "not in docs/metrics.md: {unknown:?}");
    // What never happened has no line: here, errors, and co-signing.
    let happens = |name: &str| !name.contains("_errors_") && !name.contains("_cosign");
    let absent: Vec<_> = documented.difference(&found).filter(|(name, _)| happens(name)).collect();
    assert!(absent.is_empty(), "only in docs/metrics.md: {absent:?}");
}

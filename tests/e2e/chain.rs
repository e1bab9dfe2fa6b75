//! `avouch verify chain` on certificates that openssl made: options, exit codes, JSON, fetching.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc;

use avouch_tests::openssl::{self, text};
use avouch_tests::program;
use serde_json::Value;
use tempfile::TempDir;

const CA: &str = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n\
    subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n";
const LEAF: &str = "basicConstraints=critical,CA:FALSE\n\
    keyUsage=critical,digitalSignature,keyAgreement\nextendedKeyUsage=emailProtection\n\
    subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n\
    subjectAltName=email:alice@example.org,otherName:msUPN;UTF8:Alice@CORP.example\n";

/// Files of one PKI: root, ca (policy 1.2.3 under the root), leaf.
struct Pki {
    folder: TempDir,
}

impl Pki {
    /// `more` is appended to the extensions of the issuing CA and of the leaf.
    fn new(more: &str) -> Self {
        let pki = Self { folder: tempfile::tempdir().unwrap() };
        pki.certificate("root", "root", "1", CA);
        pki.certificate("ca", "root", "2", &format!("{CA}certificatePolicies=1.2.3\n{more}"));
        pki.certificate("leaf", "ca", "3", &format!("{LEAF}certificatePolicies=1.2.3\n{more}"));
        pki
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn certificate(&self, name: &str, issuer: &str, serial: &str, extensions: &str) {
        let [key, csr, ext, out] =
            ["key", "csr", "ext", "pem"].map(|e| self.file(&format!("{name}.{e}")));
        let [ca, ca_key] = ["pem", "key"].map(|e| self.file(&format!("{issuer}.{e}")));
        std::fs::write(&ext, extensions).unwrap();
        let subject = format!("/O=Example/CN={name}");
        let ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc"];
        let head = ["req", "-new", "-subj", &subject, "-keyout", text(&key), "-out", text(&csr)];
        let _ = openssl::run(&[&head[..], &ec].concat());
        let mut sign = vec!["x509", "-req", "-days", "30", "-in", text(&csr), "-out", text(&out)];
        sign.extend(["-set_serial", serial, "-extfile", text(&ext)]);
        if name == issuer {
            sign.extend(["-signkey", text(&key)]);
        } else {
            sign.extend(["-CA", text(&ca), "-CAkey", text(&ca_key)]);
        }
        let _ = openssl::run(&sign);
    }

    /// A CRL of the issuing CA, of the leaf if `listed`; DER.
    fn crl(&self, listed: bool) -> PathBuf {
        let (index, config, out) = (self.file("index"), self.file("config"), self.file("ca.crl"));
        std::fs::write(&index, if listed { index_row("R", ",superseded") } else { String::new() })
            .unwrap();
        let settings = format!("[ca]\ndefault_ca=x\n[x]\ndatabase={}\n", index.display());
        std::fs::write(&config, settings).unwrap();
        let pem = self.file("ca.crl.pem");
        let head = ["ca", "-config", text(&config), "-gencrl", "-md", "sha256", "-crldays", "1"];
        let (cert, key) = (self.file("ca.pem"), self.file("ca.key"));
        let tail = ["-cert", text(&cert), "-keyfile", text(&key), "-out", text(&pem)];
        let _ = openssl::run(&[&head[..], &tail].concat());
        let args = ["crl", "-in", text(&pem), "-outform", "DER", "-out", text(&out)];
        let _ = openssl::run(&args);
        out
    }

    /// Runs the command on the leaf; its exit code and its JSON.
    fn verify(&self, more: &[&str]) -> (i32, Value) {
        let output = Command::new(program())
            .args(["verify", "chain", "--format", "json", "--root", text(&self.file("root.pem"))])
            .args(more)
            .arg(self.file("leaf.pem"))
            .env("http_proxy", "http://127.0.0.1:9")
            .output()
            .unwrap();
        let json = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
        (output.status.code().unwrap(), json)
    }

    fn with_ca(&self, more: &[&str]) -> (i32, Value) {
        let ca = self.file("ca.pem");
        self.verify(&[&["--untrusted", text(&ca)], more].concat())
    }
}

fn index_row(status: &str, reason: &str) -> String {
    let since = if status == "R" { format!("260101000000Z{reason}") } else { String::new() };
    format!("{status}\t491231235959Z\t{since}\t03\tunknown\t/O=Example/CN=leaf\n")
}

#[test]
fn the_options_of_verify_chain_and_their_exit_codes() {
    let pki = Pki::new("");
    let (code, json) = pki.with_ca(&["--profile", "strict", "--purpose", "email"]);
    assert_eq!((code, &json["valid"]), (0, &Value::Bool(true)), "{json:#}");
    assert_eq!(json["path"].as_array().unwrap().len(), 3);
    for check in json["checks"].as_array().unwrap() {
        assert!(check["rfc"].is_string() && check["outcome"].is_string(), "{check}");
    }
    for (options, expected, refusal) in [
        (&["--email", "alice@EXAMPLE.org"][..], 0, None),
        (&["--email", "Alice@example.org"], 11, Some("wrong-name")),
        (&["--email", "mallory@example.org"], 11, Some("wrong-name")),
        (&["--upn", "alice@corp.example"], 0, None),
        (&["--upn", "bob@corp.example"], 11, Some("wrong-name")),
        (&["--purpose", "client"], 11, Some("extended-key-usage")),
        (&["--purpose", "1.3.6.1.5.5.7.3.4"], 0, None),
        (&["--purpose", "1.2.3.4"], 11, Some("extended-key-usage")),
        (&["--require-explicit-policy"], 0, None),
        (&["--require-explicit-policy", "--policy", "1.2.3"], 0, None),
        (&["--require-explicit-policy", "--policy", "1.2.4"], 11, Some("certificate-policies")),
        (&["--require-explicit-policy", "--inhibit-any-policy"], 0, None),
        (&["--require-explicit-policy", "--inhibit-policy-mapping"], 0, None),
        (&["--max-depth", "2"], 11, Some("too-deep")),
        (&["--at", "2099-01-01T00:00:00Z"], 13, Some("expired")),
        (&["--revocation", "chain"], 16, Some("status-missing")),
        (&["--max-depth", "0"], 1, None),
        (&["--policy", "1.2.x"], 1, None),
        (&["--purpose", "tea"], 1, None),
        (&["--profile", "lax"], 1, None),
    ] {
        let (code, json) = pki.with_ca(options);
        assert_eq!(code, expected, "{options:?}: {json:#}");
        assert_eq!(json["refusal"]["code"].as_str(), refusal, "{options:?}");
    }
    let crl = pki.crl(false);
    assert_eq!(pki.with_ca(&["--crl", text(&crl)]).0, 0);
    assert_eq!(pki.with_ca(&["--crl", text(&crl), "--max-status-age", "3600"]).0, 0);
    assert_eq!(pki.with_ca(&["--crl", text(&crl), "--at", "2099-01-01T00:00:00Z"]).0, 13);
    let crl = pki.crl(true);
    assert_eq!(pki.with_ca(&["--crl", text(&crl)]).0, 12);
    // A certificate that cannot be read is refused like one that does not verify.
    std::fs::write(pki.file("leaf.pem"), "nonsense").unwrap();
    let (code, json) = pki.with_ca(&[]);
    assert_eq!((code, json["refusal"]["code"].as_str()), (11, Some("unreadable")));
}

/// Whatever people hand in: several blocks, DER, bundles, other text around, other things inside,
/// nothing at all; and times as they write them.
#[test]
fn odd_files_and_times() {
    let pki = Pki::new("");
    let read = |name: &str| std::fs::read(pki.file(name)).unwrap();
    let write = |name: &str, parts: &[&[u8]]| {
        std::fs::write(pki.file(name), parts.concat()).unwrap();
    };
    let (leaf, ca) = (read("leaf.pem"), read("ca.pem"));
    for name in ["root", "ca", "leaf"] {
        let [from, to] = ["pem", "der"].map(|kind| pki.file(&format!("{name}.{kind}")));
        let _ = openssl::run(&["x509", "-in", text(&from), "-outform", "DER", "-out", text(&to)]);
    }
    write("both.pem", &[&leaf, &ca]);
    for (form, name) in [("PEM", "both.p7b"), ("DER", "both.p7c")] {
        let files = [pki.file("both.pem"), pki.file(name)];
        let args = ["-certfile", text(&files[0]), "-outform", form, "-out", text(&files[1])];
        let _ = openssl::run(&[&["crl2pkcs7", "-nocrl"][..], &args].concat());
    }
    let bad: &[u8] = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    write("latin1.pem", &[b"Certifica\xe7\xe3o\n", &ca]);
    write("with-bad.pem", &[bad, &ca]);
    write("cut.pem", &[&ca, &bad[..40]]);
    let crlf = String::from_utf8(ca.clone()).unwrap().replace('\n', "\r\n");
    write("crlf.pem", &[crlf.as_bytes()]);
    write("trailing.der", &[&read("leaf.der"), b"x"]);
    write("empty", &[]);
    let ask = |root: &str, more: &[&str], leaf: &str| {
        let output = Command::new(program())
            .current_dir(pki.folder.path())
            .args(["verify", "chain", "--format", "json", "--root", root])
            .args(more)
            .arg(leaf)
            .output()
            .unwrap();
        let json = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
        (output.status.code().unwrap(), json)
    };
    let with: &[&str] = &["--untrusted", "ca.pem"];
    for (root, more, leaf, expected) in [
        ("root.pem", &[][..], "both.pem", 0),
        ("root.der", &["--untrusted", "ca.der"], "leaf.der", 0),
        ("root.pem", &[], "both.p7b", 0),
        ("root.pem", &[], "both.p7c", 0),
        ("root.pem", &["--untrusted", "latin1.pem"], "leaf.pem", 0),
        ("root.pem", &["--untrusted", "with-bad.pem"], "leaf.pem", 0),
        ("root.pem", &["--untrusted", "cut.pem"], "leaf.pem", 0),
        ("root.pem", &["--untrusted", "crlf.pem"], "leaf.pem", 0),
        ("root.pem", with, "trailing.der", 11),
        ("root.pem", with, "empty", 11),
        ("root.pem", with, "leaf.key", 11),
        ("root.pem", &["--untrusted", "empty"], "leaf.pem", 11),
        ("empty", with, "leaf.pem", 11),
        ("root.pem", &["--untrusted", "ca.pem", "--crl", "ca.pem"], "leaf.pem", 16),
        ("root.pem", &["--untrusted", "ca.pem", "--ocsp", "empty"], "leaf.pem", 16),
        (".", with, "leaf.pem", 1),
        ("nothing", with, "leaf.pem", 1),
        ("root.pem", with, "/dev/zero", 1),
    ] {
        let (code, json) = ask(root, more, leaf);
        assert_eq!(code, expected, "{root} {more:?} {leaf}: {json:#}");
        // The shape is the same whatever is wrong, but for files that are not there.
        if code != 1 {
            assert_eq!(json["valid"], Value::Bool(code == 0));
            assert!(json["path"].is_array() && json["checks"].is_array(), "{json:#}");
            let told = &json["refusal"]["exit_code"];
            assert_eq!(told.as_i64().unwrap_or(0), i64::from(code), "{json:#}");
        }
    }
    let (_, json) = ask("root.pem", &["--untrusted", "with-bad.pem"], "leaf.pem");
    assert_eq!(json["skipped"][0]["file"], "with-bad.pem", "{json:#}");
    for (at, expected) in [
        ("2099-01-01T00:00:00Z", 13),
        ("2099-01-01t02:00:00+02:00", 13),
        ("2099-01-01", 13),
        ("4070908800", 13),
        ("-1", 13),
        ("0", 13),
        ("9999-12-31T23:59:59Z", 13),
        ("tomorrow", 1),
        ("", 1),
        ("2026-02-30", 1),
        ("2026-12-01T00:00:00", 1),
        ("999999999999999", 1),
    ] {
        assert_eq!(ask("root.pem", &["--at", at], "both.pem").0, expected, "{at}");
    }
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() + 60;
    assert_eq!(ask("root.pem", &["--at", &now.to_string()], "both.pem").0, 0);
}

/// What the server of a PKI's addresses has to answer with.
#[derive(Clone, Copy)]
enum Says {
    Good,
    Revoked,
    NoOcsp,
}

/// Serves `/ca.der`, `/ca.crl` and `/ocsp` to everybody.
fn serve(listener: TcpListener, says: mpsc::Receiver<(PathBuf, Says)>) {
    let Ok((folder, mut saying)) = says.recv() else { return };
    while let Ok((mut connection, _)) = listener.accept() {
        saying = says.try_iter().last().map_or(saying, |(_, new)| new);
        let mut request = Vec::new();
        let mut buffer = [0; 4096];
        // The question of OCSP is short and comes with the headers or right after them.
        while let Ok(n) = connection.read(&mut buffer) {
            request.extend_from_slice(&buffer[..n]);
            let end = request.windows(4).position(|w| w == b"\r\n\r\n");
            let length = String::from_utf8_lossy(&request)
                .lines()
                .find_map(|l| l.to_lowercase().strip_prefix("content-length: ").map(str::to_owned))
                .map_or(0, |l| l.trim().parse::<usize>().unwrap());
            if n == 0 || end.is_some_and(|end| request.len() >= end + 4 + length) {
                break;
            }
        }
        let line = String::from_utf8_lossy(&request).lines().next().unwrap_or_default().to_owned();
        let body = match (line.split(' ').nth(1), saying) {
            (Some("/ca.der"), _) => std::fs::read(folder.join("ca.der")).ok(),
            (Some("/ca.crl"), _) => std::fs::read(folder.join("ca.crl")).ok(),
            (Some("/ocsp"), Says::Good | Says::Revoked) => {
                let at = request.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
                let status = if matches!(saying, Says::Good) { "V" } else { "R" };
                let [index, question, answer, ca, key] =
                    ["ocsp-index", "question", "answer", "ca.pem", "ca.key"]
                        .map(|n| folder.join(n));
                std::fs::write(&index, index_row(status, ",keyCompromise")).unwrap();
                std::fs::write(&question, &request[at..]).unwrap();
                let head = ["ocsp", "-index", text(&index), "-CA", text(&ca), "-rsigner"];
                let tail = ["-rkey", text(&key), "-reqin", text(&question), "-ndays", "1"];
                let out = [text(&ca), "-respout", text(&answer)];
                let _ = openssl::run(&[&head[..], &out, &tail].concat());
                std::fs::read(&answer).ok()
            }
            _ => None,
        };
        let head = if body.is_some() { "200 OK" } else { "404 Not Found" };
        let body = body.unwrap_or_default();
        let head = format!(
            "HTTP/1.1 {head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        let _ = connection.write_all(&[head.as_bytes(), &body].concat());
    }
}

#[test]
fn what_is_missing_is_fetched_within_bounds() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let pki = Pki::new("");
    let more = format!(
        "authorityInfoAccess=OCSP;URI:http://{address}/ocsp,caIssuers;URI:http://{address}/ca.der\n\
         crlDistributionPoints=URI:http://{address}/ca.crl\n"
    );
    pki.certificate("leaf", "ca", "3", &format!("{LEAF}{more}"));
    let (der, ca) = (pki.file("ca.der"), pki.file("ca.pem"));
    let args = ["x509", "-in", text(&ca), "-outform", "DER", "-out", text(&der)];
    let _ = openssl::run(&args);
    let _ = pki.crl(false);
    let (say, says) = mpsc::channel();
    let folder = pki.folder.path().to_owned();
    say.send((folder.clone(), Says::Good)).unwrap();
    std::thread::spawn(move || serve(listener, says));

    // The addresses are private ones: nothing is asked for unless that is allowed.
    let (code, json) = pki.verify(&["--fetch"]);
    assert_eq!(code, 11, "{json:#}");
    assert!(json["fetched"][0]["error"].as_str().unwrap().contains("not a public address"));
    let fetch = ["--fetch", "--fetch-private"];
    let (code, json) = pki.verify(&fetch);
    assert_eq!(code, 0, "{json:#}");
    let what: Vec<_> =
        json["fetched"].as_array().unwrap().iter().map(|f| f["what"].as_str().unwrap()).collect();
    assert_eq!(what, ["issuer", "ocsp"], "{json:#}");
    say.send((folder.clone(), Says::Revoked)).unwrap();
    assert_eq!(pki.verify(&fetch).0, 12);
    // No answer from the responder: the list it is.
    say.send((folder.clone(), Says::NoOcsp)).unwrap();
    assert_eq!(pki.verify(&fetch).0, 0);
    let _ = pki.crl(true);
    assert_eq!(pki.verify(&fetch).0, 12);
    std::fs::remove_file(pki.file("ca.crl")).unwrap();
    assert_eq!(pki.verify(&fetch).0, 16);
    // One request does not get as far as that.
    let (code, json) = pki.verify(&["--fetch", "--fetch-private", "--fetch-requests", "1"]);
    assert_eq!(code, 16, "{json:#}");
    assert!(json["fetched"][1]["error"].as_str().unwrap().contains("used up"), "{json:#}");
}

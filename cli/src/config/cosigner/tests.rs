use super::*;

const VKEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

fn read(cosigner: &str, logs: &str) -> Result<WitnessConfig, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("witness.toml");
    std::fs::write(&file, format!("[cosigner]\n{cosigner}\n[witness.logs]\n{logs}\n")).unwrap();
    witness(&file).map_err(|error| error.to_string())
}

#[test]
fn a_witness_says_what_it_serves() {
    let log = format!("PeterNeumann = {VKEY:?}");
    let config = read("listen = \"127.0.0.1:0\"", &log).unwrap();
    assert_eq!(config.logs.len(), 1);
    assert_eq!((&*config.logs[0].origin, config.logs[0].keys.len()), ("PeterNeumann", 1));
    assert!(config.cosigner.state.is_absolute() && config.cosigner.tls.is_none());
    // The key is made before anybody knows whose log it will co-sign.
    assert!(read("listen = \"127.0.0.1:0\"", "").unwrap().logs.is_empty());
    let several = format!("\"log.example/a\" = [{VKEY:?}, {VKEY:?}]\n{log}");
    assert_eq!(read("listen = \"127.0.0.1:0\"", &several).unwrap().logs.len(), 2);
}

#[test]
fn what_is_wrong_is_said_with_what_would_be_right() {
    let log = format!("PeterNeumann = {VKEY:?}");
    let listen = "listen = \"127.0.0.1:0\"\n";
    for (cosigner, logs, expected) in [
        (format!("{listen}sate = \"x\""), log.as_str(), "did you mean `state`?"),
        (format!("{listen}prefix = \"/w/\""), &log, "`cosigner.prefix`"),
        (format!("{listen}prefix = \"w\""), &log, "`cosigner.prefix`"),
        (format!("{listen}tls_key = \"k\""), &log, "`cosigner.tls_certificate`: give the key's"),
        ("listen = \"0.0.0.0:1\"".to_owned(), &log, "behind_proxy"),
        (listen.to_owned(), "a = []", "`witness.logs`"),
        (listen.to_owned(), "a = \"PeterNeumann+c74f20a4+ARpc\"", "`witness.logs`"),
        (String::new(), &log, "`cosigner.listen` is missing"),
    ] {
        let error = read(&cosigner, logs).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
    assert!(read("listen = \"0.0.0.0:1\"\nbehind_proxy = true", &log).is_ok());
}

//! A token that goes away and comes back.

use avouch_tests::{Http, Installation, Role, load_csr, load_key};
use std::time::{Duration, Instant};
use wire::rest::Certificate;

/// Asks with the same `Idempotency-Key` until the answer satisfies.
fn until(agent: &Http, uid: &str, csr: &[u8], satisfied: impl Fn(u16, &str) -> bool) -> u16 {
    let patience = Instant::now() + Duration::from_secs(120);
    loop {
        let seen = match agent.try_enrol_once(uid, csr, uid) {
            Ok(answer) if satisfied(answer.status, &answer.text()) => return answer.status,
            Ok(answer) => answer.text(),
            Err(error) => error.to_string(),
        };
        assert!(Instant::now() < patience, "waited two minutes; at last: {seen}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_token_may_vanish_and_come_back_without_a_restart() {
    let installation = Installation::start();
    let agent = installation.agent();
    let before: Certificate = agent.enrol("before", &load_csr("before", &load_key())).json(201);

    let (tokens, elsewhere) = (installation.file("tokens"), installation.file("elsewhere"));
    std::fs::rename(&tokens, &elsewhere).expect("the token's folder can be moved");
    installation.kill(Role::HsmWorker);
    let csr = load_csr("during", &load_key());
    let status = until(&agent, "during", &csr, |status, text| {
        status == 503 && (text.contains("hsm-unavailable") || text.contains("\"pending\""))
    });
    assert_eq!(status, 503, "never the fault of the request");

    // What does not need the token goes on, and readiness says what is wrong.
    let path = format!("/api/v1/certificates/{}", before.serial);
    assert_eq!(agent.get(&path).json::<Certificate>(200), before);
    let ready = agent.get("/api/v1/health/ready");
    assert_eq!(ready.status, 503, "{}", ready.text());
    assert!(ready.text().contains("hsm"), "{}", ready.text());
    assert_eq!(agent.get("/api/v1/health/live").status, 200);

    // The command line has its own code for it: 3 while the token is away, 21 where the request
    // was recorded before it went.
    let (csr_file, trust) = (installation.file("cli.csr"), installation.file("trust.json"));
    std::fs::write(&csr_file, load_csr("cli", &load_key())).expect("a file in the folder");
    let (pem, key) = (installation.file("agent.pem"), installation.file("agent.key"));
    let path = |path: &std::path::Path| path.to_str().expect("UTF-8").to_owned();
    let args = [
        "enrol".to_owned(),
        "cli".to_owned(),
        "--csr".to_owned(),
        path(&csr_file),
        "--trust".to_owned(),
        path(&trust),
        "--agent-cert".to_owned(),
        path(&pem),
        "--agent-key".to_owned(),
        path(&key),
    ];
    let output = installation.avouch(&args.each_ref().map(String::as_str));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(matches!(output.status.code(), Some(3 | 21)), "{:?}: {said}", output.status);

    std::fs::rename(&elsewhere, &tokens).expect("the token's folder can be moved back");
    until(&agent, "during", &csr, |status, _| status == 200 || status == 201);
    assert_eq!(agent.get("/api/v1/health/ready").status, 200);
}

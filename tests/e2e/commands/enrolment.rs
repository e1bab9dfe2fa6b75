//! Enrolments that people sign for.

use avouch_tests::Desk;

const NO_TRANSPORT: &str = "allow_software_token = true\n";

#[test]
fn an_agent_signs_for_a_person_or_a_service() {
    let desk = Desk::new();
    // From here on the transport's word does not count.
    desk.write("policy.toml", NO_TRANSPORT);
    desk.run(0, "change policy @policy.toml --key ca:officer-1.key --yes --out @change");
    desk.run(0, "request sign @change --key ca:officer-2.key --yes");
    desk.run(0, "request submit @change").says(&["policy-change"]);
    desk.run(0, "key new --out @alice.key");
    let bare = "enrol alice --key @alice.key --agent-cert ca:agent.pem --agent-key ca:agent.key";
    desk.run(20, bare).says(&["evidence-required", "transport-is-not-evidence"]);

    // A person prepares, with a recovery key; the agent signs; the person sends.
    let prepared =
        desk.run(0, "enrol alice --key @alice.key --recovery-key @recovery --prepare @request");
    assert_eq!(prepared.value("nonce").len(), 64);
    desk.run(20, "enrol alice --signed @request");
    desk.run(1, "agent sign bob --request @request --key ca:agent.key --yes --out @signed");
    let said =
        desk.run(0, "agent sign alice --request @request --key ca:agent.key --yes --out @signed");
    said.says(&["asks for       enrol", "recovery key", "user-id: alice"]);
    desk.run(0, "enrol alice --signed @signed --out @alice.pem");
    desk.installation.openssl_accepts(&desk.file("alice.pem"), &[]);
    desk.run(
        0,
        "recover alice --recovery-key @recovery --new-key @new.key --new-recovery-key @next",
    );

    // A service has a certification request and nothing else.
    desk.run(0, "key new --out @service.key");
    desk.run(0, "csr service --key @service.key --out @service.csr");
    desk.run(
        0,
        "agent sign service --csr @service.csr --key ca:agent.key --yes --out @service.request",
    );
    desk.run(0, "enrol service --signed @service.request --out @service.pem");
    desk.installation.openssl_accepts(&desk.file("service.pem"), &[]);
    // Nobody else's signature is an agent's.
    desk.run(0, "key new --out @other.key");
    desk.run(0, "csr other --key @other.key --out @other.csr");
    desk.run(0, "agent sign other --csr @other.csr --key @service.key --yes --out @other.request");
    desk.run(20, "enrol other --signed @other.request").says(&["evidence-refused"]);
}

#[test]
fn an_id_token_that_no_provider_signed_is_refused() {
    let desk = Desk::new();
    desk.run(0, "key new --out @alice.key");
    desk.run(0, "enrol alice --key @alice.key --prepare @request");
    desk.write("token", "eyJhbGciOiJFUzI1NiJ9.e30.c2ln");
    desk.run(20, "enrol alice --signed @request --id-token @token");
    desk.run(10, "history alice");
}

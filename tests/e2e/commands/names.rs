//! Names besides the id: who may vouch for them, and where they are seen.

use avouch_tests::{Desk, patiently, pkilint};

/// The desk's agent may vouch for addresses and UPNs of one domain from now on.
fn with_scope(desk: &Desk) {
    let scope = "--scope dev-agent:email=example.org --scope dev-agent:upn=corp.example --scope dev-agent:enrol";
    let change = format!("change agents {scope} --key ca:officer-1.key --yes --out @change");
    desk.run(0, &change).says(&["email=example.org"]);
    desk.run(0, "request sign @change --key ca:officer-2.key --yes");
    desk.run(0, "request submit @change").says(&["announced"]);
    desk.hours_ahead(73);
    patiently("the scope to hold", || {
        desk.run(0, "policy show --format json").out.contains("email=example.org").then_some(())
    });
}

/// Puts alice's own certificate into a file of its own, and lints it.
fn lint(desk: &Desk) {
    let both = std::fs::read_to_string(desk.file("alice.pem")).expect("written");
    let end = "-----END CERTIFICATE-----\n";
    let (leaf, _) = both.split_once(end).expect("a certificate");
    desk.write("leaf.pem", &format!("{leaf}{end}"));
    pkilint::certificate(&desk.file("leaf.pem"));
}

#[test]
fn an_agent_vouches_for_an_address_and_a_upn_and_everybody_sees_them() {
    let desk = Desk::new();
    with_scope(&desk);
    desk.run(0, "key new --out @alice.key");
    let named = "--email alice@Example.ORG --upn alice@corp.example";
    desk.run(0, &format!("enrol alice --key @alice.key {named} --prepare @request"));
    let signed =
        desk.run(0, "agent sign alice --request @request --key ca:agent.key --out @signed --yes");
    signed.says(&["rfc822: alice@example.org", "upn: alice@corp.example"]);
    desk.run(0, "enrol alice --signed @signed --out @alice.pem");
    desk.until(0, "verify identity alice").says(&[
        "ok",
        "rfc822 alice@example.org",
        "upn alice@corp.example",
    ]);
    lint(&desk);
    let chain = |code: i32, name: &str| {
        let path = "--root ca:root.pem --untrusted ca:chain.pem --purpose email";
        desk.run(code, &format!("verify chain @leaf.pem {path} {name}"))
    };
    chain(0, "--email alice@example.org");
    chain(0, "--upn alice@corp.example");
    chain(11, "--email mallory@example.org");
    chain(11, "--upn mallory@corp.example");

    // They stay over a change of key, and go where nobody vouches for them any more.
    desk.run(0, "rekey alice --key @alice.key --new-key @next.key --out @alice.pem");
    lint(&desk);
    chain(0, "--email alice@example.org");
    let elsewhere = "rename alice --key @next.key --email alice@example.com";
    desk.run(20, elsewhere).says(&["names-are-vouched-for", "alice@example.com"]);
    desk.run(0, "rename alice --key @next.key --upn alice@corp.example");
    let shown = desk.run(0, "verify identity alice").out;
    assert!(shown.contains("upn alice@corp.example") && !shown.contains("rfc822"), "{shown}");
}

#[test]
fn officers_rename_whom_they_like_and_an_agent_within_its_scope() {
    let desk = Desk::new();
    desk.enrol("alice");
    let rename = "rename alice --email a@elsewhere.example --key ca:officer-1.key --as officer";
    desk.run(0, &format!("{rename} --out @request")).says(&["nonce"]);
    desk.run(20, "request submit @request").says(&["threshold-of-officers"]);
    desk.run(0, "request sign @request --key ca:officer-2.key --yes")
        .says(&["rfc822: a@elsewhere.example"]);
    desk.run(0, "request submit @request").says(&["rename"]);
    desk.run(0, "verify identity alice").says(&["rfc822 a@elsewhere.example"]);
    // The holder asks, and the agent vouches: not without a scope.
    let ask = "rename alice --email a@example.org --key @alice.key --out @request";
    desk.run(0, ask);
    desk.run(0, "request sign @request --key ca:agent.key --as agent --yes");
    desk.run(20, "request submit @request").says(&["names-are-vouched-for", "a@example.org"]);
    with_scope(&desk);
    desk.run(0, ask);
    desk.run(0, "request sign @request --key ca:agent.key --as agent --yes");
    desk.run(0, "request submit @request --out @alice.pem").says(&["rename"]);
    lint(&desk);
    desk.run(0, "verify identity alice").says(&["rfc822 a@example.org"]);
    desk.run(0, "history alice").says(&["rename"]);
    // An address that no certificate can carry is refused where it is typed.
    desk.run(1, "rename alice --key @alice.key --email \"a b@example.org\"").says(&["dot-string"]);
}

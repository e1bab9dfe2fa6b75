//! The auditors' door: a gateway that suppresses vetoes, an authority that ignores them, and a receipt
//! in the hands of whoever is about to believe the new key.

use std::path::PathBuf;
use std::time::UNIX_EPOCH;

use avouch_tests::openssl::text;
use avouch_tests::people::Holder;
use avouch_tests::{Desk, load_key, patiently};
use evidence::handed::Handed;
use tlog::cosign::Cosigner;
use tlog::note::Note;
use wire::Encoded;
use wire::intent::Intent;
use wire::receipt::ReceiptFile;
use wire::socket::{RequestBody, ResponseBody};

use crate::auditor::Audited;
use crate::people::{Person, ends};

/// Nobody is there.
const NOWHERE: &str = "https://127.0.0.1:1";

const HOUR: u64 = 3600;

/// Alice, whose key is in a file too, and a switch to a key of somebody else's, which officers were
/// talked into approving.
struct Threatened {
    audited: Audited,
    folder: tempfile::TempDir,
    alice: Holder,
    thief: Holder,
    switch: Intent,
}

impl Threatened {
    fn new(audited: Audited) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let pair = load_key();
        std::fs::write(folder.path().join("alice.key"), pair.serialize_pem()).expect("a file");
        let (alice, thief, town) = (Holder::of(pair), Holder::new(), &audited.town);
        town.enrol("alice", &alice, None);
        let switch = town.request_switch("alice", &thief);
        for officer in &town.officers[..2] {
            town.approve(&switch, officer).expect("approved");
        }
        Self { audited, folder, alice, thief, switch }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The veto, handed in at the auditor's door until it has seen the switch; the receipt's file.
    fn vetoes(&self) -> PathBuf {
        let (key, receipt) = (self.file("alice.key"), self.file("receipt"));
        let (id, url) = (self.switch.hash().to_string(), self.audited.auditor.url());
        let trust = self.audited.town.installation.file("trust.json");
        let line = ["veto", "alice", "--id", &id, "--key", text(&key), "--via", url];
        let more = ["--receipt", text(&receipt), "--server", NOWHERE, "--trust", text(&trust)];
        patiently("a receipt", || {
            let said = self.audited.town.installation.avouch(&[&line[..], &more].concat());
            said.status.success().then_some(())
        });
        receipt
    }

    fn hours_pass(&self, hours: u64) {
        self.audited.auditor.set_clock(hours * HOUR);
        self.audited.town.clock_at(hours * HOUR);
    }

    /// How far the authority says that the switch is.
    fn outcome(&self) -> String {
        let asked = RequestBody::Switch { switch: self.switch.hash() };
        match self.audited.town.gateway().ask(asked).result {
            Ok(ResponseBody::Switch(switch)) => format!("{:?}", switch.status),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_veto_that_the_gateway_suppresses_is_handed_to_the_auditor_and_holds() {
    let threatened = Threatened::new(Audited::start());
    let installation = &threatened.audited.town.installation;
    let receipt = threatened.vetoes();
    let trust = installation.file("trust.json");
    let show = ["audit", "receipt", text(&receipt), "--trust", text(&trust)];
    let shown = ends(&installation.avouch(&show), 0);
    let id = threatened.switch.hash().to_string();
    for word in ["veto", &id, "auditor.example/e2e", "does not complete any more"] {
        assert!(shown.contains(word), "{word} in {shown}");
    }
    // The authority fetches it; nobody sent anything through the gateway.
    patiently("the veto in the log", || (threatened.outcome() == "Dropped").then_some(()));
    threatened.hours_pass(73);
    threatened.audited.town.enrol("bob", &Holder::new(), None);
    assert_eq!(threatened.outcome(), "Dropped");
    assert_eq!(threatened.audited.town.key("alice"), Some(threatened.alice.hash()));
    assert!(threatened.audited.alarm().is_none());
    let person = Person::new(installation);
    let verify = ["verify", "identity", "alice", "--receipt", text(&receipt)];
    ends(&person.with_contacts(&verify), 0);
    // A receipt in which one letter is another is none.
    let forged = std::fs::read_to_string(&receipt).expect("it").replace("drops", "slows");
    let forged = person.write("forged", forged.as_bytes());
    let show = ["audit", "receipt", text(&forged), "--trust", text(&trust)];
    ends(&installation.avouch(&show), 15);
}

#[test]
fn an_authority_that_ignores_the_door_is_not_co_signed_and_its_new_key_is_believed_by_nobody() {
    let threatened = Threatened::new(Audited::start_silenced());
    let receipt = threatened.vetoes();
    assert_eq!(threatened.outcome(), "Waiting");
    threatened.hours_pass(73);
    let refused = patiently("the alarm", || threatened.audited.alarm());
    assert_eq!(refused["rule"], "a-receipted-veto-counts");
    assert_eq!(refused["event"], "switch-complete");
    assert_eq!(threatened.outcome(), "Completed");
    let person = Person::new(&threatened.audited.town.installation);
    let thiefs = threatened.thief.hash().to_string();
    for more in [&[][..], &["--receipt", text(&receipt)]] {
        let verify = [&["verify", "identity", "alice", "--format", "json"][..], more].concat();
        let said = person.with_contacts(&verify);
        assert!(!String::from_utf8_lossy(&said.stdout).contains(&thiefs), "{said:?}");
    }
}

/// The auditor has gone over to the thief, too: it co-signs what it refused before. The receipt is
/// still in its owner's hands.
#[test]
fn whoever_has_the_receipt_refuses_what_completed_after_it() {
    const NAME: &str = "auditor.example";
    let (desk, cosigners) = Desk::co_signed_by("auditor", &["auditor"]);
    desk.enrol("alice");
    let id = desk.run(0, "switch request alice --new-key @new.key --reason none").value("switch");
    for n in [1, 2] {
        desk.run(0, &format!("approve alice --key ca:officer-{n}.key --remark met --yes"));
    }
    let size = patiently("the auditor", || Some(cosigners[0].size()).filter(|size| *size > 0));
    desk.run(0, &format!("veto alice --id {id} --key @alice.key --out @veto --server {NOWHERE}"));
    let veto = std::fs::read(desk.file("veto")).expect("it was written");
    let auditor = Cosigner::from_seed(NAME, &[1; 32]).expect("a name");
    assert_eq!(auditor.key().vkey(), cosigners[0].vkey());
    let now = UNIX_EPOCH.elapsed().expect("after 1970").as_secs();
    let written = |size: u64| {
        let receipt = Handed::parse(&veto).expect("a veto").receipt(size, &[]).to_text();
        let line = auditor.cosign(&receipt, now).expect("a time");
        let note = Note::new(&receipt, &[line]).expect("a note").to_text();
        ReceiptFile::new(veto.clone(), note).to_text()
    };
    let whole = desk.run(0, "log verify --config ca:avouch.toml --format json").out;
    let leaves: serde_json::Value = serde_json::from_str(&whole).expect("JSON");
    let leaves = leaves["leaves"].as_u64().expect("a number");
    assert!(leaves >= size);
    desk.write("receipt", &written(leaves));
    desk.run(0, "verify identity alice --receipt @receipt");
    cosigners[0].jump(73 * 3600);
    desk.hours_ahead(73);
    desk.until(0, "switch status alice --out @alice-new.pem");
    let refused = desk.until(14, "verify identity alice --receipt @receipt");
    refused.says(&["stopped before it took effect", "receipt"]);
    // One who was handed it when all was over says nothing about before.
    desk.write("later", &written(leaves + 100));
    // Nor does whoever has none know of it.
    desk.until(14, "verify identity alice").says(&["Officers approved this"]);
    desk.run(0, "contact acknowledge alice");
    desk.run(0, "verify identity alice --receipt @later");
}

//! What operators do with tokens, and a token that fails at random under full load.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use avouch_tests::{Installation, Load, Role, load_csr, load_key, patiently, program};
use pkcs11_shim::{Act, Call, Rule, Shim};
use serde_json::Value;
use wire::rest::Certificate;

pub(crate) const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";

/// `avouch hsm …` or `avouch unlock …` on this installation: exit code, and the answer or what was
/// said.
pub(crate) fn ask(
    installation: &Installation,
    arguments: &[&str],
) -> Result<Value, (Option<i32>, String)> {
    let config = installation.file("avouch.toml");
    let config = config.to_str().expect("UTF-8");
    let all = [arguments, &["--config", config, "--format", "json"]].concat();
    let output = installation.avouch(&all);
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err((output.status.code(), said));
    }
    Ok(serde_json::from_slice(&output.stdout).expect("JSON"))
}

pub(crate) fn state(installation: &Installation, token: usize) -> String {
    let status = ask(installation, &["hsm", "status"]).expect("a status");
    status["tokens"][token]["state"].as_str().unwrap_or_default().to_owned()
}

pub(crate) fn change_pin(folder: &Path, from: &str, to: &str) {
    let changed = Command::new("pkcs11-tool")
        .env("SOFTHSM2_CONF", folder.join("softhsm2.conf"))
        .args(["--module", MODULE, "--token-label", "avouch-dev", "--login", "--pin", from])
        .args(["--change-pin", "--new-pin", to])
        .output()
        .expect("pkcs11-tool (opensc) is installed");
    assert!(changed.status.success(), "{changed:?}");
}

#[test]
fn a_token_is_looked_at_drained_and_given_another_pin_while_it_serves() {
    let installation = Installation::start();
    let agent = installation.agent();
    assert_eq!(state(&installation, 0), "ready");
    let keys = ask(&installation, &["hsm", "keys"]).expect("keys");
    let keys = keys["keys"].as_array().expect("a list").clone();
    assert!(keys.len() >= 3, "root, issuing, log: {keys:?}");
    for key in &keys {
        assert_eq!(key["hsm_held"], true, "{key}");
        assert!(key["why"].as_str().expect("a text").contains("software token"), "{key}");
    }
    ask(&installation, &["hsm", "probe"]).expect("it opens");

    // The only one is not drained by mistake; by force it is, and comes back.
    let (code, said) = ask(&installation, &["hsm", "drain"]).expect_err("the only token");
    assert!(said.contains("no other token"), "{code:?} {said}");
    ask(&installation, &["hsm", "drain", "--force"]).expect("drained");
    patiently("the token to be drained", || (state(&installation, 0) == "drained").then_some(()));
    let refused = agent.enrol("alice", &load_csr("alice", &load_key()));
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(refused.headers.contains_key("retry-after"));
    ask(&installation, &["hsm", "drain", "--end"]).expect("back");
    patiently("the token to be ready", || (state(&installation, 0) == "ready").then_some(()));
    let _: Certificate = agent.enrol("alice", &load_csr("alice", &load_key())).json(201);

    // The PIN is changed on the token; a wrong one is told at once, and harms nobody.
    let folder = installation.file("");
    let old = String::from_utf8(installation.read("pin")).expect("UTF-8");
    change_pin(&folder, old.trim(), "changed-4711-pin");
    std::fs::write(folder.join("given"), "wrong-0000-pin").expect("a file");
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(folder.join("given"), private).expect("a file of ours");
    let given = folder.join("given").display().to_string();
    let (_, said) = ask(&installation, &["unlock", "--pin-file", &given]).expect_err("wrong");
    assert!(said.contains("refused the PIN") && !said.contains("wrong-0000"), "{said}");
    let _: Certificate = agent.enrol("bob", &load_csr("bob", &load_key())).json(201);
    std::fs::write(folder.join("given"), "changed-4711-pin\n").expect("a file");
    ask(&installation, &["unlock", "--pin-file", &given]).expect("it holds");
    let _: Certificate = agent.enrol("carol", &load_csr("carol", &load_key())).json(201);
    // The next login uses it.
    installation.kill(Role::HsmWorker);
    patiently("a worker with the new PIN", || {
        let answer = agent.try_enrol_once("dave", &load_csr("dave", &load_key()), "dave");
        answer.ok().filter(|answer| answer.status == 201)
    });
    assert!(!installation.log().contains("4711-pin"));
}

#[test]
fn without_a_pin_the_authority_waits_for_an_administrator() {
    let mut installation = Installation::start();
    let folder = installation.file("");
    let config = folder.join("avouch.toml");
    let text = std::fs::read_to_string(&config).expect("a configuration");
    std::fs::write(&config, text.replace("pin_file = \"pin\"", "pin_unlock = true"))
        .expect("a configuration");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let unlock = || {
                let mut command = Command::new(program());
                command.args(["unlock", "--pin-file"]).arg(folder.join("pin"));
                command.arg("--config").arg(&config).output().expect("avouch runs")
            };
            // The old authority, which has its PIN, takes one, too: it is not what is waited for.
            patiently("the authority to ask for a PIN", || {
                let _ = unlock();
                let log = std::fs::read_to_string(folder.with_extension("log")).ok()?;
                (log.contains("waiting for a PIN") && unlock().status.success()).then_some(())
            });
        });
        installation.restart(false);
    });
    let agent = installation.agent();
    let _: Certificate = agent.enrol("alice", &load_csr("alice", &load_key())).json(201);
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("a copy");
        }
    }
}

/// Puts the shim before the installation's token.
pub(crate) fn behind_a_shim(installation: &mut Installation) -> Shim {
    let folder = installation.file("");
    let shim = Shim::new(&folder, Path::new(MODULE)).expect("two files");
    let module = Shim::module().expect("the shim is built").display().to_string();
    installation.restart_after(|folder| {
        let config = folder.join("avouch.toml");
        let text = std::fs::read_to_string(&config).expect("a configuration");
        let text = text.replace(MODULE, &module);
        let mut variables = format!("SOFTHSM2_CONF = \"{}/softhsm2.conf\"", folder.display());
        for (name, value) in shim.env() {
            variables.push_str(&format!(", {name} = {value:?}"));
        }
        let lines = text.lines().map(|line| {
            if line.starts_with("env = ") {
                format!("env = {{ {variables} }}")
            } else {
                line.to_owned()
            }
        });
        let text = lines.collect::<Vec<_>>().join("\n");
        assert!(text.contains("AVOUCH_SHIM_FOLDER"), "{text}");
        std::fs::write(&config, text).expect("a configuration");
    });
    shim
}

/// Hundreds in one call: a process each would take longer than the soak.
fn openssl_accepts_all(installation: &Installation, load: &Load) {
    let folder = tempfile::tempdir().expect("a folder");
    let leaf = |(n, certificate): (usize, Certificate)| {
        let path = folder.path().join(format!("{n}.pem"));
        std::fs::write(&path, certificate.certificate.expect("a finished one")).expect("a file");
        path
    };
    let leaves: Vec<_> = load.certificates().into_iter().enumerate().map(leaf).collect();
    for some in leaves.chunks(500) {
        let mut command = Command::new("openssl");
        command.arg("verify").arg("-CAfile").arg(installation.file("root.pem"));
        command.arg("-untrusted").arg(installation.file("chain.pem")).args(some);
        let verdict = command.output().expect("openssl is installed");
        assert!(verdict.status.success(), "{}", String::from_utf8_lossy(&verdict.stderr));
    }
}

fn memory_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
    line.split_whitespace().next().and_then(|n| n.parse().ok()).expect("a number")
}

#[test]
fn a_clone_of_the_token_takes_over_when_the_first_is_pulled() {
    let mut installation = Installation::start();
    let shim = behind_a_shim(&mut installation);
    installation.restart_after(|folder| {
        copy(&folder.join("tokens"), &folder.join("clones"));
        let conf = std::fs::read_to_string(folder.join("softhsm2.conf")).expect("a file");
        std::fs::write(folder.join("clone.conf"), conf.replace("/tokens", "/clones"))
            .expect("a file");
        let second = format!(
            "\n[second_hsm]\nmodule = {MODULE:?}\ntoken = \"avouch-dev\"\npin_file = \"pin\"\n\
             env = {{ SOFTHSM2_CONF = \"{{dir}}/clone.conf\" }}\n"
        );
        let config = folder.join("avouch.toml");
        let text = std::fs::read_to_string(&config).expect("a configuration");
        std::fs::write(&config, text + &second).expect("a configuration");
    });
    let agent = installation.agent();
    patiently("both to be ready", || {
        ((0..2).all(|token| state(&installation, token) == "ready")).then_some(())
    });
    let load = Load::default();
    std::thread::scope(|scope| {
        for name in 0..4 {
            let (load, agent) = (&load, &agent);
            scope.spawn(move || load.client(agent, name));
        }
        let _over = load.ends();
        load.wait(|seen| seen.answered > 40);
        shim.absent(true).expect("pulled");
        let before = load.seen().answered;
        load.wait(|seen| seen.answered > before + 80);
        assert_ne!(state(&installation, 0), "ready");
        assert_eq!(agent.get("/api/v1/health/ready").status, 200);
        shim.absent(false).expect("back");
        patiently("the first to be back", || (state(&installation, 0) == "ready").then_some(()));
    });
    assert!(load.seen().refused.is_empty(), "nobody was turned away: {:?}", load.seen().refused);
    load.holds(&agent);
}

#[test]
fn under_random_faults_every_certificate_verifies_and_memory_stays_flat() {
    let long = std::env::var_os("AVOUCH_LONG").is_some();
    let time = Duration::from_secs(if long { 600 } else { 30 });
    let mut installation = Installation::start();
    let shim = behind_a_shim(&mut installation);
    let rule = |call, act, one_in, after| {
        let rule = Rule { one_in, after, ..Rule::new(0, call, act) };
        shim.add(rule).expect("a rule")
    };
    // A code of each class, at every function that serves; lies, deaths and delays.
    for (call, code, one_in) in [
        (Call::Sign, 0x1, 97),
        (Call::Sign, 0x6, 131),
        (Call::Sign, 0x21, 409),
        (Call::Sign, 0x30, 887),
        (Call::Sign, 0x101, 1009),
        (Call::SignInit, 0x60, 151),
        (Call::SignInit, 0xb3, 173),
        (Call::SignInit, 0x32, 1201),
        (Call::FindObjectsInit, 0x90, 11),
        (Call::GetAttributeValue, 0x82, 53),
        (Call::OpenSession, 0xb1, 13),
        (Call::Login, 0x30, 5),
        (Call::Initialize, 0x5, 7),
    ] {
        rule(call, Act::Return(code), one_in, false);
    }
    rule(Call::Sign, Act::Crash, 1301, true);
    rule(Call::SignInit, Act::Crash, 1511, false);
    rule(Call::Sign, Act::Delay(Duration::from_millis(30)), 61, false);
    let garbage = rule(Call::Sign, Act::Garbage, 499, false);
    let agent = installation.agent();
    let authority = installation.pids(Role::Authority);
    let load = Load::default();
    let mut sizes = Vec::new();
    std::thread::scope(|scope| {
        for name in 0..8 {
            let (load, agent) = (&load, &agent);
            scope.spawn(move || load.client(agent, name));
        }
        let _over = load.ends();
        let end = Instant::now() + time;
        while Instant::now() < end {
            let answered = load.seen().answered;
            load.wait(|seen| seen.answered > answered + 20);
            sizes.push(memory_kib(authority[0]));
        }
    });
    shim.clear().expect("no faults");
    assert!(shim.happened(&garbage).expect("a number") > 0);
    // The authority is the process that it was: nothing was restarted but workers.
    assert_eq!(installation.pids(Role::Authority), authority);
    assert!(shim.calls(Call::Initialize).expect("a number") > 3, "workers were replaced");
    let half = sizes.len() / 2;
    let (middle, last) = (sizes[half], sizes[sizes.len() - 1]);
    assert!(last < middle + 48 * 1024, "{middle} KiB grew to {last} KiB");
    // What was recorded meanwhile is finished, and all of it verifies.
    load.holds(&agent);
    openssl_accepts_all(&installation, &load);
    let log = installation.log();
    assert!(!log.contains("alarm"), "{log}");
}

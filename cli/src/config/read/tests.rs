use std::path::Path;

use super::*;
use crate::config::RawSockets;

const LEAST: &str = "\
[store]
path = 'avouch.db'

[hsm]
software = 'keys'

[gateway]
listen = '127.0.0.1:8443'
public_url = 'https://localhost'
tls_certificate = 'tls.pem'
tls_key = 'tls.key'
";

fn with(text: &str, variables: &[(&str, &str)]) -> Result<Source, Vec<String>> {
    let variables = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    super::read(Path::new("a.toml"), text, variables)
        .map_err(|faults| faults.iter().map(ToString::to_string).collect())
}

fn faults(text: &str) -> Vec<String> {
    with(text, &[]).expect_err("it is refused")
}

#[test]
fn the_least_file_is_enough_and_each_of_its_lines_is_needed() {
    let source = with(LEAST, &[]).expect("enough");
    assert_eq!(source.raw.sockets, RawSockets::default());
    for line in LEAST.lines().filter(|line| line.contains(" = ")) {
        let (key, _) = line.split_once(" = ").expect("a key");
        let without = LEAST.replace(&format!("{line}\n"), "");
        // Whether HSM and store are complete depends on several keys at once; that is checked later.
        if !["software", "path"].contains(&key) {
            let faults = faults(&without);
            assert!(faults[0].contains(&format!(".{key}` is missing; give ")), "{faults:?}");
        }
    }
}

#[test]
fn every_section_has_its_defaults() {
    // Each Default of an optional section would panic here.
    let source = with(LEAST, &[]).expect("enough");
    let written = source.raw.to_toml();
    assert!(!written.contains("[limits]") && !written.contains("[log]"), "{written}");
    let again = with(&written, &[]).expect("what is written is read");
    assert_eq!(again.raw.to_toml(), written);
    // Sections with names of their own need what each of them is about.
    let optional =
        |section: &&Section| !section.required && !section.named && !section.name.ends_with("_hsm");
    for section in sections().iter().filter(optional) {
        assert!(section.keys.iter().all(|key| !key.required), "[{}]", section.name);
    }
}

#[test]
fn an_unknown_key_is_refused_with_its_line_and_the_nearest_name() {
    let text = LEAST.replace("listen = ", "lisen = ");
    assert_eq!(
        faults(&text),
        [
            "a.toml:8: unknown key `gateway.lisen`; did you mean `listen`?",
            "a.toml:7: `gateway.listen` is missing; give an address and port, such as \
             \"127.0.0.1:8443\" or \"[::]:8443\"",
        ]
    );
    assert_eq!(
        faults(&format!("{LEAST}[gatway]\n")),
        ["a.toml:12: unknown section `gatway`; did you mean `gateway`?"]
    );
    assert_eq!(
        faults(&format!("{LEAST}dir = 'run'\n")),
        ["a.toml:12: unknown key `gateway.dir`; there is `sockets.dir`"]
    );
    assert_eq!(
        faults(&format!("blocklist = 'x'\n{LEAST}")),
        ["a.toml:1: unknown section `blocklist`; `blocklist` is a key of [keys]"]
    );
    let far = faults(&format!("{LEAST}[sockets]\nxyzzy = 1\n"));
    assert_eq!(far, ["a.toml:13: unknown key `sockets.xyzzy`; [sockets] has dir"]);
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let text = format!(
        "{}[limits]\nqueue = 0\ngroup = 'many'\nrequest_timeout = 30\n[log]\nformat = 'xml'\n",
        LEAST.replace("8443'", "8443/'")
    );
    let told = faults(&text);
    let starts = [
        "a.toml:8: `gateway.listen` is \"127.0.0.1:8443/\"; give an address and port",
        "a.toml:13: `limits.queue` is 0; give a whole number, 1 to 1000000",
        "a.toml:14: `limits.group` is \"many\"; give a whole number",
        "a.toml:15: `limits.request_timeout` is 30; give a time with its unit",
        "a.toml:17: `log.format` is \"xml\"; give \"text\" or \"json\"",
    ];
    assert_eq!(told.len(), starts.len(), "{told:?}");
    for start in starts {
        assert!(told.iter().any(|fault| fault.starts_with(start)), "{start}: {told:?}");
    }
}

#[test]
fn what_is_not_toml_is_refused_with_its_line() {
    let told = faults(&format!("{LEAST}[limits\n"));
    assert!(told[0].starts_with("a.toml:12: not TOML: "), "{told:?}");
    let told = faults(&format!("{LEAST}listen = '127.0.0.1:1'\n"));
    assert!(told[0].starts_with("a.toml:12: not TOML: duplicate key"), "{told:?}");
    let told = faults("store = 1\n");
    assert!(
        told.contains(&"a.toml:1: `store` is a section; write [store] and its keys below".into())
    );
}

#[test]
fn the_environment_goes_before_the_file_and_is_checked_the_same() {
    let variables = [
        ("AVOUCH_GATEWAY__LISTEN", "127.0.0.1:9"),
        ("AVOUCH_LIMITS__QUEUE", "7"),
        ("AVOUCH_HSM__ENV__SOFTHSM2_CONF", "/x"),
        ("AVOUCH_HSM__TOKEN", "123"),
        ("AVOUCH_LOG", "debug"),
        ("HOME__X", "y"),
    ];
    let source = with(LEAST, &variables).expect("all of it fits");
    assert_eq!(source.raw.gateway.listen.0.port(), 9);
    assert_eq!(source.raw.limits.queue.0, 7);
    assert_eq!(source.raw.hsm.env["SOFTHSM2_CONF"], "/x");
    assert_eq!(source.raw.hsm.token.as_deref(), Some("123"), "a text, though it looks a number");
    assert_eq!(
        source.origins[&("gateway".to_owned(), "listen".to_owned())],
        Origin::Variable("AVOUCH_GATEWAY__LISTEN".to_owned())
    );

    for (name, value, told) in [
        ("AVOUCH_GATEWAY__LISEN", "x", "unknown key `gateway.lisen`; did you mean `listen`?"),
        ("AVOUCH_GATWAY__LISTEN", "x", "unknown section `gatway`; did you mean `gateway`?"),
        ("AVOUCH_LIMITS__QUEUE", "-1", "`limits.queue` is \"-1\"; give a whole number, 1 to"),
        ("AVOUCH_GATEWAY__LISTEN__X", "y", "`gateway.listen` is \"y\"; give an address"),
    ] {
        let faults = with(LEAST, &[(name, value)]).expect_err("it is refused");
        assert!(
            faults[0].starts_with(&format!("environment variable {name}: {told}")),
            "{faults:?}"
        );
    }
}

#[test]
fn a_section_can_come_from_the_environment_alone() {
    let without = LEAST.replace("[store]\npath = 'avouch.db'\n", "");
    let source = with(&without, &[]).expect("that the store is missing is told by the check");
    assert_eq!(source.raw.store.path, None);
    let source = with(&without, &[("AVOUCH_STORE__PATH", "x.db")]).expect("given");
    assert_eq!(source.raw.store.path.as_deref(), Some(Path::new("x.db")));
}

#[test]
fn what_a_token_is_told_of_its_keys_is_known_and_protects_them() {
    let check = |lines: &str, variables: &[(&str, &str)]| {
        let token = format!("module = 'm'\ntoken = 't'\npin_file = 'pin'\n{lines}");
        let source = with(&LEAST.replace("software = 'keys'\n", &token), variables);
        let source = source.map_err(|faults| faults.join("; "))?;
        super::super::check::check(&source, Path::new("/"))
            .map(|config| config.hsm.token.template)
            .map_err(|error| error.to_string())
    };
    let tpm = pkcs11::Template::preset("tpm2-pkcs11").expect("a preset");
    assert_eq!(check("template = 'tpm2-pkcs11'", &[]), Ok(tpm.clone()));
    let by_hand = "public_attributes = { CKA_VERIFY = 'omit', CKA_ENCRYPT = 'omit' }\n\
                   private_attributes = { CKA_SIGN = 'omit', CKA_DECRYPT = 'omit' }";
    assert_eq!(check(by_hand, &[]), Ok(tpm));
    let by_variable = [("AVOUCH_HSM__PRIVATE_ATTRIBUTES__CKA_COPYABLE", "false")];
    assert_eq!(
        check("", &by_variable),
        check("private_attributes = { CKA_COPYABLE = false }", &[])
    );

    let said = |lines: &str| check(lines, &[]).expect_err("it is refused");
    let error = said("template = 'tpm2-pkc11'");
    assert!(error.contains("did you mean \"tpm2-pkcs11\"?"), "{error}");
    let error = said("private_attributes = { CKA_SENSITIV = 'omit' }");
    assert!(error.contains("did you mean \"CKA_SENSITIVE\"?"), "{error}");
    let error = said("private_attributes = { CKA_EXTRACTABLE = true }");
    assert!(error.contains("false otherwise"), "{error}");
    let error = said("public_attributes = { CKA_VERIFY = 'leave' }");
    assert!(error.contains("\"omit\""), "{error}");
    let error = said("pin_shares = 'hsm.shares'");
    assert!(error.contains("2 of pin_file"), "{error}");
}

use wire::Encoded;

use super::*;

#[test]
fn an_empty_file_is_standard_and_presets_are_within_bounds() {
    assert_eq!(parse("").unwrap(), Rules::standard());
    for preset in Preset::ALL {
        let text = format!("preset = \"{}\"", preset.name());
        assert_eq!(parse(&text).unwrap(), preset.rules());
        preset.rules().within_bounds().unwrap();
    }
}

#[test]
fn what_is_written_reads_back_to_the_same_hash() {
    for preset in Preset::ALL {
        let text = write(&preset.rules());
        assert_eq!(parse(&text).unwrap().hash(), preset.rules().hash(), "{text}");
        assert_eq!(text.lines().filter(|line| !line.starts_with('#')).count(), FIELDS.len());
    }
    // Two ways to write the same policy have one hash.
    let (one, two) = (parse("wait = \"72h\"").unwrap(), parse("wait = \"3d\"").unwrap());
    assert_eq!(one.hash(), two.hash());
}

#[test]
fn each_field_is_set_by_its_own_key() {
    for (key, value) in [
        ("approvals", "1"),
        ("officers", "4"),
        ("wait", "\"73h\""),
        ("request_expiry", "\"15d\""),
        ("recovery_window", "\"73h\""),
        ("cooldown", "\"0s\""),
        ("certificate_validity", "\"90d\""),
        ("backdate", "\"1m\""),
        ("max_status_age", "\"1h\""),
        ("leaves_per_crl", "1024"),
        ("min_rsa_bits", "3072"),
        ("certificates_per_day", "7"),
        ("allow_transport_evidence", "true"),
        ("allow_software_token", "true"),
        ("allow_unwitnessed", "false"),
    ] {
        let changed = parse(&format!("{key} = {value}")).unwrap();
        assert_ne!(changed, Rules::standard(), "{key}");
        let line = format!("{key} = {value}");
        let (before, after) = (write(&Rules::standard()), write(&changed));
        let differs: Vec<_> =
            after.lines().filter(|l| !before.contains(&format!("{l}\n"))).collect();
        assert_eq!(differs.len(), 1, "{key}: {differs:?}");
        assert!(differs[0].starts_with(key), "{line}");
    }
}

#[test]
fn mistakes_are_named() {
    let refused = |text: &str| parse(text).unwrap_err().to_string();
    assert_eq!(refused("aprovals = 2"), "unknown key \"aprovals\"; did you mean \"approvals\"?");
    assert_eq!(refused("waits = \"1d\""), "unknown key \"waits\"; did you mean \"wait\"?");
    assert!(refused("preset = \"lax\"").contains("small-team, standard and strict"));
    assert!(refused("wait = 72").contains("with a unit"));
    for bad in ["72", "h", "-1h", "1.5h", "72 h", "1w", "99999999999999999999d", "1día"] {
        assert!(refused(&format!("wait = \"{bad}\"")).contains("with a unit"), "{bad}");
    }
    assert!(refused("approvals = -1").contains("a number from 0"));
    assert!(refused("approvals = \"2\"").contains("a number"));
    assert!(refused("allow_unwitnessed = 1").contains("true or false"));
    assert!(refused("wait = \"1s\"").contains("outside"));
    assert!(refused("approvals = 3\nofficers = 3").contains("more officers than approvals"));
    assert!(refused("[wait]\nx = 1").contains("with a unit"));
    assert!(matches!(parse("wait ="), Err(FileError::Toml(_))));
}

#[test]
fn the_documentations_table_says_what_the_presets_are() {
    let table = include_str!("../../../docs/policy.md");
    let written: Vec<String> = Preset::ALL.iter().map(|preset| write(&preset.rules())).collect();
    for (key, _, meaning) in FIELDS {
        let value = |text: &String| {
            let line = text.lines().find(|line| line.starts_with(&format!("{key} = "))).unwrap();
            line[key.len() + 3..].trim_matches('"').to_owned()
        };
        let [small, standard, strict] = [0, 1, 2].map(|n| value(&written[n]));
        let row = format!("| `{key}` | {small} | {standard} | {strict} | {meaning} |");
        assert!(table.contains(&row), "missing: {row}");
    }
}

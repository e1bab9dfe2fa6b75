use super::*;
use crate::testing::{hsm, key_file};

#[test]
fn each_attribute_alone_decides() {
    let rules = Rules::standard();
    assert_eq!(hsm_held(&hsm(), &rules), Ok(()));
    type Change = fn(&mut Protection);
    let table: &[(NotHsmHeld, &str, Change)] = &[
        (NotHsmHeld::KeyFile, "key file", |p| p.on_token = false),
        (NotHsmHeld::NotLocal, "CKA_LOCAL", |p| p.local = false),
        (NotHsmHeld::NotSensitive, "CKA_ALWAYS_SENSITIVE", |p| p.always_sensitive = false),
        (NotHsmHeld::Extractable, "CKA_NEVER_EXTRACTABLE", |p| p.never_extractable = false),
        (NotHsmHeld::Modifiable, "CKA_MODIFIABLE", |p| p.modifiable = true),
        (NotHsmHeld::SoftwareToken, "allow_software_token", |p| p.software_token = true),
    ];
    for (why, word, change) in table {
        let mut protection = hsm();
        change(&mut protection);
        assert_eq!(hsm_held(&protection, &rules), Err(*why));
        assert!(why.to_string().contains(word), "{why}");
    }
}

#[test]
fn the_switch_for_software_tokens_opens_nothing_else() {
    let rules = Rules { allow_software_token: true, ..Rules::standard() };
    let software = Protection { software_token: true, ..hsm() };
    assert_eq!(hsm_held(&software, &rules), Ok(()));
    assert_eq!(hsm_held(&key_file(), &rules), Err(NotHsmHeld::KeyFile));
    let leaky = Protection { never_extractable: false, ..software };
    assert_eq!(hsm_held(&leaky, &rules), Err(NotHsmHeld::Extractable));
}

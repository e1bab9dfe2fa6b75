use super::*;

fn said(template: &Template, half: Half) -> String {
    format!("{:?}", template.attributes(half, "label"))
}

#[test]
fn every_preset_exists_and_keeps_what_protects_the_key() {
    for name in Template::presets() {
        let template = Template::preset(name).unwrap_or_else(|| panic!("{name} is broken"));
        let private = said(&template, Half::Private);
        assert!(!private.contains("Sensitive(false)"), "{name}");
        assert!(!private.contains("Extractable(true)"), "{name}");
    }
    assert_eq!(Template::preset("standard"), Some(Template::default()));
    assert_eq!(Template::preset("nonesuch"), None);
}

#[test]
fn an_attribute_is_left_out_or_said_otherwise() {
    let mut template = Template::default();
    assert!(said(&template, Half::Public).contains("Verify(true)"));
    template.set(Half::Public, "CKA_VERIFY", Setting::Omit).unwrap();
    assert!(!said(&template, Half::Public).contains("Verify("));
    template.set(Half::Private, "CKA_COPYABLE", Setting::Say(false)).unwrap();
    assert!(said(&template, Half::Private).contains("Copyable(false)"));
    assert!(!said(&template, Half::Public).contains("Copyable"));
}

#[test]
fn a_key_that_the_token_would_give_out_is_not_asked_for() {
    let mut template = Template::default();
    for (name, value) in [
        ("CKA_SENSITIVE", false),
        ("CKA_EXTRACTABLE", true),
        ("CKA_SIGN", false),
        ("CKA_ALWAYS_AUTHENTICATE", true),
    ] {
        let refused = template.set(Half::Private, name, Setting::Say(value)).unwrap_err();
        assert!(matches!(refused, TemplateError::Fixed { .. }), "{name}: {refused}");
        template.set(Half::Private, name, Setting::Say(!value)).unwrap();
        template.set(Half::Private, name, Setting::Omit).unwrap();
    }
    let unknown = template.set(Half::Private, "CKA_ID", Setting::Omit).unwrap_err();
    assert_eq!(unknown, TemplateError::Unknown { name: "CKA_ID".to_owned() });
}

use proptest::prelude::*;

use super::*;

#[test]
fn service_names_follow_the_rule_of_the_original() {
    for good in ["abc", "a-b", "a1-2b", &"a".repeat(32)] {
        assert_eq!(good.parse::<ServiceName>().unwrap().as_str(), good);
    }
    for bad in [
        "",
        "ab",
        "1ab",
        "-ab",
        "ab-",
        "aBc",
        "a_b",
        "a.b",
        "äbc",
        &"a".repeat(33),
    ] {
        assert!(bad.parse::<ServiceName>().is_err(), "{bad}");
    }
}

#[test]
fn model_names_follow_the_rule_of_the_original() {
    for good in ["a", "A", "1", "a-b_c.D", &"a".repeat(255)] {
        assert!(good.parse::<ModelName>().is_ok(), "{good}");
    }
    for bad in [
        "",
        "-a",
        ".a",
        "_a",
        "a b",
        "a:b",
        "a/b",
        "é",
        &"a".repeat(256),
    ] {
        assert!(bad.parse::<ModelName>().is_err(), "{bad}");
    }
}

#[test]
fn namespaces_follow_the_rule_of_kubernetes() {
    for good in ["a", "1", "a-1", &"a".repeat(63)] {
        assert!(good.parse::<Namespace>().is_ok(), "{good}");
    }
    for bad in ["", "-a", "a-", "A", "a.b", &"a".repeat(64)] {
        assert!(bad.parse::<Namespace>().is_err(), "{bad}");
    }
}

#[test]
fn compute_and_workspace_names_have_their_own_rules() {
    for good in ["abc", "Edge-1", &"a".repeat(24)] {
        assert!(good.parse::<ComputeName>().is_ok(), "{good}");
    }
    for bad in ["ab", "1ab", "ab-", "a_b", &"a".repeat(25)] {
        assert!(bad.parse::<ComputeName>().is_err(), "{bad}");
    }
    assert!("local".parse::<WorkspaceName>().is_ok());
    assert!("_ab".parse::<WorkspaceName>().is_err());
}

#[test]
fn a_refusal_says_what_was_meant_and_the_rule() {
    let error = "Digits!".parse::<ServiceName>().unwrap_err();
    assert_eq!(
        error.to_string(),
        "`Digits!` is not a service name: 3 to 32 characters of a-z, 0-9 and -, a letter first, no dash last"
    );
}

#[test]
fn model_ids_need_a_version_from_one_up() {
    let id: ModelId = "digits:12".parse().unwrap();
    assert_eq!((id.name.as_str(), id.version), ("digits", ModelVersion(12)));
    for bad in [
        "digits",
        "digits:",
        "digits:0",
        "digits:+1",
        "digits:01",
        "digits:-1",
        "digits:1.0",
        ":1",
        "a b:1",
        "digits:4294967296",
        "digits: 1",
    ] {
        assert!(bad.parse::<ModelId>().is_err(), "{bad}");
    }
}

#[test]
fn versions_count_up_and_never_wrap() {
    assert_eq!(ModelVersion::FIRST.next(), ModelVersion(2));
    assert_eq!(ModelVersion(u32::MAX).next(), ModelVersion(u32::MAX));
}

proptest! {
    #[test]
    fn every_text_of_the_pattern_is_a_service_name(text in "[a-z][-a-z0-9]{1,30}[a-z0-9]") {
        let name: ServiceName = text.parse().unwrap();
        prop_assert_eq!(serde_json::to_value(&name).unwrap(), text);
    }

    #[test]
    fn a_service_name_matches_the_pattern(text in "[-a-zA-Z0-9_.é]{0,34}") {
        let inner = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        let first = text.starts_with(|c: char| c.is_ascii_lowercase());
        let last = !text.ends_with('-');
        let expected = (3..=32).contains(&text.len()) && inner && first && last;
        prop_assert_eq!(text.parse::<ServiceName>().is_ok(), expected);
    }

    #[test]
    fn model_ids_survive_text_and_json(name in "[a-zA-Z0-9][a-zA-Z0-9._-]{0,20}", version in 1u32..) {
        let id = ModelId { name: name.parse().unwrap(), version: ModelVersion(version) };
        prop_assert_eq!(&id.to_string().parse::<ModelId>().unwrap(), &id);
        let json = serde_json::to_string(&id).unwrap();
        prop_assert_eq!(serde_json::from_str::<ModelId>(&json).unwrap(), id);
    }

    #[test]
    fn no_text_panics_and_no_refusal_is_endless(text in any::<String>()) {
        if let Err(error) = text.parse::<ServiceName>() {
            prop_assert!(error.value.chars().count() <= 80);
        }
        let _ = text.parse::<ModelName>();
        let _ = text.parse::<Namespace>();
        let _ = text.parse::<ComputeName>();
        let _ = text.parse::<WorkspaceName>();
        let _ = text.parse::<ModelId>();
    }
}

#[test]
fn a_version_is_a_service_that_nobody_can_name() {
    let endpoint: ServiceName = "digits".parse().unwrap();
    let version: VersionName = "digits".parse().unwrap();
    let name = ServiceName::of_version(&endpoint, &version);
    assert_eq!(name.as_str(), "digits/digits");
    assert_eq!((name.endpoint(), name.version()), ("digits", Some(version)));
    assert_eq!((endpoint.endpoint(), endpoint.version()), ("digits", None));
    assert!("digits/digits".parse::<ServiceName>().is_err());
    let stored = serde_json::to_string(&name).unwrap();
    assert_eq!(serde_json::from_str::<ServiceName>(&stored).unwrap(), name);
    for broken in [
        "digits/",
        "/digits",
        "a/digits",
        "digits/one/two",
        "Digits/one",
    ] {
        let stored = serde_json::to_string(broken).unwrap();
        assert!(
            serde_json::from_str::<ServiceName>(&stored).is_err(),
            "{broken}"
        );
    }
}

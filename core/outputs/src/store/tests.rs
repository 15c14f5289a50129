use super::*;

fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    pairs.iter().map(owned).collect()
}

const AZURE: [(&str, &str); 2] = [
    ("AZURE_STORAGE_ACCOUNT_NAME", "account"),
    ("AZURE_STORAGE_ACCOUNT_KEY", "a2V5LXRoYXQtaXMtc2VjcmV0"),
];

#[test]
fn urls_name_container_and_prefix() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let store = OutputStore::with_variables("az://models/some/team/", &variables(&AZURE)).unwrap();
    assert_eq!(store.to_string(), "az://models/some/team");
    assert_eq!(store.prefix.as_ref(), "some/team");
    assert!(!store.is_default);
    let all = OutputStore::with_variables(
        "s3://bucket",
        &variables(&[("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "k")]),
    );
    assert_eq!(all.unwrap().to_string(), "s3://bucket");
}

#[test]
fn what_is_no_store_is_refused_without_telling_secrets() {
    for url in [
        "outputs",
        "ftp://host/x",
        "az://",
        "az:///prefix",
        "file://relative/x",
        "az://box/../x",
        "az://user:SECRET@box/x",
        "az://box/x?sig=SECRET",
        "s3://box/x#SECRET",
    ] {
        let error = OutputStore::with_variables(url, &[]).unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(text.contains("az://CONTAINER/PREFIX"), "{text}");
        assert!(!text.contains("SECRET"), "{text}");
    }
}

#[test]
fn plain_http_is_for_loopback_only() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    for (endpoint, allowed) in [
        ("http://127.0.0.1:10000/account", true),
        ("http://localhost:10000/account", true),
        ("http://[::1]:10000/account", true),
        ("HTTP://storage.example/account", false),
        ("http://127.0.0.1.example/account", false),
        ("http://127.0.0.1@storage.example/account", false),
        ("https://storage.example/account", true),
    ] {
        let mut given = AZURE.to_vec();
        given.push(("AZURE_STORAGE_ENDPOINT", endpoint));
        given.push(("AZURE_ALLOW_HTTP", "true"));
        let made = OutputStore::with_variables("az://box", &variables(&given));
        assert_eq!(made.is_ok(), allowed, "{endpoint}: {made:?}");
        let s3 = variables(&[("AWS_ENDPOINT_URL", endpoint), ("AWS_ALLOW_HTTP", "true")]);
        let made = OutputStore::with_variables("s3://box", &s3);
        assert_eq!(made.is_ok(), allowed, "{endpoint}: {made:?}");
    }
    let emulator = [
        ("AZURE_STORAGE_USE_EMULATOR", "true"),
        ("AZURITE_BLOB_STORAGE_URL", "http://storage.example"),
    ];
    let made = OutputStore::with_variables("az://box", &variables(&emulator));
    assert!(
        matches!(made, Err(OutputStoreError::PlainHttp { .. })),
        "{made:?}"
    );
}

#[test]
fn a_store_does_not_show_its_credentials() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let store = OutputStore::with_variables("az://box", &variables(&AZURE)).unwrap();
    assert_eq!(format!("{store:?}"), "OutputStore(az://box)");
    let mut broken = AZURE.to_vec();
    broken[1].1 = "not/base64/SECRET!";
    let error = OutputStore::with_variables("az://box", &variables(&broken)).unwrap_err();
    assert!(
        !format!("{error} {error:?}").contains("SECRET"),
        "{error:?}"
    );
}

//! Against azurite, the blob storage emulator, when `LUSK_TEST_AZURITE` names
//! its address, e.g. `http://127.0.0.1:10000`.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use super::*;

/// The emulator's account and its key, which every emulator has.
const ACCOUNT: &str = "devstoreaccount1";
const KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// Signed with that key, for making containers, which the client cannot.
const SIGNATURE: &str = "sv=2020-08-04&ss=b&srt=sco&sp=rwdlac&se=2099-01-01T00:00:00Z&spr=https,http&sig=lP4358Cnz1iq8XYqBFoRARKlOuXCuZxE4Uf0d7qFrYE%3D";

const CONTAINER: &str = "lusk";

/// The emulator's address with the account, which is a path there.
fn endpoint() -> Option<String> {
    let address = std::env::var("LUSK_TEST_AZURITE").ok()?;
    let address = address.trim_end_matches('/');
    Some(format!(
        "{}/{ACCOUNT}",
        address.trim_end_matches(&format!("/{ACCOUNT}"))
    ))
}

#[tokio::test]
async fn outputs_and_logs_arrive_in_blob_storage() {
    let Some(endpoint) = endpoint() else {
        return skip("outputs in azurite", "LUSK_TEST_AZURITE names no endpoint");
    };
    let _ = rustls::crypto::ring::default_provider().install_default();
    make_container(&endpoint);
    let variables = [
        ("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT),
        ("AZURE_STORAGE_ACCOUNT_KEY", KEY),
        ("AZURE_STORAGE_ENDPOINT", endpoint.as_str()),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let node = Node::new();
    // Another run's blobs have another prefix.
    let prefix = node.folder.path().file_name().unwrap().to_string_lossy();
    let url = format!("az://{CONTAINER}/{}", prefix.trim_start_matches('.'));
    let store = OutputStore::with_variables(&url, &variables).unwrap();
    let line = "2026-01-31T09:30:00.123Z 0 out text\n";
    fs::write(node.path("logs/digits/log.txt"), line).unwrap();
    let keeper = OutputKeeper::start(node.options(store.clone(), LIMIT)).unwrap();
    let folder = keeper.open(&digits(), 1, 0).unwrap();
    fs::write(folder.path().join("odd name #1 ü.txt"), "small").unwrap();
    let large = vec![7; 2 * PART_BYTES + 5];
    fs::write(folder.path().join("large"), &large).unwrap();
    drop(folder);
    keeper.shutdown(LIMIT).await;
    assert_eq!(keeper.status().last_error, None);
    let found: Vec<ObjectMeta> = store
        .store
        .list(Some(&store.prefix))
        .try_collect()
        .await
        .unwrap();
    let mut sizes: Vec<_> = found.iter().map(|blob| blob.size).collect();
    sizes.sort_unstable();
    assert_eq!(
        sizes,
        [5, line.len() as u64, large.len() as u64],
        "{found:?}"
    );
    let large_blob = found
        .iter()
        .find(|it| it.location.as_ref().ends_with("large"));
    let read = store
        .store
        .get(&large_blob.unwrap().location)
        .await
        .unwrap();
    assert_eq!(read.bytes().await.unwrap(), large);
    assert_eq!(node.spooled(), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn a_wrong_key_is_told_without_the_key() {
    let Some(endpoint) = endpoint() else {
        return skip(
            "a wrong key at azurite",
            "LUSK_TEST_AZURITE names no endpoint",
        );
    };
    let _ = rustls::crypto::ring::default_provider().install_default();
    let wrong = "d3Jvbmcta2V5LXRoYXQtaXMtc2VjcmV0";
    let variables = [
        ("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT),
        ("AZURE_STORAGE_ACCOUNT_KEY", wrong),
        ("AZURE_STORAGE_ENDPOINT", endpoint.as_str()),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let store = OutputStore::with_variables("az://lusk/wrong-key", &variables).unwrap();
    let node = Node::new();
    let keeper = OutputKeeper::start(node.options(store, LIMIT)).unwrap();
    let folder = keeper.open(&digits(), 1, 0).unwrap();
    fs::write(folder.path().join("a"), "x").unwrap();
    drop(folder);
    keeper.shutdown(LIMIT).await;
    let error = keeper.status().last_error.unwrap();
    assert!(!error.contains(wrong), "{error}");
    assert_eq!(node.spooled().len(), 1);
}

fn make_container(endpoint: &str) {
    let rest = endpoint.strip_prefix("http://").unwrap();
    let (authority, path) = rest.split_once('/').unwrap();
    let mut stream = TcpStream::connect(authority).unwrap();
    let request = format!(
        "PUT /{path}/{CONTAINER}?restype=container&{SIGNATURE} HTTP/1.1\r\nhost: {authority}\r\n\
         x-ms-version: 2020-08-04\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    let status = reply.split(' ').nth(1).unwrap();
    assert!(["201", "409"].contains(&status), "{reply}");
}

//! The scoring door under TLS: what it takes, and that all else is as in the open.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::{
    ClientConfig, RootCertStore, SupportedProtocolVersion,
    pki_types::ServerName,
    version::{TLS12, TLS13},
};
use tempfile::TempDir;
use tokio::{io::AsyncReadExt as _, net::TcpStream};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{
    http2::{Connection, told},
    *,
};
use crate::{Tls, TlsError, books::Refusal, testing::Client};

/// An authority made for one test, and the files of a server that it vouches for.
struct Authority {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
    roots: RootCertStore,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        let mut roots = RootCertStore::empty();
        roots.add(certificate.der().clone()).expect("an authority");
        Self {
            folder: tempfile::tempdir().expect("a folder"),
            issuer: Issuer::new(params, key),
            roots,
        }
    }

    /// Writes `<name>.pem` and `<name>.key` for 127.0.0.1.
    fn issue(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> [PathBuf; 2] {
        let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).expect("a name");
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        [("pem", certificate.pem()), ("key", key.serialize_pem())]
            .map(|(end, text)| self.write(&format!("{name}.{end}"), &text))
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, text).expect("written");
        path
    }

    fn tls(&self) -> Tls {
        let [certificate, key] = self.issue("server", |_| ());
        Tls::from_files(&certificate, &key).expect("good files")
    }

    async fn node(&self, route: Arc<Route>, change: impl FnOnce(&mut ScoringOptions)) -> Node {
        let mut options = ScoringOptions::default();
        options.listener.tls = Some(self.tls());
        change(&mut options);
        Node::with(route, options).await
    }

    async fn stream(
        &self,
        node: &Node,
        version: &'static SupportedProtocolVersion,
        protocols: &[&str],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .expect("a version")
            .with_root_certificates(self.roots.clone())
            .with_no_client_auth();
        config.alpn_protocols = protocols
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        let stream = TcpStream::connect(node.address).await.expect("connected");
        let name = ServerName::try_from("127.0.0.1").expect("a name");
        within(TlsConnector::from(Arc::new(config)).connect(name, stream)).await
    }

    /// A caller of HTTP/1.1.
    async fn client(&self, node: &Node) -> Client<TlsStream<TcpStream>> {
        let stream = self.stream(node, &TLS13, &["http/1.1"]).await;
        Client::over(stream.expect("a handshake"))
    }
}

#[tokio::test]
async fn http1_is_spoken_with_who_offers_it_or_nothing() {
    let authority = Authority::new();
    let node = authority.node(route_that(Behaviour::Echo), |_| ()).await;
    for version in [&TLS12, &TLS13] {
        for offered in [&["http/1.1"][..], &[]] {
            let stream = authority.stream(&node, version, offered).await;
            let mut client = Client::over(stream.expect("a handshake"));
            for body in ["one", "two"] {
                client.send(request("POST", SCORE, &[BEARER], body)).await;
                let answer = client.answer().await;
                assert_eq!((answer.status, &answer.json()["body"]), (200, &body.into()));
            }
        }
    }
}

#[tokio::test]
async fn http2_is_spoken_with_who_offers_it() {
    let authority = Authority::new();
    let node = authority.node(route_that(Behaviour::Echo), |_| ()).await;
    for version in [&TLS12, &TLS13] {
        let stream = authority.stream(&node, version, &["h2", "http/1.1"]).await;
        let stream = stream.expect("a handshake");
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let mut connection = Connection::over(stream).await;
        let body = "x".repeat(3 * 1024 * 1024);
        let answer = within(connection.post(&[BEARER], body.clone())).await;
        let (status, seen) = told(answer.expect("an answer")).await;
        assert_eq!(
            (status, seen["length"].as_u64()),
            (200, Some(body.len() as u64))
        );
    }
}

#[tokio::test]
async fn who_offers_neither_gets_no_connection() {
    let authority = Authority::new();
    let node = authority.node(route_that(Behaviour::Echo), |_| ()).await;
    assert!(authority.stream(&node, &TLS13, &["spdy/3"]).await.is_err());
    until(|| node.books.open_connections() == 0).await;
}

#[tokio::test]
async fn plain_http_is_400_and_told_to_speak_tls() {
    let authority = Authority::new();
    let node = authority.node(route_that(Behaviour::Echo), |_| ()).await;
    let mut client = node.connect().await;
    client.send(request("POST", SCORE, &[BEARER], "x")).await;
    let answer = client.answer().await;
    assert_eq!(
        (answer.status, answer.header("connection")),
        (400, Some("close"))
    );
    assert!(answer.message().contains("https://"));
    assert!(client.is_closed().await);
    let refused = node
        .books
        .refused()
        .find(|(refusal, _)| *refusal == Refusal::NotTls);
    assert_eq!(refused.map(|(_, count)| count), Some(1));
}

#[tokio::test]
async fn a_handshake_has_the_time_of_headers() {
    let authority = Authority::new();
    let route = route_that(Behaviour::Echo);
    let short = |options: &mut ScoringOptions| options.listener.header_timeout = SHORT;
    let node = authority.node(route, short).await;
    // Silent, stopped in the middle, and without a request after it.
    for begun in ["", "\x16\x03\x01"] {
        let mut client = node.connect().await;
        client.send(begun).await;
        assert!(client.is_closed().await);
    }
    assert!(authority.client(&node).await.is_closed().await);
    until(|| node.books.open_connections() == 0).await;
}

#[tokio::test]
async fn one_connection_too_many_is_told_under_tls() {
    let authority = Authority::new();
    let route = route_that(Behaviour::Echo);
    let one = |options: &mut ScoringOptions| options.listener.max_connections = 1;
    let node = authority.node(route, one).await;
    let mut first = authority.client(&node).await;
    let mut over = authority.client(&node).await;
    let answer = over.answer().await;
    assert_eq!(
        (answer.status, answer.header("retry-after")),
        (503, Some("1"))
    );
    assert!(answer.message().contains("1 connections open"));
    assert!(over.is_closed().await);
    first.send(request("POST", SCORE, &[BEARER], "x")).await;
    assert_eq!(first.answer().await.status, 200);
}

#[tokio::test]
async fn a_parked_connection_takes_requests_and_is_told_farewell() {
    let authority = Authority::new();
    let route = route_that(Behaviour::Echo);
    let soon = |options: &mut ScoringOptions| options.listener.park_after = SHORT / 10;
    let node = authority.node(route, soon).await;
    let stream = authority.stream(&node, &TLS13, &[]).await;
    let mut client = Client::over(stream.expect("a handshake"));
    for body in ["one", "two"] {
        client.send(request("POST", SCORE, &[BEARER], body)).await;
        assert_eq!(client.answer().await.json()["body"], body);
        until(|| node.books.idle_connections() == 1).await;
    }
    node.shutdown.cancel();
    // An end without a farewell would be an error to rustls.
    let mut rest = Vec::new();
    let read = within(client.into_stream().read_to_end(&mut rest)).await;
    assert_eq!(read.expect("a farewell"), 0);
}

#[tokio::test]
async fn refusals_have_the_same_words() {
    let authority = Authority::new();
    let node = authority.node(route_that(Behaviour::Echo), |_| ()).await;
    let endless = format!("POST {SCORE} HTTP/1.1\r\nx: {}", "h".repeat(96 * 1024));
    for (sent, status, words) in [
        ("no request\r\n\r\n", 400, "no request of HTTP"),
        (&endless[..96 * 1024], 431, "65536 bytes"),
    ] {
        let mut client = authority.client(&node).await;
        client.send(sent).await;
        let answer = client.answer().await;
        assert_eq!(answer.status, status);
        assert!(answer.message().contains(words), "{answer:?}");
        assert!(client.is_closed().await);
    }
    let mut client = authority.client(&node).await;
    client.send(request("POST", SCORE, &[], "x")).await;
    assert_eq!(client.answer().await.status, 401);
}

#[tokio::test]
async fn a_caller_who_goes_interrupts_the_script() {
    let authority = Authority::new();
    let replica = Fake::new(Behaviour::Wait);
    let node = authority.node(route_to(info(), &replica), |_| ()).await;
    let mut client = authority.client(&node).await;
    client.send(request("POST", SCORE, &[BEARER], "x")).await;
    until(|| replica.begun() == 1).await;
    drop(client);
    until(|| replica.interrupted() == 1).await;
    until(|| node.books.open_connections() == 0).await;
}

#[tokio::test]
async fn a_caller_who_ends_sending_gets_the_answer() {
    let authority = Authority::new();
    let replica = Fake::new(Behaviour::Wait);
    let node = authority.node(route_to(info(), &replica), |_| ()).await;
    let mut client = authority.client(&node).await;
    client.send(request("POST", SCORE, &[BEARER], "x")).await;
    until(|| replica.begun() == 1).await;
    client.end_sending().await;
    if cfg!(target_os = "linux") {
        assert_eq!(client.answer().await.status, 100);
    }
    replica.go_on.notify_one();
    assert_eq!(client.answer().await.status, 200);
    assert_eq!(replica.interrupted(), 0);
}

#[tokio::test]
async fn a_caller_who_never_reads_is_cut_off() {
    let authority = Authority::new();
    let large = "x".repeat(32 * 1024 * 1024);
    let route = route_that(Behaviour::Reply(reply(StatusCode::OK, &large)));
    let short = |options: &mut ScoringOptions| options.listener.write_timeout = SHORT;
    let node = authority.node(route, short).await;
    let mut deaf = authority.client(&node).await;
    deaf.send(request("POST", SCORE, &[BEARER], "x")).await;
    let route = node.router.route("digits").expect("published");
    until(|| route.status().counters.by_class != [0; 5]).await;
    until(|| node.books.open_connections() == 0).await;
    drop(deaf);
}

#[tokio::test]
async fn a_door_that_closes_ends_what_runs() {
    let authority = Authority::new();
    let replica = Fake::new(Behaviour::Wait);
    let route = route_to(info(), &replica);
    route.add(1, Arc::clone(&replica) as Arc<dyn Replica>, 1);
    let node = authority.node(route, |_| ()).await;
    // One who never says anything is not waited for.
    let mut silent = node.connect().await;
    let mut first = authority.client(&node).await;
    first.send(request("POST", SCORE, &[BEARER], "x")).await;
    let stream = authority.stream(&node, &TLS13, &["h2"]).await;
    let mut second = Connection::over(stream.expect("a handshake")).await;
    let second = tokio::spawn(second.post(&[BEARER], "x"));
    until(|| replica.begun() == 2).await;
    node.shutdown.cancel();
    assert!(silent.is_closed().await);
    replica.go_on.notify_one();
    replica.go_on.notify_one();
    let answer = first.answer().await;
    assert_eq!(
        (answer.status, answer.header("connection")),
        (200, Some("close"))
    );
    let answer = within(second).await.expect("no panic");
    assert_eq!(answer.expect("an answer").status(), 200);
    within(node.served)
        .await
        .expect("no panic")
        .expect("served");
}

fn refusal(certificate: &Path, key: &Path) -> String {
    let error: TlsError = Tls::from_files(certificate, key).expect_err("refused");
    error.to_string()
}

#[test]
fn files_that_cannot_be_used_are_refused_with_a_way_out() {
    let authority = Authority::new();
    let [certificate, key] = authority.issue("server", |_| ());
    let [_, other] = authority.issue("other", |_| ());
    let away = authority.folder.path().join("away.pem");
    assert!(refusal(&away, &key).contains("away.pem` cannot be read"));
    assert!(refusal(&certificate, &away).contains("the private key file"));
    assert!(refusal(&key, &key).contains("server.key` holds no certificate"));
    assert!(refusal(&certificate, &certificate).contains("server.pem` holds no private key"));
    assert!(refusal(&certificate, &other).contains("other.key` is not that of"));
    let torn = authority.write("torn.pem", "-----BEGIN CERTIFICATE-----\n!\n");
    assert!(refusal(&torn, &key).contains("torn.pem` is damaged"));
    let whole = fs::read_to_string(&certificate).expect("read");
    let cut = authority.write("cut.pem", &whole[..whole.len() / 2]);
    let said = refusal(&cut, &key);
    assert!(
        said.contains("ends before `-----END CERTIFICATE-----`"),
        "{said}"
    );
    let whole = fs::read_to_string(&key).expect("read");
    let cut = authority.write("cut.key", &whole[..whole.len() / 2]);
    assert!(refusal(&certificate, &cut).contains("END PRIVATE KEY"));
    let large = authority.write("large.pem", &" ".repeat(1024 * 1024 + 1));
    assert!(refusal(&large, &key).contains("over 1048576 bytes"));
    for text in [
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\n",
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n",
    ] {
        let locked = authority.write("locked.key", text);
        assert!(refusal(&certificate, &locked).contains("openssl pkey"));
    }
}

#[test]
fn a_key_that_cannot_sign_is_told_which_ones_can() {
    let authority = Authority::new();
    let [certificate, _] = authority.issue("server", |_| ());
    // No key at all: to the code that signs, it is like one on an unknown curve.
    let strange = "-----BEGIN PRIVATE KEY-----\nMAMCAQE=\n-----END PRIVATE KEY-----\n";
    let strange = authority.write("strange.key", strange);
    let said = refusal(&certificate, &strange);
    for word in ["strange.key", "2048", "P-256", "P-384", "Ed25519"] {
        assert!(said.contains(word), "{said}");
    }
}

#[test]
fn a_pipe_is_not_waited_for_and_a_link_is_followed() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    let authority = Authority::new();
    let [certificate, key] = authority.issue("server", |_| ());
    let pipe = authority.folder.path().join("pipe");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR, 0).expect("a pipe");
    assert!(refusal(&pipe, &key).contains("certificate file"));
    assert!(refusal(&certificate, &pipe).contains("pipe` is no regular file"));
    assert!(refusal(authority.folder.path(), &key).contains("no regular file"));
    let link = authority.folder.path().join("link");
    std::os::unix::fs::symlink(&key, &link).expect("a link");
    Tls::from_files(&certificate, &link).expect("followed");
}

#[test]
fn a_certificate_out_of_its_time_is_refused() {
    let authority = Authority::new();
    let [old, key] = authority.issue("old", |params| {
        params.not_after = date_time_ymd(2020, 1, 2);
    });
    assert!(refusal(&old, &key).contains("expired at 2020-01-02T00:00:00Z"));
    let [young, key] = authority.issue("young", |params| {
        params.not_before = date_time_ymd(4000, 1, 2);
    });
    assert!(refusal(&young, &key).contains("not valid before 4000-01-02"));
}

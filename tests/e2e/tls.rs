//! TLS on the scoring door, asked by curl.

use std::{path::Path, process::Command};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use crate::lusk::{Lusk, Setup, command, test_folder};

const WAT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/load/noop/noop.wat");

/// Writes `ca.pem`, and `server.pem` and `server.key` for 127.0.0.1.
fn make_certificate(folder: &Path) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // Else it would have the name of the server, which would look signed by itself.
    params
        .distinguished_name
        .push(DnType::CommonName, "an authority for one test");
    let key = KeyPair::generate().unwrap();
    let ca = params.self_signed(&key).unwrap();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    let server = params.signed_by(&key, &issuer).unwrap();
    for (name, text) in [
        ("ca.pem", ca.pem()),
        ("server.pem", server.pem()),
        ("server.key", key.serialize_pem()),
    ] {
        std::fs::write(folder.join(name), text).unwrap();
    }
}

/// What curl printed: the body, the version of HTTP and the status.
fn curl(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("curl")
        .current_dir(folder)
        .args([
            "-sS",
            "--max-time",
            "60",
            "-w",
            " %{http_version} %{http_code}",
        ])
        .args(arguments)
        .output()
        .expect("curl");
    let said = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&said).into_owned()
}

#[test]
fn curl_scores_under_tls_with_both_versions_of_http() {
    let certificates = test_folder("tls-certificates");
    let files = certificates.path();
    make_certificate(files);
    let file = |name: &str| files.join(name).to_str().unwrap().to_owned();
    let setup = Setup::default()
        .flags(&["--tls-certificate", &file("server.pem")])
        .variable("LUSK_TLS_KEY", file("server.key"));
    let lusk = Lusk::start_with("tls", setup);
    // The key was written for everybody to read.
    assert!(lusk.log().contains("chmod o-r"), "{}", lusk.log());
    let node = std::fs::read_to_string(lusk.data().join("node.json")).unwrap();
    assert!(
        node.contains(&format!("https://{}", lusk.scoring)),
        "{node}"
    );

    let script = std::fs::read(WAT).unwrap();
    lusk.deploy("noop")
        .wat(&String::from_utf8(script).unwrap())
        .done();
    let uri = lusk.service("noop")["scoringUri"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(uri.starts_with("https://"), "{uri}");
    let key = format!("Authorization: Bearer {}", lusk.key("noop"));
    for (flag, version) in [("--http2", "2"), ("--http1.1", "1.1")] {
        let said = curl(
            files,
            &[flag, "--cacert", "ca.pem", "-H", &key, "-d", "{}", &uri],
        );
        assert_eq!(said, format!("{{}} {version} 200"));
    }
    let plain = uri.replace("https://", "http://");
    let said = curl(files, &["-d", "{}", &plain]);
    assert!(
        said.contains("https://") && said.ends_with(" 400"),
        "{said}"
    );

    let ca = file("ca.pem");
    let run = ["service", "run", "-n", "noop", "-d", "{}"];
    lusk.cli(&[&run[..], &["--ca", &ca]].concat()).ok();
    // The machine does not know this authority.
    let said = lusk.cli(&run).fails(1);
    assert!(said.contains("--ca") && said.contains("LUSK_CA"), "{said}");
}

#[test]
fn a_node_does_not_start_with_half_of_tls() {
    let folder = test_folder("tls-half");
    make_certificate(folder.path());
    std::fs::write(folder.path().join("other.key"), "no key").unwrap();
    let up = |flags: &[&str]| {
        let output = command(&folder.path().join("data"))
            .current_dir(folder.path())
            .args(["up", "--ephemeral", "--listen", "127.0.0.1:0"])
            .args(["--admin", "127.0.0.1:0"])
            .args(flags)
            .output()
            .unwrap();
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let said = up(&["--tls-certificate", "server.pem"]);
    assert!(said.contains("--tls-key"), "{said}");
    let both = ["--tls-certificate", "server.pem", "--tls-key"];
    for (key, words) in [
        ("away.key", "cannot be read"),
        ("other.key", "holds no private key"),
    ] {
        let said = up(&[&both[..], &[key]].concat());
        assert!(said.contains(key) && said.contains(words), "{said}");
    }
}

//! What scripts write to `./outputs`, kept in a blob storage that a node is
//! told of.

use std::process::Command;

use crate::lusk::{Lusk, Setup, skip, until};

const ACCOUNT: &str = "devstoreaccount1";

/// The well-known key of the emulator.
const KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// Prints the names and the content of the blobs below a prefix of the container `lusk`.
const LISTER: &str = r#"
import base64, hashlib, hmac, re, sys, urllib.request
from email.utils import formatdate

endpoint, account, key, prefix = sys.argv[1:]

def get(path, query):
    headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-08-06"}
    lines = ["GET", *[""] * 11, *[f"{name}:{headers[name]}" for name in sorted(headers)]]
    lines += [f"/{account}/{account}/{path}", *[f"{name}:{query[name]}" for name in sorted(query)]]
    digest = hmac.new(base64.b64decode(key), "\n".join(lines).encode(), hashlib.sha256).digest()
    headers["Authorization"] = f"SharedKey {account}:{base64.b64encode(digest).decode()}"
    url = f"{endpoint}/{account}/{path}?" + "&".join(f"{name}={value}" for name, value in query.items())
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as reply:
        return reply.read().decode()

listed = get("lusk", {"comp": "list", "prefix": prefix, "restype": "container"})
for name in re.findall("<Name>([^<]+)</Name>", listed):
    print(name, repr(get("lusk/" + name, {})))
"#;

fn kept(endpoint: &str, prefix: &str) -> String {
    let output = Command::new("python3")
        .args(["-c", LISTER, endpoint, ACCOUNT, KEY, prefix])
        .output()
        .expect("Python");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn outputs_and_logs_reach_the_storage_even_after_a_kill() {
    let Ok(endpoint) = std::env::var("LUSK_TEST_AZURITE") else {
        return skip("outputs::storage", "no LUSK_TEST_AZURITE");
    };
    let prefix = format!("e2e-{}", std::process::id());
    let setup = Setup::default()
        .flags(&["--outputs", &format!("az://lusk/{prefix}")])
        .variable("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT)
        .variable("AZURE_STORAGE_ACCOUNT_KEY", KEY)
        .variable("AZURE_STORAGE_ENDPOINT", format!("{endpoint}/{ACCOUNT}"))
        .variable("AZURE_ALLOW_HTTP", "true");
    let mut lusk = Lusk::start_with("kept", setup);
    let script = "def init():
    print('a line of the log')

def run(raw_data):
    with open('outputs/seen.txt', 'a') as file:
        file.write(raw_data)
    return 1
";
    lusk.deploy("writer").python(script).done();
    lusk.score("writer", "77").expect(200);
    // At once, so that nothing was sent before.
    lusk.kill();
    lusk.restart();
    until("the dead replica's output is in the storage", || {
        kept(&endpoint, &prefix).contains("seen.txt '77'")
    });
    lusk.stop();
    let all = kept(&endpoint, &prefix);
    assert!(all.contains("a line of the log"), "{all}");
}

//! The node itself: its one line, its lock, its doors.

use std::process::{Command, Stdio};

use crate::{
    http::Request,
    lusk::{BINARY, Lusk, command, test_folder},
};

#[test]
fn a_second_node_is_refused_by_the_number_of_the_first() {
    let lusk = Lusk::start("second");
    let run = lusk.cli(&["up", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    let refused = run.fails(1);
    assert!(refused.contains(&lusk.pid().to_string()), "{refused}");
    assert!(lusk.cli(&["service", "list"]).ok().is_empty());
}

#[test]
fn doors_that_are_taken_are_named() {
    let lusk = Lusk::start("taken");
    let folder = test_folder("taken-too");
    for (flag, other, address) in [
        ("--listen", "--admin", lusk.scoring.to_string()),
        ("--admin", "--listen", lusk.admin.to_string()),
    ] {
        let run = command(&folder.path().join("data"))
            .args(["up", flag, &address, other, "127.0.0.1:0"])
            .output()
            .unwrap();
        let complaint = String::from_utf8(run.stderr).unwrap();
        assert_eq!(run.status.code(), Some(1));
        assert!(complaint.contains(&address), "{complaint}");
    }
}

#[test]
fn an_open_admin_door_is_refused() {
    let folder = test_folder("open-admin");
    let run = command(&folder.path().join("data"))
        .args(["up", "--listen", "127.0.0.1:0", "--admin", "0.0.0.0:0"])
        .output()
        .unwrap();
    assert_eq!(run.status.code(), Some(1));
    let complaint = String::from_utf8(run.stderr).unwrap();
    assert!(complaint.contains("--insecure-admin"), "{complaint}");
}

#[test]
fn the_admin_door_wants_its_token() {
    let lusk = Lusk::start("token");
    let path = "/workspaces/local/services";
    let reply = Request::new("GET", path).send(lusk.admin).expect(401);
    assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
    Request::new("GET", path)
        .bearer("wrong")
        .send(lusk.admin)
        .expect(401);
    Request::new("GET", path)
        .bearer(&lusk.token())
        .send(lusk.admin)
        .expect(200);
    Request::new("GET", "/healthz").send(lusk.admin).expect(200);
    use std::os::unix::fs::PermissionsExt as _;
    let token = std::fs::metadata(lusk.data().join("admin.token")).unwrap();
    assert_eq!(token.permissions().mode() & 0o777, 0o600);
}

#[test]
fn quickstart_scores_a_digit() {
    let lusk = Lusk::start("quickstart");
    // Its own node, on the data that a warm node left.
    let folder = test_folder("quickstart-too");
    let data = folder.path().join("data");
    crate::warm::fill(&data);
    let run = command(&data)
        .current_dir(lusk.folder())
        .args([
            "quickstart",
            "--exit",
            "--listen",
            "127.0.0.1:0",
            "--admin",
            "127.0.0.1:0",
        ])
        .output()
        .unwrap();
    let (out, talk) = (
        String::from_utf8(run.stdout).unwrap(),
        String::from_utf8(run.stderr).unwrap(),
    );
    assert!(run.status.success(), "{talk}");
    assert!(out.contains("\"label\": [7]"), "{out}");
    assert!(out.contains("curl -H 'Authorization: Bearer "), "{out}");
    assert!(talk.contains("$ lusk model deploy"), "{talk}");
}

#[test]
fn an_ephemeral_node_leaves_no_folder() {
    let mut process = Command::new(BINARY)
        .args([
            "up",
            "--ephemeral",
            "--listen",
            "127.0.0.1:0",
            "--admin",
            "127.0.0.1:0",
            "-o",
            "json",
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut stdout = std::io::BufReader::new(process.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut stdout, &mut line).unwrap();
    let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(ready["event"], "ready");
    assert_eq!(ready["pid"], process.id());
    let data = std::path::PathBuf::from(ready["data"].as_str().unwrap());
    assert!(data.is_dir());
    let told = Command::new("kill")
        .args(["-TERM", &process.id().to_string()])
        .status();
    assert!(told.unwrap().success());
    assert!(process.wait().unwrap().success());
    assert!(!data.exists());
}

#[test]
fn misuse_is_exit_code_2() {
    let folder = test_folder("misuse");
    for words in [
        &["nothing"][..],
        &["model", "deploy"],
        &["service", "show", "--nme", "x"],
    ] {
        let run = command(folder.path()).args(words).output().unwrap();
        assert_eq!(run.status.code(), Some(2), "{words:?}");
        assert!(run.stdout.is_empty());
    }
}

#[test]
fn a_compiler_ends_with_the_node_that_started_it() {
    let folder = test_folder("compiler");
    // Nobody writes into it: a compiler that reads it waits for good.
    let input = folder.path().join("input");
    let made = Command::new("mkfifo").arg(&input).status().unwrap();
    assert!(made.success());
    let mut compiler = Command::new(BINARY)
        .arg("compile-component")
        .args([&input, &folder.path().join("output")])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    assert!(compiler.try_wait().unwrap().is_none());
    // All that is left of a node that was killed.
    drop(compiler.stdin.take());
    assert_eq!(compiler.wait().unwrap().code(), Some(1));
}

use lusk_contract::conformance;

use super::*;

fn service(name: &str) -> ServiceName {
    name.parse().unwrap()
}

#[test]
fn keeps_the_promises_of_logs() {
    let folder = tempfile::tempdir().unwrap();
    conformance::logs::suite(&LogFolder::new(folder.path()));
}

#[test]
fn a_log_goes_on_after_a_restart_even_in_the_middle_of_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let name = service("digits");
    LogFolder::new(folder.path())
        .open(&name)
        .line(0, LogStream::Out, "before");
    let path = folder.path().join("digits/log.txt");
    let mut file = File::options().append(true).open(&path).unwrap();
    file.write_all(b"2026-01-01T00:00:00.000Z 0 out cut sho")
        .unwrap();
    let log = LogFolder::new(folder.path()).open(&name);
    log.line(0, LogStream::Out, "after");
    let tail = log.tail(10);
    let ends: Vec<&str> = tail
        .lines()
        .map(|line| line.rsplit(' ').next().unwrap())
        .collect();
    assert_eq!(ends, ["before", "sho", "after"]);
}

#[test]
fn old_lines_go_and_a_tail_reaches_over_both_files() {
    let folder = tempfile::tempdir().unwrap();
    let log = LogFolder::new(folder.path()).open(&service("digits"));
    let padding = "p".repeat(8 << 10);
    let lines = 3 * FILE_BYTES / (8 << 10);
    for number in 0..lines {
        log.line(0, LogStream::Out, &format!("{number} {padding}"));
    }
    let size = |name| {
        folder
            .path()
            .join("digits")
            .join(name)
            .metadata()
            .unwrap()
            .len()
    };
    for name in ["log.txt", "log.1.txt"] {
        assert!(
            size(name) <= FILE_BYTES + (17 << 10),
            "{name} has {} bytes",
            size(name)
        );
    }
    let wanted = size("log.txt") / (8 << 10) + 10;
    let tail = log.tail(wanted as usize);
    let numbers: Vec<u64> = tail
        .lines()
        .map(|line| line.split(' ').nth(3).unwrap().parse().unwrap())
        .collect();
    assert_eq!(numbers, (lines - wanted..lines).collect::<Vec<_>>());
}

#[test]
fn what_could_not_be_written_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    // A file where the folder of the log should be.
    let blocker = folder.path().join("digits");
    std::fs::write(&blocker, "").unwrap();
    let log = LogFolder::new(folder.path()).open(&service("digits"));
    for _ in 0..3 {
        log.line(0, LogStream::Out, "lost");
    }
    assert_eq!(log.tail(10), "");
    std::fs::remove_file(&blocker).unwrap();
    log.line(0, LogStream::Out, "kept");
    log.line(0, LogStream::Out, "kept too");
    let tail = log.tail(10);
    let texts: Vec<&str> = tail
        .lines()
        .map(|line| line.splitn(4, ' ').nth(3).unwrap())
        .collect();
    assert_eq!(
        texts,
        [
            "3 line(s) of this log could not be written",
            "kept",
            "kept too"
        ]
    );
}

#[test]
fn a_log_is_not_written_through_a_link() {
    let folder = tempfile::tempdir().unwrap();
    let victim = folder.path().join("victim");
    std::fs::write(&victim, "").unwrap();
    std::fs::create_dir(folder.path().join("digits")).unwrap();
    std::os::unix::fs::symlink(&victim, folder.path().join("digits/log.txt")).unwrap();
    LogFolder::new(folder.path())
        .open(&service("digits"))
        .line(0, LogStream::Out, "text");
    assert_eq!(std::fs::read(&victim).unwrap(), b"");
}

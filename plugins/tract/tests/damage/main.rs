//! Damaged models end in an error or an answer: they never crash the process,
//! never hang it, and loading and running one takes memory within a bound.
//!
//! A process of its own does the loading, so that its death, its silence and
//! its memory are known by case. Which cases there are is the same in every
//! run; `LUSK_DAMAGE_CASES` asks for more of them per model. What a case broke
//! on is left in cargo's folder for test files.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![allow(clippy::print_stdout, reason = "the figures are for the reader")]

mod message;
mod random;
mod victim;

use std::{
    env, fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, mpsc},
    thread,
    time::Duration,
};

use random::Random;

/// Memory that loading a broken model may take: so much, and
const LOADING_KIB: u64 = 64 << 10;

/// so many times the size of its file.
const FACTOR: u64 = 32;

/// Memory that a call may take: four of the largest tensors there can be.
const CALLING_KIB: u64 = 1 << 20;

/// Most cases take milliseconds.
const HANGS_AFTER: Duration = Duration::from_secs(20);

/// The address space of the process that suffers. What asks for more would
/// be caught out at this limit rather than by the machine's own.
const ADDRESS_SPACE_KIB: u64 = 6 << 20;

/// Ways to cut a file short, of all the ways to break it.
const CUTS: usize = 12;

/// Ways to break a model, if nobody asks for more.
const WAYS: usize = 60;

#[test]
fn damaged_models_neither_crash_nor_hang_nor_fill_the_memory() {
    let ways = env::var("LUSK_DAMAGE_CASES").map_or(WAYS, |ways| ways.parse().unwrap());
    let waiting = Mutex::new(models());
    let all = Mutex::new(Seen::default());
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(model) = next(&waiting) {
                    let seen = break_model(&model, ways);
                    let mut all = all.lock().unwrap();
                    all.complaints.extend(seen.complaints);
                    all.loading = all.loading.max(seen.loading);
                    all.calling = all.calling.max(seen.calling);
                }
            });
        }
    });
    let all = all.into_inner().unwrap();
    println!(
        "loading took {} KiB, calls {} KiB",
        all.loading, all.calling
    );
    assert!(all.complaints.is_empty(), "{}", all.complaints.join("\n"));
}

/// Runs in a process of its own.
#[test]
#[ignore = "the other test runs it"]
fn victim() {
    let setting = |name: &str| env::var(name).unwrap();
    let path = PathBuf::from(setting("LUSK_DAMAGE_MODEL"));
    let from = setting("LUSK_DAMAGE_FROM").parse().unwrap();
    let to = setting("LUSK_DAMAGE_TO").parse().unwrap();
    victim::suffer(&path, from, to);
}

/// The bytes of a model, broken in one of the ways.
fn damaged(name: &str, model: &[u8], way: usize) -> Vec<u8> {
    let mut random = Random::new(name, way);
    if way < CUTS {
        return model[..model.len() * (way + 1) / (CUTS + 1)].to_vec();
    }
    if way.is_multiple_of(4) {
        let mut bytes = model.to_vec();
        for _ in 0..=random.below(4) {
            let at = random.below(bytes.len());
            bytes[at] ^= 1 << random.below(8);
        }
        return bytes;
    }
    message::changed(model, &mut random)
}

fn models() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = [
        "tests/damage/models",
        "../onnx-ml/tests/cases",
        "../../tests/fixtures/onnx",
    ];
    let files = folders
        .iter()
        .flat_map(|folder| fs::read_dir(root.join(folder)).unwrap())
        .map(|file| file.unwrap().path());
    let mut models: Vec<PathBuf> = files
        .filter(|path| path.extension().is_some_and(|end| end == "onnx"))
        .collect();
    assert!(models.len() > 40, "{models:?}");
    models.sort();
    models
}

fn next(waiting: &Mutex<Vec<PathBuf>>) -> Option<PathBuf> {
    waiting.lock().unwrap().pop()
}

/// How a model took it.
#[derive(Default)]
struct Seen {
    complaints: Vec<String>,
    loading: u64,
    calling: u64,
}

fn break_model(path: &Path, ways: usize) -> Seen {
    let model = fs::read(path).unwrap();
    let name = path.file_stem().unwrap().to_string_lossy().into_owned();
    let bound = LOADING_KIB + FACTOR * (model.len() as u64).div_ceil(1024);
    let mut seen = Seen::default();
    let mut from = 0;
    while from < ways {
        let mut way = from;
        let mut complain = |way: usize, what: &str| {
            let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("damage");
            fs::create_dir_all(&folder).unwrap();
            let file = folder.join(format!("{name}-{way}.onnx"));
            fs::write(&file, damaged(&name, &model, way)).unwrap();
            seen.complaints.push(format!("{}: {what}", file.display()));
        };
        let mut child = start(path, from, ways);
        let lines = lines(&mut child);
        loop {
            let line = match lines.recv_timeout(HANGS_AFTER) {
                Ok(line) => line,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    child.kill().unwrap();
                    complain(way, "hangs");
                    break;
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    let status = child.wait().unwrap();
                    complain(way, &format!("ends the process: {status}"));
                    break;
                }
            };
            let pieces = if line.starts_with("whole") { 2 } else { 5 };
            let words: Vec<&str> = line.splitn(pieces, ' ').collect();
            match words[..] {
                ["begin", number] => way = number.parse().unwrap(),
                ["end", _, loading, calling, outcome] => {
                    let loading: u64 = loading.parse().unwrap();
                    let calling: u64 = calling.parse().unwrap();
                    seen.loading = seen.loading.max(loading);
                    seen.calling = seen.calling.max(calling);
                    if loading > bound || calling > CALLING_KIB {
                        complain(
                            way,
                            &format!("takes {loading} KiB, a call {calling} KiB: {outcome}"),
                        );
                    }
                    // The limit of this test has stopped it, no care of ours.
                    if outcome == "panicked" || outcome.contains("failed to allocate") {
                        complain(way, outcome);
                    }
                }
                ["whole", outcome] if from == 0 => println!("{name}: {outcome}"),
                ["done"] => {
                    way = ways;
                    break;
                }
                _ => {}
            }
        }
        let _ = child.wait();
        from = way + 1;
    }
    seen
}

fn start(path: &Path, from: usize, to: usize) -> Child {
    let limited = format!("ulimit -v {ADDRESS_SPACE_KIB}; exec \"$0\" \"$@\"");
    Command::new("sh")
        .args(["-c", &limited])
        .arg(env::current_exe().unwrap())
        .args(["victim", "--exact", "--ignored", "--nocapture"])
        // Names of places in the code take more memory than models.
        .envs([("RUST_BACKTRACE", "0"), ("RUST_LIB_BACKTRACE", "0")])
        .env("LUSK_DAMAGE_MODEL", path)
        .env("LUSK_DAMAGE_FROM", from.to_string())
        .env("LUSK_DAMAGE_TO", to.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn lines(child: &mut Child) -> mpsc::Receiver<String> {
    let out = BufReader::new(child.stdout.take().unwrap());
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in out.lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::*;

/// A table in a folder of its own.
struct Place {
    meta: PathBuf,
    tmp: PathBuf,
    _root: Option<TempDir>,
}

impl Place {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let place = Self::below(root.path());
        Self {
            _root: Some(root),
            ..place
        }
    }

    fn below(root: &Path) -> Self {
        let (meta, tmp) = (root.join("meta"), root.join("tmp"));
        fs::create_dir_all(&meta).unwrap();
        fs::create_dir_all(&tmp).unwrap();
        Self {
            meta,
            tmp,
            _root: None,
        }
    }

    fn open(&self) -> Db {
        Db::open(&self.meta, &self.tmp).unwrap()
    }
}

fn put(db: &Db, key: &str, value: &str) -> Result<(), RecordError> {
    db.write(Purpose::Grow, |_, change| change.put(key.into(), &value))
}

fn get(db: &Db, key: &str) -> Option<String> {
    db.read(|table| table.get(key.as_bytes())).unwrap()
}

#[test]
fn rewrites_do_not_fill_the_disk() {
    let place = Place::new();
    let db = place.open();
    put(&db, "kept", "as it is").unwrap();
    for round in 0..600 {
        put(&db, "often", &format!("{round:010}").repeat(2_000)).unwrap();
    }
    assert!(db.shared().as_ref().unwrap().log_bytes() < SMALL_LOG_BYTES);
    assert_eq!(get(&db, "kept").as_deref(), Some("as it is"));
}

#[test]
fn a_bloated_log_is_copied_and_the_old_one_goes() {
    let place = Place::new();
    let db = place.open();
    for number in 0..200 {
        put(
            &db,
            &format!("key-{number}"),
            &number.to_string().repeat(2_000),
        )
        .unwrap();
    }
    db.exclusive().as_mut().unwrap().copy_at = 1;
    put(&db, "last", "drop").unwrap();
    let tables = table_numbers(&place.meta).unwrap();
    assert_eq!(tables, [2]);
    drop(db);
    let db = place.open();
    assert_eq!(get(&db, "last").as_deref(), Some("drop"));
    for number in 0..200 {
        let expected = number.to_string().repeat(2_000);
        assert!(get(&db, &format!("key-{number}")) == Some(expected));
    }
}

#[test]
fn large_values_stay_in_the_log() {
    let place = Place::new();
    let db = place.open();
    let text = "z".repeat(3_000_000);
    for round in 0..3 {
        put(&db, "large", &format!("{round}{text}")).unwrap();
        // Many neighbours in one page are as bad as one large value.
        for number in 0..100 {
            put(&db, &format!("neighbour-{number}"), &text[..PART_BYTES - 2]).unwrap();
        }
    }
    let side_files = fs::read_dir(place.meta.join("db-1/blobs")).unwrap().count();
    assert_eq!(side_files, 0, "sled does not sync these");
    put(&db, "large", "small now").unwrap();
    drop(db);
    let db = place.open();
    assert_eq!(get(&db, "large").as_deref(), Some("small now"));
    db.write(Purpose::Shrink, |_, change| {
        change.remove(b"large".to_vec());
        Ok(())
    })
    .unwrap();
    assert_eq!(get(&db, "large"), None);
    let keys = db.read(|table| table.keys(b"")).unwrap();
    assert_eq!(keys.len(), 100, "a part was left behind");
}

#[test]
fn a_refused_change_writes_nothing() {
    let db = Place::new().open();
    let refused: Result<(), _> = db.write(Purpose::Grow, |_, change| {
        change.put(b"half".to_vec(), &1)?;
        Err(RecordError::Engine("no".to_owned()))
    });
    assert!(refused.is_err());
    assert_eq!(get(&db, "half"), None);
}

#[test]
fn an_unfinished_snapshot_is_no_corruption() {
    let place = Place::new();
    put(&place.open(), "key", "value").unwrap();
    let unfinished = place.meta.join("db-1/snap.7FFFFFFFFFFFFFFF.generating");
    fs::write(&unfinished, [0; 5]).unwrap();
    assert_eq!(get(&place.open(), "key").as_deref(), Some("value"));
    assert!(!unfinished.exists());
}

#[test]
fn a_first_start_that_was_cut_short_is_begun_again() {
    let place = Place::new();
    let folder = place.meta.join("db-1");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("conf"), [1; 9]).unwrap();
    put(&place.open(), "key", "value").unwrap();
    fs::remove_file(place.meta.join(CURRENT)).unwrap();
    assert_eq!(get(&place.open(), "key").as_deref(), Some("value"));
}

#[test]
fn a_copy_that_was_cut_short_is_removed() {
    let place = Place::new();
    put(&place.open(), "key", "value").unwrap();
    fs::create_dir(place.meta.join("db-2")).unwrap();
    fs::write(place.meta.join("db-2/db"), [9; 100]).unwrap();
    assert_eq!(get(&place.open(), "key").as_deref(), Some("value"));
    assert_eq!(table_numbers(&place.meta).unwrap(), [1]);
}

#[test]
fn damage_is_told_and_nothing_is_removed() {
    for damage in ["current", "table", "snapshot"] {
        let place = Place::new();
        put(&place.open(), "key", "value").unwrap();
        drop(place.open());
        match damage {
            "current" => fs::write(place.meta.join(CURRENT), "elsewhere").unwrap(),
            "table" => fs::write(place.meta.join(CURRENT), "db-7").unwrap(),
            _ => {
                let entries = fs::read_dir(place.meta.join("db-1")).unwrap();
                let snapshots = entries.map(|entry| entry.unwrap().path());
                for path in snapshots.filter(|path| path.to_string_lossy().contains("/snap.")) {
                    fs::write(path, [3; 40]).unwrap();
                }
            }
        }
        let log = fs::read(place.meta.join("db-1/db")).unwrap();
        let error = Db::open(&place.meta, &place.tmp).unwrap_err();
        assert!(
            matches!(error, StoreError::Damaged { .. }),
            "{damage}: {error:?}"
        );
        assert!(error.help().unwrap().contains("nothing was removed"));
        assert!(
            fs::read(place.meta.join("db-1/db")).unwrap() == log,
            "{damage}"
        );
    }
}

#[test]
fn only_the_owner_may_read() {
    let place = Place::new();
    put(&place.open(), "key", "secret").unwrap();
    drop(place.open());
    for entry in fs::read_dir(place.meta.join("db-1")).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o077;
        assert_eq!(mode, 0, "{:?}", entry.path());
    }
}

/// A small file system of its own, so that it can be filled.
pub(crate) struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    /// `None` where this process may not mount.
    pub(crate) fn mount(bytes: u64) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"])
            .arg(folder.path())
            .status();
        match mounted {
            Ok(status) if status.success() => Some(Self { folder }),
            other => {
                println!("skipped: no small disk can be mounted here ({other:?})");
                None
            }
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn fill(&self) -> PathBuf {
        let path = self.folder.path().join("filler");
        let mut file = File::create(&path).unwrap();
        let block = [7; 64 << 10];
        while io::Write::write_all(&mut file, &block).is_ok() {}
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount")
            .arg("-l")
            .arg(self.folder.path())
            .status();
    }
}

#[test]
fn a_disk_that_fills_under_sled_is_survived() {
    let Some(disk) = SmallDisk::mount(48 << 20) else {
        return;
    };
    let place = Place::below(disk.folder.path());
    let mut db = place.open();
    put(&db, "before", "kept").unwrap();
    // Nobody watches the free space any more.
    db.space = Space::of(Path::new("/"));
    let filler = disk.fill();
    for number in 0..3 {
        let refused = put(&db, &format!("during-{number}"), &"x".repeat(900_000));
        assert!(matches!(refused, Err(RecordError::DiskFull)), "{refused:?}");
    }
    fs::remove_file(filler).unwrap();
    put(&db, "after", "space").unwrap();
    assert_eq!(get(&db, "before").as_deref(), Some("kept"));
    drop(db);
    let db = place.open();
    assert_eq!(get(&db, "before").as_deref(), Some("kept"));
    assert_eq!(get(&db, "after").as_deref(), Some("space"));
    assert_eq!(get(&db, "during-0"), None, "a refused change was kept");
}

#[test]
fn a_full_disk_is_told_before_sled_meets_it() {
    let Some(disk) = SmallDisk::mount(48 << 20) else {
        return;
    };
    let db = Place::below(disk.folder.path()).open();
    put(&db, "before", "kept").unwrap();
    let room = |reserve| db.space.has_room(0, reserve);
    let mut filler = File::create(disk.folder.path().join("filler")).unwrap();
    while room(RECORD_RESERVE) {
        io::Write::write_all(&mut filler, &[7; 64 << 10]).unwrap();
    }
    assert!(matches!(
        put(&db, "more", "text"),
        Err(RecordError::DiskFull)
    ));
    assert_eq!(get(&db, "before").as_deref(), Some("kept"));
    assert_eq!(get(&db, "more"), None);
    // What makes room still works.
    db.write(Purpose::Shrink, |_, change| {
        change.remove(b"before".to_vec());
        Ok(())
    })
    .unwrap();
    assert_eq!(get(&db, "before"), None);
    filler.set_len(0).unwrap();
    put(&db, "more", "text").unwrap();
    assert_eq!(get(&db, "more").as_deref(), Some("text"));
}

/// Folder in which a copy of this test program writes until it is killed.
const CRASH_FOLDER: &str = "LUSK_STORE_CRASH_FOLDER";
/// Kills of the crash test, if not the few of a quick run.
const CRASH_CYCLES: &str = "LUSK_STORE_CRASH_CYCLES";

/// The text of round `stamp`: from a few bytes to 150 KiB.
fn text_of(stamp: u64) -> String {
    let length = [3, 40, 900, 5_000, 150_000][(stamp % 5) as usize];
    format!("{stamp}:{}", "y".repeat(length))
}

/// Writes three records with one stamp, over and over, and says so.
#[test]
#[ignore = "the other half of a_kill_leaves_the_state_before_or_after"]
fn writes_until_killed() {
    let Some(folder) = std::env::var_os(CRASH_FOLDER) else {
        return;
    };
    println!("opening");
    let db = Place::below(Path::new(&folder)).open();
    let last = get(&db, "left").map_or(0, |text| stamp_of(&text));
    for stamp in last + 1.. {
        println!("begin {stamp}");
        db.write(Purpose::Grow, |_, change| {
            for key in ["left", "middle", "right"] {
                change.put(key.into(), &text_of(stamp))?;
            }
            if stamp % 3 == 0 {
                change.remove(b"odd".to_vec());
            } else {
                change.put(b"odd".to_vec(), &stamp)?;
            }
            Ok(())
        })
        .unwrap();
        println!("done {stamp}");
    }
}

fn stamp_of(text: &str) -> u64 {
    text.split(':').next().unwrap().parse().unwrap()
}

/// Runs the writer and kills it after `lines` lines and `moment` more.
/// Returns the last stamps that it began and that it was told are written.
fn run_and_kill(folder: &Path, lines: u64, moment: Duration) -> (u64, u64) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "db::tests::writes_until_killed",
            "--ignored",
            "--nocapture",
        ])
        .env(CRASH_FOLDER, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (mut begun, mut done) = (0, 0);
    let mut note = |line: &str| {
        match line.split_once(' ') {
            Some(("begin", stamp)) => begun = stamp.parse().unwrap(),
            Some(("done", stamp)) => done = stamp.parse().unwrap(),
            _ => {}
        };
    };
    let mut output = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap);
    // The harness prints a few lines of its own.
    let opening = output.by_ref().any(|line| line.ends_with("opening"));
    assert!(opening, "the writer did not start");
    output
        .by_ref()
        .take(lines as usize)
        .for_each(|line| note(&line));
    let until = Instant::now() + moment;
    while Instant::now() < until {
        std::hint::spin_loop();
    }
    child.kill().unwrap();
    output.for_each(|line| note(&line));
    child.wait().unwrap();
    (begun, done)
}

#[test]
fn a_kill_leaves_the_state_before_or_after() {
    let cycles = std::env::var(CRASH_CYCLES).map_or(12, |text| text.parse().unwrap());
    let root = tempfile::tempdir().unwrap();
    let (mut acknowledged, mut begun) = (0, 0);
    for cycle in 0..cycles {
        // Every third kill hits the opening.
        let lines = if cycle % 3 == 0 {
            0
        } else {
            (cycle * 7919) % 60
        };
        let moment = Duration::from_micros((cycle * 104_729) % 20_000);
        let (last_begun, last_done) = run_and_kill(root.path(), lines, moment);
        (begun, acknowledged) = (begun.max(last_begun), acknowledged.max(last_done));
        let db = Place::below(root.path()).open();
        let found = get(&db, "left").map_or(0, |text| stamp_of(&text));
        assert!(
            (acknowledged..=begun).contains(&found),
            "cycle {cycle}: {acknowledged} acknowledged, {begun} begun, {found} found"
        );
        if found > 0 {
            for key in ["left", "middle", "right"] {
                assert!(
                    get(&db, key) == Some(text_of(found)),
                    "cycle {cycle}: {key} is of another round"
                );
            }
            let odd = db.read(|table| table.get::<u64>(b"odd")).unwrap();
            assert_eq!(odd, (found % 3 != 0).then_some(found), "cycle {cycle}");
        }
        begun = found;
        acknowledged = found;
    }
    println!("{cycles} kills, {acknowledged} rounds kept");
}

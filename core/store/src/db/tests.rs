//! Tests of the table: what a crash, a full disk and damage leave behind.

mod crash;

use std::{
    fs::{self, File},
    io,
    os::unix::fs::PermissionsExt as _,
};

use tempfile::TempDir;

use super::{
    open::{CURRENT, SMALL_LOG_BYTES, table_numbers},
    table::PART_BYTES,
    *,
};
use crate::space::SmallDisk;

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

#[test]
fn a_disk_that_fills_under_sled_is_survived() {
    let Some(disk) = SmallDisk::mount(48 << 20) else {
        return;
    };
    let place = Place::below(disk.folder());
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
    let db = Place::below(disk.folder()).open();
    put(&db, "before", "kept").unwrap();
    let room = |reserve| db.space.has_room(0, reserve);
    let mut filler = File::create(disk.folder().join("filler")).unwrap();
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

//! The keeper with real folders, and a store that fails when it is told to.

use std::{
    fs, io,
    os::unix::{ffi::OsStrExt, fs::symlink, net::UnixListener},
    path::{Path as FilePath, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::{TryStreamExt, stream::BoxStream};
use lusk_contract::Outputs;
use lusk_domain::ServiceName;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt as _, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
    memory::InMemory, path::Path,
};
use tempfile::TempDir;
use tokio::sync::{
    Mutex,
    mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
};

use super::*;
use crate::{
    scan::{Bounds, MAX_BYTES, MAX_ENTRIES},
    upload::PART_BYTES,
};

/// A store in memory that can be away, and can refuse one name for ever.
#[derive(Debug)]
struct Flaky {
    inner: InMemory,
    away: AtomicBool,
    never: Option<&'static str>,
    parts: Arc<AtomicUsize>,
    /// Tells each name that was taken, and each that was refused.
    taken: UnboundedSender<String>,
    refused: UnboundedSender<String>,
    heard: Mutex<[UnboundedReceiver<String>; 2]>,
}

impl Flaky {
    fn new() -> Arc<Self> {
        Self::made(None)
    }

    fn refusing(name: &'static str) -> Arc<Self> {
        Self::made(Some(name))
    }

    fn made(never: Option<&'static str>) -> Arc<Self> {
        let ((taken, hear_taken), (refused, hear_refused)) =
            (unbounded_channel(), unbounded_channel());
        Arc::new(Self {
            inner: InMemory::new(),
            away: AtomicBool::new(false),
            never,
            parts: Arc::default(),
            taken,
            refused,
            heard: Mutex::new([hear_taken, hear_refused]),
        })
    }

    async fn next_taken(&self) -> String {
        self.heard.lock().await[0].recv().await.unwrap()
    }

    async fn next_refused(&self) -> String {
        self.heard.lock().await[1].recv().await.unwrap()
    }

    fn meet(&self, location: &Path) -> Result<()> {
        let never = self
            .never
            .is_some_and(|name| location.as_ref().ends_with(name));
        if never || self.away.load(Ordering::SeqCst) {
            let _ = self.refused.send(location.to_string());
            return Err(object_store::Error::Generic {
                store: "flaky",
                source: "it is away, see https://store.example/?sig=SECRET".into(),
            });
        }
        Ok(())
    }

    async fn names(&self) -> Vec<String> {
        let found: Vec<ObjectMeta> = self.inner.list(None).try_collect().await.unwrap();
        let mut names: Vec<_> = found.iter().map(|it| it.location.to_string()).collect();
        names.sort_unstable();
        names
    }

    async fn text(&self, name: &str) -> String {
        let path = Path::parse(name).unwrap();
        let bytes = self.inner.get(&path).await.unwrap().bytes().await.unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }
}

impl std::fmt::Display for Flaky {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("flaky")
    }
}

#[derive(Debug)]
struct Counted(Box<dyn MultipartUpload>, Arc<AtomicUsize>);

#[async_trait::async_trait]
impl MultipartUpload for Counted {
    fn put_part(&mut self, data: PutPayload) -> object_store::UploadPart {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.put_part(data)
    }

    async fn complete(&mut self) -> Result<PutResult> {
        self.0.complete().await
    }

    async fn abort(&mut self) -> Result<()> {
        self.0.abort().await
    }
}

#[async_trait::async_trait]
impl ObjectStore for Flaky {
    async fn put_opts(&self, to: &Path, data: PutPayload, how: PutOptions) -> Result<PutResult> {
        self.meet(to)?;
        let put = self.inner.put_opts(to, data, how).await;
        let _ = self.taken.send(to.to_string());
        put
    }

    async fn put_multipart_opts(
        &self,
        to: &Path,
        how: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.meet(to)?;
        let upload = self.inner.put_multipart_opts(to, how).await?;
        Ok(Box::new(Counted(upload, Arc::clone(&self.parts))))
    }

    async fn get_opts(&self, from: &Path, how: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(from, how).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, how: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, how).await
    }
}

const LIMIT: Duration = Duration::from_mins(10);

/// A node's folders.
struct Node {
    folder: TempDir,
}

impl Node {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("logs/digits")).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn options(&self, store: OutputStore, period: Duration) -> OutputOptions {
        let options = OutputOptions::new(store, &self.path("spool"), &self.path("logs"));
        let pace = Pace {
            period,
            first_pause: Duration::from_millis(1),
            longest_pause: Duration::from_millis(4),
        };
        OutputOptions { pace, ..options }
    }

    /// A keeper that looks again at once.
    fn eager(&self, store: &Arc<Flaky>) -> OutputKeeper {
        OutputKeeper::start(self.options(of(store), Duration::from_millis(1))).unwrap()
    }

    /// A keeper that looks again only when it is woken.
    fn calm(&self, store: &Arc<Flaky>) -> OutputKeeper {
        OutputKeeper::start(self.options(of(store), LIMIT)).unwrap()
    }

    fn spooled(&self) -> Vec<PathBuf> {
        let list = scan::list(
            &self.path("spool"),
            Bounds {
                bytes: MAX_BYTES,
                entries: MAX_ENTRIES,
            },
        );
        list.files.into_iter().map(|found| found.path).collect()
    }
}

fn of(store: &Arc<Flaky>) -> OutputStore {
    let store = Arc::clone(store) as Arc<dyn ObjectStore>;
    OutputStore::of(store, Path::from("team"), "test://team".to_owned())
}

fn digits() -> ServiceName {
    "digits".parse().unwrap()
}

/// Names without the time that a run began.
fn timeless(names: &[String]) -> Vec<String> {
    let timeless = |name: &String| {
        let parts = name.split('/').map(|part| match part.rsplit_once('-') {
            Some((run, time)) if time.len() == 13 && !part.contains('.') => run,
            _ => part,
        });
        parts.collect::<Vec<_>>().join("/")
    };
    names.iter().map(timeless).collect()
}

#[tokio::test]
async fn replicas_and_runs_lie_side_by_side() {
    let (node, store) = (Node::new(), Flaky::new());
    let keeper = node.calm(&store);
    for replica in [0, 1, 1] {
        let folder = keeper.open(&digits(), 3, replica).unwrap();
        fs::create_dir(folder.path().join("deep")).unwrap();
        fs::write(folder.path().join("deep/result.csv"), "1").unwrap();
    }
    keeper.shutdown(LIMIT).await;
    let names = store.names().await;
    let expected = [
        "team/digits/3-0/deep/result.csv",
        "team/digits/3-1/deep/result.csv",
        "team/digits/3-1/deep/result.csv",
    ];
    assert_eq!(timeless(&names), expected);
    assert_ne!(names[1], names[2]);
    assert_eq!(fs::read_dir(node.path("spool")).unwrap().count(), 0);
    let status = keeper.status();
    assert_eq!((status.pending_files, &status.last_error), (0, &None));
    assert!(
        status.sent_files >= 3 && status.sent_bytes >= 3,
        "{status:?}"
    );
}

#[tokio::test]
async fn what_changes_is_sent_while_the_replica_runs() {
    let (node, store) = (Node::new(), Flaky::new());
    let keeper = node.eager(&store);
    let folder = keeper.open(&digits(), 1, 0).unwrap();
    fs::write(folder.path().join("a"), "first").unwrap();
    let name = store.next_taken().await;
    fs::write(folder.path().join("a"), "second text").unwrap();
    while store.text(&name).await != "second text" {
        assert_eq!(store.next_taken().await, name);
    }
    assert!(folder.path().join("a").exists());
}

#[tokio::test]
async fn an_absent_store_is_asked_until_it_is_there() {
    let (node, store) = (Node::new(), Flaky::new());
    store.away.store(true, Ordering::SeqCst);
    let keeper = node.eager(&store);
    let folder = keeper.open(&digits(), 1, 0).unwrap();
    fs::write(folder.path().join("a"), "kept").unwrap();
    drop(folder);
    for _ in 0..5 {
        store.next_refused().await;
    }
    let status = keeper.status();
    assert_eq!(status.pending_files, 1);
    let error = status.last_error.clone().unwrap();
    assert!(
        error.contains("it is away") && !error.contains("SECRET"),
        "{error}"
    );
    // Replicas are not held up meanwhile.
    drop(keeper.open(&digits(), 1, 1).unwrap());
    store.away.store(false, Ordering::SeqCst);
    let name = store.next_taken().await;
    assert_eq!(store.text(&name).await, "kept");
    keeper.shutdown(LIMIT).await;
    assert_eq!(node.spooled(), Vec::<PathBuf>::new());
    assert_eq!(keeper.status().last_error, None);
}

#[tokio::test]
async fn a_file_that_can_never_be_sent_holds_up_no_other() {
    let (node, store) = (Node::new(), Flaky::refusing("poison"));
    let keeper = node.eager(&store);
    let folder = keeper.open(&digits(), 1, 0).unwrap();
    for name in ["1/poison", "2/poison", "3/poison", "4/poison", "last"] {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "x").unwrap();
    }
    drop(folder);
    assert!(store.next_taken().await.ends_with("/last"));
    drop(keeper);
    let left = node.spooled();
    assert!(
        left.iter().filter(|path| path.ends_with("poison")).count() == 4,
        "{left:?}"
    );
}

#[tokio::test]
async fn what_a_killed_process_left_is_sent_by_the_next() {
    let (node, store) = (Node::new(), Flaky::new());
    store.away.store(true, Ordering::SeqCst);
    let keeper = node.eager(&store);
    let folder = keeper.open(&digits(), 7, 0).unwrap();
    fs::write(folder.path().join("a"), "survivor").unwrap();
    store.next_refused().await;
    drop(keeper);
    // Nobody closed the folder: the process was killed.
    std::mem::forget(folder);
    let second = Flaky::new();
    let keeper = node.calm(&second);
    let name = second.next_taken().await;
    assert_eq!(second.text(&name).await, "survivor");
    assert_eq!(timeless(&[name]), ["team/digits/7-0/a"]);
    keeper.shutdown(LIMIT).await;
    assert_eq!(fs::read_dir(node.path("spool")).unwrap().count(), 0);
    assert!(store.names().await.is_empty());
}

#[tokio::test]
async fn links_and_special_files_are_not_followed() {
    let (node, store) = (Node::new(), Flaky::new());
    fs::write(node.path("admin.token"), "SECRET").unwrap();
    let keeper = node.calm(&store);
    let folder = keeper.open(&digits(), 1, 0).unwrap();
    symlink(node.path("admin.token"), folder.path().join("link")).unwrap();
    symlink(node.path(""), folder.path().join("folder")).unwrap();
    let socket = UnixListener::bind(folder.path().join("socket")).unwrap();
    fs::write(folder.path().join("plain"), "x").unwrap();
    drop(folder);
    keeper.shutdown(LIMIT).await;
    drop(socket);
    assert_eq!(timeless(&store.names().await), ["team/digits/1-0/plain"]);
    assert!(node.path("admin.token").exists());
    assert_eq!(node.spooled(), Vec::<PathBuf>::new());
}

#[test]
fn a_file_is_opened_without_a_link_on_the_way() {
    let node = Node::new();
    fs::create_dir_all(node.path("out/real")).unwrap();
    fs::write(node.path("out/real/file"), "x").unwrap();
    symlink(node.path("out/real"), node.path("out/link")).unwrap();
    symlink(node.path("out/real/file"), node.path("out/real/alias")).unwrap();
    let open = |path: &str| beneath::open(&node.path("out"), FilePath::new(path));
    assert!(open("real/file").is_ok());
    for path in [
        "link/file",
        "real/alias",
        "real",
        "../out/real/file",
        "",
        "/etc/passwd",
    ] {
        assert!(open(path).is_err(), "{path}");
    }
}

#[tokio::test]
async fn what_exceeds_the_bounds_stays_behind() {
    let (node, store) = (Node::new(), Flaky::new());
    let bounds = Bounds {
        bytes: 10,
        entries: 3,
    };
    let keeper = OutputKeeper::start_within(node.options(of(&store), LIMIT), bounds).unwrap();
    let folder = keeper.open(&digits(), 1, 0).unwrap();
    for (name, text) in [("a", "12345"), ("b", "123456"), ("c", "12345"), ("d", "")] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    drop(folder);
    keeper.shutdown(LIMIT).await;
    let names = timeless(&store.names().await);
    assert!(names.contains(&"team/digits/1-0/a".to_owned()), "{names:?}");
    assert!(
        names.len() <= 3 && !names.contains(&"team/digits/1-0/b".to_owned()),
        "{names:?}"
    );
    assert_eq!(fs::read_dir(node.path("spool")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_large_file_is_sent_in_parts() {
    let (node, store) = (Node::new(), Flaky::new());
    let keeper = node.calm(&store);
    let folder = keeper.open(&digits(), 1, 0).unwrap();
    let size = 2 * PART_BYTES + 5;
    fs::File::create(folder.path().join("large"))
        .unwrap()
        .set_len(size as u64)
        .unwrap();
    drop(folder);
    keeper.shutdown(LIMIT).await;
    let names = store.names().await;
    assert_eq!(store.text(&names[0]).await.len(), size);
    assert_eq!(store.parts.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_log_keeps_its_name_when_it_is_rotated() {
    let (node, store) = (Node::new(), Flaky::new());
    let log = |name: &str| node.path("logs/digits").join(name);
    let first = "2026-01-31T09:30:00.123Z 0 out é\n";
    fs::write(log("log.txt"), first).unwrap();
    node.calm(&store).shutdown(LIMIT).await;
    fs::rename(log("log.txt"), log("log.1.txt")).unwrap();
    let second = "2026-02-01T10:00:00.000Z 0 out next\n";
    fs::write(log("log.txt"), second).unwrap();
    node.calm(&store).shutdown(LIMIT).await;
    let names = store.names().await;
    let expected = [
        "team/logs/digits/2026-01-31T09-30-00.123Z.txt",
        "team/logs/digits/2026-02-01T10-00-00.000Z.txt",
    ];
    assert_eq!(names, expected);
    assert_eq!(store.text(&names[0]).await, first);
    assert_eq!(store.text(&names[1]).await, second);
}

#[tokio::test]
async fn the_local_folder_holds_the_files_under_their_names() {
    let node = Node::new();
    fs::write(node.path("logs/digits/log.txt"), "text\n").unwrap();
    let store = OutputStore::local(&node.path("outputs")).unwrap();
    let keeper = OutputKeeper::start(node.options(store, LIMIT)).unwrap();
    let folder = keeper.open(&digits(), 1, 0).unwrap();
    for name in [
        "plain.txt",
        "with space.txt",
        "ümlaut.txt",
        "odd#1.txt",
        "100%.txt",
    ] {
        fs::write(folder.path().join(name), name).unwrap();
    }
    let broken = std::ffi::OsStr::from_bytes(b"broken-\xff.txt");
    fs::write(folder.path().join(broken), "x").unwrap();
    drop(folder);
    keeper.shutdown(LIMIT).await;
    assert_eq!(keeper.status().last_error, None);
    let runs = fs::read_dir(node.path("outputs/digits")).unwrap();
    let run = runs.flatten().next().unwrap().path();
    let mut found: Vec<_> = fs::read_dir(&run)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort_unstable();
    let expected = [
        "100%25.txt",
        "broken-\u{fffd}.txt",
        "odd%231.txt",
        "plain.txt",
        "with space.txt",
        "ümlaut.txt",
    ];
    assert_eq!(found, expected);
    assert!(!node.path("outputs/logs").exists());
    assert_eq!(node.spooled(), Vec::<PathBuf>::new());
}

/// Tells `tests/run` that something was not tried.
fn skip(name: &str, why: &str) {
    use io::Write as _;
    let Some(path) = std::env::var_os("LUSK_TEST_SKIPS") else {
        return;
    };
    let mut file = fs::OpenOptions::new().append(true).open(path).unwrap();
    writeln!(file, "{name}: {why}").unwrap();
}

mod azurite;

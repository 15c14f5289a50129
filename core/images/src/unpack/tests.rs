use std::io::Write;

use super::*;
use crate::{
    document::LAYER_TYPE,
    testing::{names, noise},
};

const TAR: &str = "application/vnd.oci.image.layer.v1.tar";

struct Bench {
    folder: TempDir,
    layout: std::sync::Arc<Layout>,
    unpacked: Unpacked,
}

/// An archive that is put together without asking what is sensible.
struct Archive(tar::Builder<Vec<u8>>);

impl Archive {
    fn new() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }

    fn entry(mut self, kind: tar::EntryType, name: &str, link: &str, content: &[u8]) -> Self {
        let mut header = tar::Header::new_gnu();
        let fields = header.as_gnu_mut().unwrap();
        fields.name[..name.len()].copy_from_slice(name.as_bytes());
        fields.linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o6755);
        header.set_cksum();
        self.0.append(&header, content).unwrap();
        self
    }

    fn file(self, name: &str, content: &[u8]) -> Self {
        self.entry(tar::EntryType::Regular, name, "", content)
    }

    fn symlink(self, name: &str, to: &str) -> Self {
        self.entry(tar::EntryType::Symlink, name, to, b"")
    }

    fn link(self, name: &str, to: &str) -> Self {
        self.entry(tar::EntryType::Link, name, to, b"")
    }

    fn bytes(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tmp = folder.path().join("tmp");
        let layout = Layout::open(&folder.path().join("images"), &tmp).unwrap();
        let unpacked = Unpacked::open(&folder.path().join("unpacked"), &tmp).unwrap();
        Self {
            folder,
            layout: layout.into(),
            unpacked,
        }
    }

    fn unpack_as(&self, media_type: &str, layer: &[u8]) -> Result<PathBuf, ImageError> {
        let draft = self.layout.draft();
        let layer = draft.put(media_type, layer).unwrap();
        let unpacked = self
            .unpacked
            .unpack(&self.layout, &layer, &mut Budget::default());
        let left = names(&self.folder.path().join("tmp"));
        assert_eq!(left, Vec::<String>::new());
        unpacked
    }

    fn unpack(&self, archive: Archive) -> Result<PathBuf, ImageError> {
        self.unpack_as(TAR, &archive.bytes())
    }

    fn refused(&self, archive: Archive) -> String {
        let refused = self.unpack(archive).unwrap_err();
        assert!(matches!(refused, ImageError::Refused(_)), "{refused:?}");
        let layers = names(&self.folder.path().join("unpacked/layers"));
        assert_eq!(layers, Vec::<String>::new());
        refused.to_string()
    }
}

#[test]
fn files_are_read_only_and_lose_special_bits() {
    let bench = Bench::new();
    let archive = Archive::new().file("./site-packages/a/x.py", b"1");
    let home = bench.unpack(archive).unwrap();
    let file = home.join("site-packages/a/x.py");
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o555);
    assert_eq!(fs::read(file).unwrap(), b"1");
}

#[test]
fn layers_of_others_are_taken() {
    let bench = Bench::new();
    let plain = |seed: &str| Archive::new().file("x", &noise(seed, 100_000)).bytes();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain("gzip")).unwrap();
    let gzip = gzip.finish().unwrap();
    let zstd = zstd::encode_all(&plain("zstd")[..], 3).unwrap();
    let docker = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    for (media_type, layer) in [
        (TAR, plain("plain")),
        (&format!("{TAR}+gzip"), gzip.clone()),
        (LAYER_TYPE, zstd),
    ] {
        let home = bench.unpack_as(media_type, &layer).unwrap();
        assert_eq!(fs::metadata(home.join("x")).unwrap().len(), 100_000);
    }
    assert!(bench.unpack_as(docker, &gzip).is_ok());
    let other = bench.unpack_as("text/plain", b"x").unwrap_err();
    assert!(other.to_string().contains("`text/plain`"), "{other}");
}

#[test]
fn nothing_leaves_the_folder() {
    for name in ["../x", "a/../../x", "/etc/x", "a/..", ".."] {
        let refused = Bench::new().refused(Archive::new().file(name, b"x"));
        assert!(refused.contains("leads out of its folder"), "{refused}");
    }
    for to in ["/etc/passwd", "../../x", "b/../../x", "../.."] {
        let refused = Bench::new().refused(Archive::new().symlink("a/l", to));
        assert!(refused.contains("out of its folder"), "{refused}");
    }
    for to in ["/etc/passwd", "../x"] {
        let refused = Bench::new().refused(Archive::new().link("a", to));
        assert!(refused.contains("out of its folder"), "{refused}");
    }
}

#[test]
fn nothing_is_written_through_a_link() {
    let outside = tempfile::tempdir().unwrap();
    let through = Archive::new()
        .symlink("d", "e")
        .file("d/x", b"x")
        .file("e/y", b"y");
    let refused = Bench::new().refused(through);
    assert!(refused.contains("`d` is in it twice"), "{refused}");
    let absolute = Archive::new().symlink("d", outside.path().to_str().unwrap());
    Bench::new().refused(absolute.file("d/x", b"x"));
    assert_eq!(names(outside.path()), Vec::<String>::new());
    let hard = Archive::new().symlink("l", "x").link("h", "l");
    let refused = Bench::new().refused(hard);
    assert!(refused.contains("not a file of the layer"), "{refused}");
    let chained = Archive::new()
        .symlink("a/up", "..")
        .symlink("b", "a/up/../x");
    Bench::new().refused(chained);
}

#[test]
fn links_that_stay_inside_are_kept() {
    let bench = Bench::new();
    let archive = Archive::new()
        .file("lib/x.so.1", b"x")
        .symlink("lib/x.so", "x.so.1")
        .symlink("bin/x", "../lib/x.so")
        .link("lib/y", "lib/x.so.1");
    let home = bench.unpack(archive).unwrap();
    for name in ["lib/x.so", "bin/x", "lib/y"] {
        assert_eq!(fs::read(home.join(name)).unwrap(), b"x", "{name}");
    }
}

#[test]
fn devices_and_the_like_are_refused() {
    use tar::EntryType as Kind;
    for kind in [Kind::Char, Kind::Block, Kind::Fifo, Kind::GNUSparse] {
        let archive = Archive::new().entry(kind, "dev", "", b"");
        let refused = Bench::new().refused(archive);
        assert!(
            refused.contains("no devices") || kind == Kind::GNUSparse,
            "{refused}"
        );
    }
}

#[test]
fn an_entry_comes_once() {
    let twice = Archive::new().file("x", b"1").file("./x", b"2");
    assert!(Bench::new().refused(twice).contains("twice"));
    let both = Archive::new().file("x", b"1").file("x/y", b"2");
    Bench::new().refused(both);
    let both = Archive::new().file("x/y", b"1").file("x", b"2");
    Bench::new().refused(both);
    let both = Archive::new().file("x", b"1").symlink("x", "y");
    assert!(Bench::new().refused(both).contains("twice"));
}

#[test]
fn bombs_end_early() {
    let bench = Bench::new();
    let zeros = Archive::new().file("x", &vec![0; 64 << 20]).bytes();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(&zeros).unwrap();
    let gzip = (format!("{TAR}+gzip"), gzip.finish().unwrap());
    let zstd = (
        LAYER_TYPE.to_owned(),
        zstd::encode_all(&zeros[..], 3).unwrap(),
    );
    // Zeros after the end of the archive are read too.
    let mut tail = Archive::new().file("x", b"x").bytes();
    tail.resize(64 << 20, 0);
    let tail = (
        LAYER_TYPE.to_owned(),
        zstd::encode_all(&tail[..], 3).unwrap(),
    );
    for (media_type, layer) in [gzip, zstd, tail] {
        assert!(layer.len() < 200_000);
        let refused = bench.unpack_as(&media_type, &layer).unwrap_err();
        assert!(
            refused.to_string().contains("decompression bomb"),
            "{refused}"
        );
    }
}

#[test]
fn names_and_headers_are_bounded() {
    // The reader of the archive would hold a long name in memory.
    let long = Archive::new().entry(
        tar::EntryType::GNULongName,
        "././@LongLink",
        "",
        &vec![b'a'; 8 << 20],
    );
    let refused = Bench::new().refused(long.file("x", b""));
    assert!(refused.contains("headers of an entry"), "{refused}");
    let deep = "a/".repeat(150) + "x";
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(0);
    archive.append_data(&mut header, deep, &b""[..]).unwrap();
    let refused = Bench::new().refused(Archive(archive));
    assert!(refused.contains("folders deep"), "{refused}");
}

#[test]
fn entries_and_bytes_of_an_image_are_bounded() {
    let bench = Bench::new();
    let draft = bench.layout.draft();
    let archive = Archive::new().file("x", &[1; 4096]).file("y", b"1");
    let layer = draft.put(TAR, &archive.bytes()).unwrap();
    for (entries, bytes) in [(1, 1 << 20), (10, 4096)] {
        let mut budget = Budget { entries, bytes };
        let refused = bench.unpacked.unpack(&bench.layout, &layer, &mut budget);
        assert!(matches!(refused, Err(ImageError::Refused(_))));
    }
    let mut budget = Budget::default();
    bench
        .unpacked
        .unpack(&bench.layout, &layer, &mut budget)
        .unwrap();
    // What was unpacked before counts too.
    let mut budget = Budget {
        entries: 1,
        bytes: 1 << 20,
    };
    let refused = bench.unpacked.unpack(&bench.layout, &layer, &mut budget);
    assert!(matches!(refused, Err(ImageError::Refused(_))));
}

#[test]
fn garbage_is_refused() {
    for media_type in [TAR, LAYER_TYPE, "x.tar+gzip"] {
        let refused = Bench::new().unpack_as(media_type, &noise("garbage", 5_000));
        assert!(
            matches!(refused, Err(ImageError::Refused(_))),
            "{refused:?}"
        );
    }
    let mut cut =
        zstd::encode_all(&Archive::new().file("x", &noise("c", 9_000)).bytes()[..], 3).unwrap();
    cut.truncate(5_000);
    let refused = Bench::new().unpack_as(LAYER_TYPE, &cut);
    assert!(
        matches!(refused, Err(ImageError::Refused(_))),
        "{refused:?}"
    );
}

#[test]
fn a_damaged_layer_is_not_unpacked() {
    let bench = Bench::new();
    let draft = bench.layout.draft();
    let mut layer = draft
        .put(TAR, &Archive::new().file("x", b"1").bytes())
        .unwrap();
    layer.digest = Digest::of(b"other");
    draft.put(TAR, b"other").unwrap();
    let mut budget = Budget::default();
    let refused = bench.unpacked.unpack(&bench.layout, &layer, &mut budget);
    assert!(
        matches!(refused, Err(ImageError::Refused(_))),
        "{refused:?}"
    );
}

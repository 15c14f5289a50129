//! Unpacks layers and makes folders of packages from them.
//!
//! A layer is unpacked once, into `layers/<digest>/`; an image's folder
//! `images/<digest>/site-packages` is made of hard links to it. Both appear by
//! rename when they are whole. What a layer may hold is decided here: plain
//! files, folders, links that stay inside.
//!
//! Invariant: nothing is ever written through a link, nor outside of the folder.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{
        DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
    },
    path::{Component, Path, PathBuf},
};

use lusk_contract::ImageError;
use lusk_domain::Digest;
use tempfile::TempDir;

use crate::{
    disk::{failed, make_folder, refused, verdict},
    document::Descriptor,
    image::Image,
    layout::Layout,
    pack::SITE,
    tarball::{Budget, Entry, inner_path, walk},
};

/// The folders that layers and images are unpacked to.
#[derive(Debug)]
pub(crate) struct Unpacked {
    root: PathBuf,
    /// Same file system, emptied at start.
    tmp: PathBuf,
}

impl Unpacked {
    pub(crate) fn open(root: &Path, tmp: &Path) -> Result<Self, ImageError> {
        make_folder(&root.join("layers"))?;
        make_folder(&root.join("images"))?;
        Ok(Self {
            root: root.to_owned(),
            tmp: tmp.to_owned(),
        })
    }

    /// The folder of an image's packages, made if it is not there; none for an
    /// image without packages. The caller holds the image.
    pub(crate) fn lay_out(
        &self,
        layout: &Layout,
        image: &Image,
    ) -> Result<Option<PathBuf>, ImageError> {
        if image.package_layers().next().is_none() {
            return Ok(None);
        }
        let home = self.image(image.descriptor.digest);
        let site = home.join(SITE);
        if site.is_dir() {
            return Ok(Some(site));
        }
        let mut budget = Budget::default();
        let folder = self.scratch()?;
        let mut seen = BTreeSet::new();
        for layer in image.package_layers() {
            // An image may name a layer twice; the second time adds nothing.
            if seen.insert(layer.digest) {
                let source = self.unpack(layout, layer, &mut budget)?;
                Merge::new(layer, folder.path()).folder(&source, Path::new(""))?;
            }
        }
        make_folder(&folder.path().join(SITE))?;
        in_place(folder, &home)?;
        Ok(Some(site))
    }

    /// The folder of a layer, unpacked if it is not there.
    fn unpack(
        &self,
        layout: &Layout,
        layer: &Descriptor,
        budget: &mut Budget,
    ) -> Result<PathBuf, ImageError> {
        let home = self.layer(layer.digest);
        if home.is_dir() {
            let (entries, bytes) = contents(&home)?;
            budget.take(entries, bytes)?;
            return Ok(home);
        }
        let folder = self.scratch()?;
        let what = format!("layer {}", layer.digest);
        let mut source = layout.read(layer)?;
        let mut target = Target::new(&what, folder.path());
        let media_type = &layer.media_type;
        walk(&what, media_type, &mut source, budget, |entry| {
            target.add(entry)
        })?;
        source.finish().map_err(|error| verdict(&what, &error))?;
        target.finish()?;
        in_place(folder, &home)?;
        Ok(home)
    }

    /// Takes what is not wanted any more out of sight.
    pub(crate) fn doom(
        &self,
        live: impl Fn(Digest) -> bool,
        in_use: impl Fn(Digest) -> bool,
    ) -> Result<Doomed, ImageError> {
        let doomed = Doomed(self.scratch()?);
        self.doom_in("images", |digest| live(digest) || in_use(digest), &doomed)?;
        self.doom_in("layers", &live, &doomed)?;
        Ok(doomed)
    }

    fn doom_in(
        &self,
        kind: &str,
        stays: impl Fn(Digest) -> bool,
        doomed: &Doomed,
    ) -> Result<(), ImageError> {
        let folder = self.root.join(kind);
        for entry in fs::read_dir(&folder).map_err(|error| failed(&folder, &error))? {
            let entry = entry.map_err(|error| failed(&folder, &error))?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let digest = format!("sha256:{name}").parse::<Digest>();
            if digest.is_ok_and(&stays) {
                continue;
            }
            let away = doomed.0.path().join(format!("{kind}-{name}"));
            fs::rename(entry.path(), away).map_err(|error| failed(&entry.path(), &error))?;
        }
        Ok(())
    }

    fn scratch(&self) -> Result<TempDir, ImageError> {
        tempfile::Builder::new()
            .prefix("unpack-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(&self.tmp)
            .map_err(|error| failed(&self.tmp, &error))
    }

    fn layer(&self, digest: Digest) -> PathBuf {
        self.root.join("layers").join(digest.to_hex())
    }

    fn image(&self, digest: Digest) -> PathBuf {
        self.root.join("images").join(digest.to_hex())
    }
}

/// Folders that are to be removed: what still has its name is always whole.
#[derive(Debug)]
pub(crate) struct Doomed(TempDir);

impl Doomed {
    /// Removes them; returns the bytes given back.
    pub(crate) fn remove(self) -> Result<u64, ImageError> {
        let mut files = BTreeMap::new();
        each_file(self.0.path(), &mut |meta| {
            if meta.is_file() {
                let (links, _) = files
                    .entry(meta.ino())
                    .or_insert((meta.nlink(), meta.len()));
                *links -= 1;
            }
        })?;
        let path = self.0.path().to_owned();
        self.0.close().map_err(|error| failed(&path, &error))?;
        // A file with another link left is still somewhere.
        let gone = files.values().filter(|(links, _)| *links == 0);
        Ok(gone.map(|(_, bytes)| bytes).sum())
    }
}

/// Moves a whole folder to its name; one that is there already is as good.
fn in_place(folder: TempDir, home: &Path) -> Result<(), ImageError> {
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755))
        .map_err(|error| failed(folder.path(), &error))?;
    match fs::rename(folder.path(), home) {
        Ok(()) => {
            // Renamed away: nothing is left to remove.
            let _ = folder.keep();
            Ok(())
        }
        Err(_) if home.is_dir() => Ok(()),
        Err(error) => Err(failed(home, &error)),
    }
}

/// Entries and bytes of a folder.
fn contents(folder: &Path) -> Result<(u64, u64), ImageError> {
    let (mut entries, mut bytes) = (0, 0);
    each_file(folder, &mut |meta| {
        entries += 1;
        bytes += if meta.is_file() { meta.len() } else { 0 };
    })?;
    Ok((entries, bytes))
}

fn each_file(folder: &Path, see: &mut dyn FnMut(&fs::Metadata)) -> Result<(), ImageError> {
    for entry in fs::read_dir(folder).map_err(|error| failed(folder, &error))? {
        let entry = entry.map_err(|error| failed(folder, &error))?;
        let meta = entry
            .metadata()
            .map_err(|error| failed(&entry.path(), &error))?;
        see(&meta);
        if meta.is_dir() {
            each_file(&entry.path(), see)?;
        }
    }
    Ok(())
}

/// A folder that entries of a layer are put into.
struct Target<'a> {
    what: &'a str,
    root: &'a Path,
    /// Made last, so that nothing can be written through them.
    links: Vec<(PathBuf, PathBuf)>,
}

impl<'a> Target<'a> {
    fn new(what: &'a str, root: &'a Path) -> Self {
        Self {
            what,
            root,
            links: Vec::new(),
        }
    }

    fn add(&mut self, entry: &mut Entry<'_, '_>) -> Result<(), ImageError> {
        let path = entry
            .path()
            .map_err(|error| verdict(self.what, &error))?
            .into_owned();
        let Some(path) = inner_path(&path).map_err(|text| self.refused(text))? else {
            return Ok(());
        };
        let kind = entry.header().entry_type();
        if kind.is_dir() {
            return make_parents(self.root, &path.join("x")).map_err(|it| self.refused(it));
        }
        make_parents(self.root, &path).map_err(|text| self.refused(text))?;
        if kind.is_file() || kind.is_contiguous() {
            self.add_file(entry, &path)
        } else if kind.is_symlink() {
            self.add_symlink(entry, path)
        } else if kind.is_hard_link() {
            self.add_hard_link(entry, &path)
        } else {
            let (path, kind) = (path.display(), kind.as_byte() as char);
            Err(self.refused(format!(
                "`{path}` is of type `{kind}`; only files, folders and links are taken, no devices"
            )))
        }
    }

    fn add_file(&self, entry: &mut Entry<'_, '_>, path: &Path) -> Result<(), ImageError> {
        let is_program = entry.header().mode().unwrap_or(0) & 0o111 != 0;
        let target = self.root.join(path);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&target)
            .map_err(|error| self.not_made(path, &error))?;
        self.copy(entry, &mut file, &target)?;
        // Set-uid, set-gid and sticky bits, owners and times are dropped.
        let mode = if is_program { 0o555 } else { 0o444 };
        file.set_permissions(Permissions::from_mode(mode))
            .map_err(|error| failed(&target, &error))
    }

    fn copy(
        &self,
        entry: &mut Entry<'_, '_>,
        file: &mut File,
        target: &Path,
    ) -> Result<(), ImageError> {
        let mut buffer = vec![0; 64 << 10];
        loop {
            match entry.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => file
                    .write_all(&buffer[..count])
                    .map_err(|error| failed(target, &error))?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(verdict(self.what, &error)),
            }
        }
    }

    fn add_symlink(&mut self, entry: &Entry<'_, '_>, path: PathBuf) -> Result<(), ImageError> {
        let to = self.link_of(entry, &path)?;
        let depth = path.components().count() - 1;
        if !stays_inside(&to, depth) {
            return Err(self.leaves(&path, &to));
        }
        self.links.push((path, to));
        Ok(())
    }

    fn add_hard_link(&self, entry: &Entry<'_, '_>, path: &Path) -> Result<(), ImageError> {
        let to = self.link_of(entry, path)?;
        let Ok(Some(inner)) = inner_path(&to) else {
            return Err(self.leaves(path, &to));
        };
        let source = self.root.join(&inner);
        let is_plain = parents_are_folders(self.root, &inner)
            && fs::symlink_metadata(&source).is_ok_and(|meta| meta.is_file());
        if !is_plain {
            let (path, to) = (path.display(), to.display());
            return Err(self.refused(format!(
                "`{path}` is a link to `{to}`, which is not a file of the layer before it"
            )));
        }
        fs::hard_link(&source, self.root.join(path)).map_err(|error| self.not_made(path, &error))
    }

    fn finish(self) -> Result<(), ImageError> {
        for (path, to) in &self.links {
            // A folder of this name may have come after the link.
            make_parents(self.root, path).map_err(|text| self.refused(text))?;
            std::os::unix::fs::symlink(to, self.root.join(path))
                .map_err(|error| self.not_made(path, &error))?;
        }
        Ok(())
    }

    fn link_of(&self, entry: &Entry<'_, '_>, path: &Path) -> Result<PathBuf, ImageError> {
        let to = entry.link_name().ok().flatten();
        to.map(|to| to.into_owned())
            .ok_or_else(|| self.refused(format!("`{}` is a link to nothing", path.display())))
    }

    fn leaves(&self, path: &Path, to: &Path) -> ImageError {
        let (path, to) = (path.display(), to.display());
        self.refused(format!(
            "`{path}` is a link to `{to:.200}`, out of its folder"
        ))
    }

    fn not_made(&self, path: &Path, error: &io::Error) -> ImageError {
        let shown = path.display();
        match error.kind() {
            io::ErrorKind::AlreadyExists => self.refused(format!("`{shown}` is in it twice")),
            _ => failed(path, error),
        }
    }

    fn refused(&self, text: String) -> ImageError {
        refused(&format!("{}: {text}", self.what))
    }
}

/// Whether a link `depth` folders below the root stays below it: `..` only at
/// the front and no more than that, so that it does so through other links too.
fn stays_inside(to: &Path, depth: usize) -> bool {
    let parts: Vec<_> = to.components().collect();
    let ups = parts
        .iter()
        .take_while(|part| matches!(part, Component::ParentDir))
        .count();
    ups <= depth
        && parts[ups..]
            .iter()
            .all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}

fn parents_are_folders(root: &Path, path: &Path) -> bool {
    let mut folder = root.to_owned();
    let parts: Vec<_> = path.components().collect();
    parts[..parts.len().saturating_sub(1)].iter().all(|part| {
        folder.push(part);
        fs::symlink_metadata(&folder).is_ok_and(|meta| meta.is_dir())
    })
}

/// Makes the folders above `path`; each is a real one, never a link.
fn make_parents(root: &Path, path: &Path) -> Result<(), String> {
    let mut folder = root.to_owned();
    let parts: Vec<_> = path.components().collect();
    for part in &parts[..parts.len().saturating_sub(1)] {
        folder.push(part);
        let made = DirBuilder::new().mode(0o755).create(&folder);
        let is_there = || fs::symlink_metadata(&folder).is_ok_and(|meta| meta.is_dir());
        match made {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && is_there() => {}
            Err(error) => {
                let (path, part) = (path.display(), part.as_os_str().display());
                return Err(format!(
                    "`{path:.200}`: `{part}` cannot be a folder: {error}"
                ));
            }
        }
    }
    Ok(())
}

/// Adds a layer's folder to an image's.
struct Merge<'a> {
    layer: &'a Descriptor,
    root: &'a Path,
}

impl<'a> Merge<'a> {
    fn new(layer: &'a Descriptor, root: &'a Path) -> Self {
        Self { layer, root }
    }

    fn folder(&self, source: &Path, below: &Path) -> Result<(), ImageError> {
        for entry in fs::read_dir(source).map_err(|error| failed(source, &error))? {
            let entry = entry.map_err(|error| failed(source, &error))?;
            let path = below.join(entry.file_name());
            make_parents(self.root, &path).map_err(|text| self.refused(&text))?;
            let kind = entry
                .file_type()
                .map_err(|error| failed(&entry.path(), &error))?;
            if kind.is_dir() {
                make_parents(self.root, &path.join("x")).map_err(|text| self.refused(&text))?;
                self.folder(&entry.path(), &path)?;
            } else {
                self.link(&entry.path(), &path)?;
            }
        }
        Ok(())
    }

    /// A layer above replaces a file of one below, as in any image.
    fn link(&self, source: &Path, path: &Path) -> Result<(), ImageError> {
        let target = self.root.join(path);
        match fs::remove_file(&target) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                let text = format!("`{}` is a folder in another layer", path.display());
                return Err(self.refused(&text));
            }
            _ => {}
        }
        // A hard link to a symbolic link is the link itself, not what it names.
        fs::hard_link(source, &target).map_err(|error| failed(&target, &error))
    }

    fn refused(&self, text: &str) -> ImageError {
        refused(&format!("layer {}: {text}", self.layer.digest))
    }
}

#[cfg(test)]
mod tests;

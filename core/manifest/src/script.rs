//! The entry script and the folder it is deployed with.

use std::path::{Path, PathBuf};

use crate::{
    Place,
    node::shortened,
    reader::{Reader, Section},
};

/// The source directory: where it is, or that there is none.
pub(crate) struct Folder {
    /// Absolute, symbolic links resolved; none when none was given.
    pub(crate) given: Option<PathBuf>,
    /// What paths in the config are relative to.
    pub(crate) base: PathBuf,
    /// Why the given one cannot be used.
    trouble: Option<(Place, String)>,
}

impl Folder {
    /// Looks the `sourceDirectory` of `top` up, relative to `directory`.
    pub(crate) fn of(reader: &mut Reader, top: Section<'_>, directory: &Path) -> Self {
        let none = Self {
            given: None,
            base: directory.to_owned(),
            trouble: None,
        };
        let (Some(node), Some(text)) = (
            top.get("sourceDirectory"),
            reader.text(top, "sourceDirectory"),
        ) else {
            return none;
        };
        if text.is_empty() {
            return none;
        }
        let path = directory.join(&text);
        let trouble = |what: &str| Self {
            given: None,
            base: path.clone(),
            trouble: Some((
                node.place.clone(),
                format!("`sourceDirectory`: `{}` {what}", shortened(&text)),
            )),
        };
        match path.canonicalize() {
            Ok(real) if real.is_dir() => Self {
                given: Some(real.clone()),
                base: real,
                trouble: None,
            },
            Ok(_) => trouble("is not a folder"),
            Err(_) => trouble("does not exist"),
        }
    }

    /// Reports a source directory that cannot be used.
    pub(crate) fn report(&self, reader: &mut Reader) {
        if let Some((place, message)) = &self.trouble {
            reader.problem(place, message.clone(), None);
        }
    }

    fn is_usable(&self) -> bool {
        self.trouble.is_none()
    }
}

/// Kinds of entry script by extension.
const EXTENSIONS: [&str; 5] = ["py", "js", "mjs", "wasm", "wat"];

/// Checks the entry script and gives its absolute path.
pub(crate) fn check(reader: &mut Reader, top: Section<'_>, folder: &Folder) -> Option<PathBuf> {
    let node = top.get("entryScript")?;
    let text = reader.text(top, "entryScript")?;
    let place = &node.place;
    let found = if folder.is_usable() {
        find(reader, place, &text, folder)
    } else {
        None
    };
    let name = Path::new(&text);
    let extension = name.extension().and_then(|e| e.to_str()).unwrap_or("");
    if !EXTENSIONS.contains(&extension) {
        reader.problem(
            place,
            format!(
                "`entryScript`: `{}` must end in .py, .js, .mjs, .wasm or .wat",
                shortened(&text)
            ),
            None,
        );
    } else if extension == "py" {
        check_module_name(reader, place, name);
    }
    found
}

fn find(reader: &mut Reader, place: &Place, text: &str, folder: &Folder) -> Option<PathBuf> {
    let path = folder.base.join(text);
    if !path.is_file() {
        let what = if path.is_dir() {
            "is a folder"
        } else {
            "does not exist"
        };
        let inside = match &folder.given {
            Some(folder) => format!(" in the source directory {}", folder.display()),
            None => String::new(),
        };
        reader.problem(
            place,
            format!("`entryScript`: `{}` {what}{inside}", shortened(text)),
            None,
        );
        return None;
    }
    // The folder is resolved, the script is not: what is deployed under its
    // name may be a link.
    let parent = path.parent()?.canonicalize().ok()?;
    let real = parent.join(path.file_name()?);
    if let Some(folder) = &folder.given
        && !real.starts_with(folder)
    {
        reader.problem(
            place,
            format!(
                "`entryScript`: `{}` lies outside the source directory {}",
                shortened(text),
                folder.display()
            ),
            Some("only what is in the source directory is deployed".to_owned()),
        );
        return None;
    }
    Some(real)
}

/// The script is imported as a module, so its name must be one.
fn check_module_name(reader: &mut Reader, place: &Place, path: &Path) {
    let stem = path.file_stem().and_then(|s| s.to_str()).unwrap_or("");
    let mut letters = stem.chars();
    let is_identifier = letters
        .next()
        .is_some_and(|c| c.is_alphabetic() || c == '_')
        && letters.all(|c| c.is_alphanumeric() || c == '_');
    let trouble = if PYTHON_KEYWORDS.contains(&stem) {
        "is a Python keyword"
    } else if !is_identifier {
        "is not a Python identifier"
    } else {
        return;
    };
    reader.problem(
        place,
        format!(
            "`entryScript`: `{}` {trouble}, so the script cannot be imported",
            shortened(stem)
        ),
        Some("use letters, digits and _, not a digit first".to_owned()),
    );
}

const PYTHON_KEYWORDS: [&str; 35] = [
    "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue",
    "def", "del", "elif", "else", "except", "finally", "for", "from", "global", "if", "import",
    "in", "is", "lambda", "nonlocal", "not", "or", "pass", "raise", "return", "try", "while",
    "with", "yield",
];

//! What a change of a deployed script leaves unsaid about script and folder.

use std::path::{Path, PathBuf};

use super::{Deployed, InferenceRequest};
use crate::{
    Override, Place, Scalar,
    node::{Node, Value, shortened},
    reader::Reader,
};

const SCRIPT: &str = "entryScript";
const FOLDER: &str = "sourceDirectory";

/// Adds the folder to a script that is given without, and the script to a folder.
pub(super) fn complete(
    reader: &mut Reader,
    root: &mut Node,
    request: InferenceRequest<'_>,
    deployed: Deployed<'_>,
) {
    match (text(root, SCRIPT), text(root, FOLDER)) {
        (None, Some(_)) => lay(root, SCRIPT, "--entry-script", deployed.script),
        (Some(script), None) => {
            let Some(name) = deployed.source_directory else {
                return;
            };
            match folder_of(request.directory, name, &script) {
                Some((folder, script)) => {
                    lay(
                        root,
                        FOLDER,
                        "--source-directory",
                        &folder.to_string_lossy(),
                    );
                    lay(root, SCRIPT, "--entry-script", &script);
                }
                None => missing(reader, root, request.service, name, &script),
            }
        }
        _ => {}
    }
}

fn text(root: &Node, key: &str) -> Option<String> {
    match &root.get(key)?.value {
        Value::Text { text, .. } if !text.is_empty() => Some(text.clone()),
        _ => None,
    }
}

fn lay(root: &mut Node, key: &str, flag: &str, text: &str) {
    root.lay_over(&Override::new(key, flag, Scalar::Text(text.to_owned())));
}

/// The folder called `name` that holds the script, and the script's path in it:
/// below `directory`, or `directory` itself. The script may be given from either.
fn folder_of(directory: &Path, name: &str, script: &str) -> Option<(PathBuf, String)> {
    let real = directory.canonicalize().ok()?;
    let itself = real.file_name().is_some_and(|own| own == name);
    let folders = [
        Some(directory.join(name)).filter(|folder| folder.is_dir()),
        itself.then(|| real.clone()),
    ];
    folders.into_iter().flatten().find_map(|folder| {
        if folder.join(script).is_file() {
            return Some((folder, script.to_owned()));
        }
        let inside = Path::new(script).strip_prefix(name).ok()?.to_str()?;
        let found = folder.join(inside).is_file();
        found.then(|| (folder.clone(), inside.to_owned()))
    })
}

fn missing(reader: &mut Reader, root: &Node, service: &str, name: &str, script: &str) {
    let place = root.get(SCRIPT).map_or(&root.place, |node| &node.place);
    let place: Place = place.clone();
    reader.problem(
        &place,
        format!(
            "`{SCRIPT}`: service `{service}` was deployed with the folder `{}` around its script, and no such folder with `{}` in it is here",
            shortened(name),
            shortened(script)
        ),
        Some("give --source-directory, or run the command beside that folder".to_owned()),
    );
}

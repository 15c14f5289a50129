//! `inferenceconfig.json`: which script runs in which environment.

use std::path::{Path, PathBuf};

use lusk_domain::{Environment, EnvironmentRef, RuntimeKind};

use crate::{
    Checked, ManifestError, Override, Place, Problem, Source, environment, legacy,
    node::Node,
    reader::{Reader, Section},
    runtime,
    script::{self, Folder},
    suggest::nearest,
};

/// What an inference config is read from.
#[derive(Debug, Clone, Copy)]
pub struct InferenceRequest<'a> {
    /// The file, if one was given.
    pub source: Option<&'a Source>,
    /// Flags that take the place of keys.
    pub overrides: &'a [Override],
    /// An environment directory that takes the place of `environment`.
    pub environment_directory: Option<&'a Path>,
    /// A registered environment that takes the place of `environment`.
    pub environment_reference: Option<&'a EnvironmentRef>,
    /// The folder that relative paths start from.
    pub directory: &'a Path,
    /// The service's name; an environment made of legacy keys is called after it.
    pub service: &'a str,
}

/// A checked inference config: every file it names is there.
#[derive(Debug, Clone, PartialEq)]
pub struct InferenceConfig {
    /// The entry script, absolute.
    pub script: PathBuf,
    /// The folder that is deployed whole, absolute; without one the script
    /// alone is deployed.
    pub source_directory: Option<PathBuf>,
    /// What the script needs.
    pub environment: EnvironmentChoice,
    /// The runtime asked for by name; script and environment tell it when absent.
    pub runtime: Option<RuntimeKind>,
    /// Free text.
    pub description: Option<String>,
}

/// What an inference config says of a script that is deployed already; what it
/// does not say stays.
#[derive(Debug, Clone, PartialEq)]
pub struct InferenceChange {
    /// A new entry script, absolute.
    pub script: Option<PathBuf>,
    /// The folder that is deployed whole, absolute; the script's, if there is a
    /// new one.
    pub source_directory: Option<PathBuf>,
    /// What the script needs from now on.
    pub environment: Option<EnvironmentChoice>,
    /// The runtime asked for by name.
    pub runtime: Option<RuntimeKind>,
    /// Free text.
    pub description: Option<String>,
}

/// The entry script that is deployed, as the node tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deployed<'a> {
    /// Its path below the source directory, or its bare name.
    pub script: &'a str,
    /// The base name of the source directory it came with.
    pub source_directory: Option<&'a str>,
}

/// What an entry script needs, in full or by name.
#[derive(Debug, Clone, PartialEq)]
pub enum EnvironmentChoice {
    /// The whole definition, conda files read in.
    Definition(Box<Environment>),
    /// One that the node knows.
    Registered(EnvironmentRef),
}

impl InferenceConfig {
    /// The script's path below the source directory, or its bare name.
    pub fn entry_script(&self) -> String {
        path_below(self.source_directory.as_deref(), &self.script)
    }

    /// The base name of the source directory: the snapshot's top folder.
    pub fn top_folder(&self) -> Option<String> {
        base_name(self.source_directory.as_deref())
    }
}

impl InferenceChange {
    /// The new script's path below the source directory, or its bare name.
    pub fn entry_script(&self) -> Option<String> {
        let script = self.script.as_ref()?;
        Some(path_below(self.source_directory.as_deref(), script))
    }

    /// The base name of the source directory: the snapshot's top folder.
    pub fn top_folder(&self) -> Option<String> {
        base_name(self.source_directory.as_deref())
    }
}

impl From<InferenceConfig> for InferenceChange {
    fn from(config: InferenceConfig) -> Self {
        Self {
            script: Some(config.script),
            source_directory: config.source_directory,
            environment: Some(config.environment),
            runtime: config.runtime,
            description: config.description,
        }
    }
}

fn path_below(folder: Option<&Path>, script: &Path) -> String {
    let relative = match folder {
        Some(folder) => script.strip_prefix(folder).ok(),
        None => script.file_name().map(Path::new),
    };
    let parts: Vec<_> = relative
        .unwrap_or(script)
        .iter()
        .map(|part| part.to_string_lossy())
        .collect();
    parts.join("/")
}

fn base_name(folder: Option<&Path>) -> Option<String> {
    let name = folder?.file_name()?;
    Some(name.to_string_lossy().into_owned())
}

const KNOWN: [&str; 4] = [
    "entryScript",
    "sourceDirectory",
    "environment",
    "description",
];

/// Reads an inference config.
///
/// # Errors
/// Everything that is wrong with it and with the files it names.
pub fn inference(request: InferenceRequest<'_>) -> Result<Checked<InferenceConfig>, ManifestError> {
    let (mut reader, root) = open(request)?;
    let place = root.place.clone();
    let found = match reader.as_section(&root, "") {
        Some(top) => from_root(&mut reader, top, request, Need::Everything),
        None => None,
    };
    let checked = reader.finish(found)?;
    match checked.value.and_then(whole) {
        Some(value) => Ok(Checked {
            value,
            notices: checked.notices,
        }),
        None => Err(vanished(place)),
    }
}

/// Reads an inference config as a change of what is deployed. A new script comes
/// with the folder of the same name that the old one came with, unless another
/// one is given; a folder alone comes with the old script.
///
/// # Errors
/// Everything that is wrong with it and with the files it names.
pub fn inference_change(
    request: InferenceRequest<'_>,
    deployed: Option<Deployed<'_>>,
) -> Result<Checked<InferenceChange>, ManifestError> {
    let (mut reader, mut root) = open(request)?;
    if let Some(deployed) = deployed {
        deployed::complete(&mut reader, &mut root, request, deployed);
    }
    let place = root.place.clone();
    let found = match reader.as_section(&root, "") {
        Some(top) => from_root(&mut reader, top, request, Need::Changes),
        None => None,
    };
    let checked = reader.finish(found)?;
    match checked.value {
        Some(value) => Ok(Checked {
            value,
            notices: checked.notices,
        }),
        None => Err(vanished(place)),
    }
}

/// The file with the flags laid over it.
fn open(request: InferenceRequest<'_>) -> Result<(Reader, Node), ManifestError> {
    let mut reader = Reader::default();
    let mut root = match request.source {
        Some(source) => {
            let parsed = source.parse()?;
            reader.take(parsed.problems);
            parsed.root
        }
        None => Source::absent("command line"),
    };
    for given in request.overrides {
        root.lay_over(given);
    }
    Ok((reader, root))
}

/// Left out without a word: the script vanished while it was looked at.
fn vanished(place: Place) -> ManifestError {
    Problem {
        place,
        message: "`entryScript`: the script cannot be read".to_owned(),
        help: None,
    }
    .into()
}

fn whole(found: InferenceChange) -> Option<InferenceConfig> {
    Some(InferenceConfig {
        script: found.script?,
        source_directory: found.source_directory,
        environment: found.environment?,
        runtime: found.runtime,
        description: found.description,
    })
}

/// What a config must say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    Everything,
    Changes,
}

/// In the order of the original's own checks.
fn from_root(
    reader: &mut Reader,
    top: Section<'_>,
    request: InferenceRequest<'_>,
    need: Need,
) -> Option<InferenceChange> {
    check_root_keys(reader, top);
    if top.get("entryScript").is_none() && need == Need::Everything {
        reader.problem(
            &top.node.place,
            "`entryScript` is missing",
            Some("add `\"entryScript\": \"score.py\"`, or give --entry-script".to_owned()),
        );
    }
    // A change without legacy keys leaves the environment that is described there.
    let is_left = need == Need::Changes && !legacy::describes(top);
    let runtime = runtime::asked(top, is_left || is_described(top, request));
    legacy::warn(reader, top, runtime);
    legacy::refuse_beside_environment(reader, top);
    let folder = Folder::of(reader, top, request.directory);
    let given = given_environment(reader, top, &folder, request);
    folder.report(reader);
    let script = script::check(reader, top, &folder);
    runtime::check(reader, top, runtime);
    // Read in any case, for what is wrong with the legacy keys themselves.
    let legacy = legacy::environment(reader, top, &folder.base, request.service);
    let environment = match given {
        Given::Nowhere if is_left => None,
        Given::Nowhere => Some(EnvironmentChoice::Definition(Box::new(legacy))),
        Given::Here(choice) => Some(choice?),
    };
    if top.get("entryScript").is_some() && script.is_none() {
        return None;
    }
    Some(InferenceChange {
        script,
        source_directory: folder.given,
        environment,
        runtime: runtime.asked(),
        description: reader.text(top, "description"),
    })
}

/// Whether the environment is given otherwise than by legacy keys.
fn is_described(top: Section<'_>, request: InferenceRequest<'_>) -> bool {
    request.environment_directory.is_some()
        || request.environment_reference.is_some()
        || top.get("environment").is_some()
}

enum Given {
    Nowhere,
    /// Given, and readable if there is one.
    Here(Option<EnvironmentChoice>),
}

fn given_environment(
    reader: &mut Reader,
    top: Section<'_>,
    folder: &Folder,
    request: InferenceRequest<'_>,
) -> Given {
    if let Some(reference) = request.environment_reference {
        let place = Place::Flag("--environment-name".to_owned());
        return Given::Here(environment::reference(reader, &place, reference.clone()));
    }
    if let Some(directory) = request.environment_directory {
        let directory = request.directory.join(directory);
        let read = environment::directory(reader, &directory);
        return Given::Here(read.map(Box::new).map(EnvironmentChoice::Definition));
    }
    match top.get("environment") {
        None => Given::Nowhere,
        Some(node) => Given::Here(
            reader
                .as_section(node, "environment")
                .and_then(|section| environment::inline(reader, section, &folder.base)),
        ),
    }
}

fn check_root_keys(reader: &mut Reader, top: Section<'_>) {
    let legacy = legacy::KEYS.map(|(key, _)| key);
    for entry in top.entries() {
        let key = entry.key.as_str();
        if !KNOWN.contains(&key) && !legacy.contains(&key) {
            let near = nearest(key, KNOWN.into_iter().chain(legacy));
            let help = near.map(|near| format!("did you mean `{near}`?"));
            reader.unknown_key(entry, key, help);
        }
    }
}

mod deployed;

#[cfg(test)]
mod tests;

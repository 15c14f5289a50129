//! `inferenceconfig.json`: which script runs in which environment.

use std::path::{Path, PathBuf};

use lusk_domain::{Environment, EnvironmentRef, RuntimeKind};

use crate::{
    Checked, ManifestError, Override, Place, Problem, Source, environment, legacy,
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
        let relative = match &self.source_directory {
            Some(folder) => self.script.strip_prefix(folder).ok(),
            None => self.script.file_name().map(Path::new),
        };
        let parts: Vec<_> = relative
            .unwrap_or(&self.script)
            .iter()
            .map(|part| part.to_string_lossy())
            .collect();
        parts.join("/")
    }

    /// The base name of the source directory: the snapshot's top folder.
    pub fn top_folder(&self) -> Option<String> {
        let name = self.source_directory.as_ref()?.file_name()?;
        Some(name.to_string_lossy().into_owned())
    }
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
    let config = match reader.as_section(&root, "") {
        Some(top) => from_root(&mut reader, top, request),
        None => None,
    };
    let checked = reader.finish(config)?;
    match checked.value {
        Some(value) => Ok(Checked {
            value,
            notices: checked.notices,
        }),
        // Left out without a word: the script vanished while it was looked at.
        None => Err(Problem {
            place: root.place,
            message: "`entryScript`: the script cannot be read".to_owned(),
            help: None,
        }
        .into()),
    }
}

/// In the order of the original's own checks.
fn from_root(
    reader: &mut Reader,
    top: Section<'_>,
    request: InferenceRequest<'_>,
) -> Option<InferenceConfig> {
    check_root_keys(reader, top);
    if top.get("entryScript").is_none() {
        reader.problem(
            &top.node.place,
            "`entryScript` is missing",
            Some("add `\"entryScript\": \"score.py\"`, or give --entry-script".to_owned()),
        );
    }
    let runtime = runtime::asked(top, is_described(top, request));
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
        Given::Nowhere => Some(EnvironmentChoice::Definition(Box::new(legacy))),
        Given::Here(choice) => choice,
    };
    let description = reader.text(top, "description");
    Some(InferenceConfig {
        script: script?,
        source_directory: folder.given,
        environment: environment?,
        runtime: runtime.asked(),
        description,
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

#[cfg(test)]
mod tests;

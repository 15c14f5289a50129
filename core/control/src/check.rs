//! Rules of a request that need more than its fields: models, entry script,
//! names that are reserved. All of them are checked, then reported together.

use std::collections::BTreeSet;

use lusk_domain::{
    ComputeType, Entry, Environment, Model, ModelId, ResourceChange, RuntimeKind, ServiceSpec,
    Settings, SettingsChange, Snapshot, Violation,
};

use crate::{
    remote,
    snapshot::Limits,
    text::{count, size},
};

/// First parts of environment names that belong to curated environments.
const RESERVED: [&str; 2] = ["Microsoft", "AzureML"];

/// Extensions of entry scripts that a runtime is there for.
const SCRIPTS: [&str; 5] = [".py", ".js", ".mjs", ".wasm", ".wat"];

/// Most replicas of one service on one node, and most requests that one replica
/// runs at a time: each costs memory before it is used.
const MOST_COPIES: u32 = 1_000;

/// Whether the list itself is good, before any model is looked up.
pub(crate) fn model_list(ids: &[ModelId]) -> Vec<Violation> {
    if let Some(first_over) = ids.get(Model::MAX_PER_SERVICE) {
        let message = format!(
            "{} are given, at most {} fit in a service; the first one over is `{first_over}`",
            count(ids.len() as u64, "model"),
            Model::MAX_PER_SERVICE,
        );
        return vec![Violation::new("models", message)];
    }
    let mut seen = BTreeSet::new();
    let twice: BTreeSet<_> = ids.iter().filter(|id| !seen.insert(*id)).collect();
    twice
        .into_iter()
        .map(|id| Violation::new("models", format!("`{id}` is given twice")))
        .collect()
}

/// Rules of a whole specification; `models` are those of `spec` that exist.
pub(crate) fn spec(spec: &ServiceSpec, models: &[Model]) -> Vec<Violation> {
    let mut found = match &spec.entry {
        _ if !spec.remote.is_empty() => remote::spec(spec),
        Some(given) => entry(given),
        None => no_code(models),
    };
    if let Some(entry) = &spec.entry {
        debugging(entry, spec.compute, &mut found);
    }
    found.extend(copies(&spec.settings));
    if spec.compute == (ComputeType::Local { port: Some(0) }) {
        found.push(Violation::new(
            "port",
            "0 is not a port, expected 1 to 65535; leave it out for a free one",
        ));
    }
    found
}

fn copies(settings: &Settings) -> impl Iterator<Item = Violation> {
    let replicas = if settings.num_replicas.is_some() {
        "numReplicas"
    } else {
        "autoScaler.minReplicas"
    };
    let slots = settings.max_concurrent_requests_per_container;
    let bounded = [
        (replicas, settings.initial_replicas()),
        ("maxConcurrentRequestsPerContainer", slots),
    ];
    let over = bounded
        .into_iter()
        .filter(|(_, given)| *given > MOST_COPIES);
    over.map(|(path, given)| {
        Violation::new(path, format!("{given} is over the limit of {MOST_COPIES}"))
    })
}

fn entry(entry: &Entry) -> Vec<Violation> {
    let mut found = Vec::new();
    if !is_plain_relative(&entry.script) {
        found.push(Violation::new(
            "entryScript",
            format!(
                "`{}` is not a plain relative path in the snapshot",
                entry.script
            ),
        ));
    } else if !SCRIPTS.iter().any(|end| entry.script.ends_with(end)) {
        found.push(Violation::new(
            "entryScript",
            format!(
                "`{}` is no script that runs here, expected {}",
                entry.script,
                SCRIPTS.join(", ")
            ),
        ));
    }
    if let Some(folder) = &entry.source_directory
        && (!is_plain_relative(folder) || folder.contains('/'))
    {
        found.push(Violation::new(
            "sourceDirectory",
            format!("`{folder}` is not the name of the snapshot's top folder"),
        ));
    }
    runtime(entry, &mut found);
    over_limits(&entry.snapshot, &mut found);
    environment(&entry.environment, &mut found);
    found
}

/// Whether the runtime asked for by name can run this script.
fn runtime(entry: &Entry, found: &mut Vec<Violation>) {
    let Some(asked) = entry.runtime else {
        return;
    };
    let ends: &[&str] = match asked {
        RuntimeKind::Python | RuntimeKind::Process => &[".py"],
        RuntimeKind::Javascript => &[".js", ".mjs"],
        RuntimeKind::Wasm => &[".wasm", ".wat"],
        RuntimeKind::None | RuntimeKind::Remote => &[],
    };
    if !ends.iter().any(|end| entry.script.ends_with(end)) {
        let (asked, script) = (asked.as_str(), &entry.script);
        found.push(Violation::new(
            "runtime",
            format!("`{asked}` does not run `{script}`; leave it out, or give another script"),
        ));
    }
    let managed = entry.environment.python.user_managed_dependencies;
    if asked == RuntimeKind::Python && managed {
        found.push(Violation::new(
            "runtime",
            "`python` is the sandbox, which has no interpreter of its own: it cannot go with \
             `python.userManagedDependencies`",
        ));
    }
}

/// A debugger needs a process, and a door that nobody else can reach.
fn debugging(entry: &Entry, compute: ComputeType, found: &mut Vec<Violation>) {
    let Some(port) = entry.debug_port else {
        return;
    };
    if !matches!(compute, ComputeType::Local { .. }) {
        found.push(Violation::new(
            "debugPort",
            "a script waits for a debugger in local services only; deploy with computeType `local`",
        ));
    }
    if entry.runtime() != RuntimeKind::Process {
        let runtime = entry.runtime().as_str();
        found.push(Violation::new(
            "debugPort",
            format!("a debugger attaches to runtime `process`, not to `{runtime}`"),
        ));
    }
    if port == 0 {
        found.push(Violation::new(
            "debugPort",
            "0 is not a port, expected 1 to 65535",
        ));
    }
}

fn over_limits(snapshot: &Snapshot, found: &mut Vec<Violation>) {
    if snapshot.bytes > Limits::LIFTED.bytes {
        let (seen, limit) = (size(snapshot.bytes), size(Limits::LIFTED.bytes));
        found.push(Violation::new(
            "snapshot",
            format!("{seen} of files are over the limit of {limit}"),
        ));
    }
    if snapshot.files > Limits::LIFTED.files {
        found.push(Violation::new(
            "snapshot",
            format!(
                "{} files are over the limit of {}",
                snapshot.files,
                Limits::LIFTED.files
            ),
        ));
    }
}

fn environment(environment: &Environment, found: &mut Vec<Violation>) {
    if let Some(name) = &environment.name
        && let Some(reserved) = RESERVED.iter().find(|first| name.starts_with(**first))
    {
        found.push(Violation::new(
            "environment.name",
            format!("`{name}` is reserved: names that begin with `{reserved}` belong to curated environments"),
        ));
    }
    let bad = |(key, value): &(&String, &String)| {
        key.is_empty() || key.contains(['=', '\0']) || value.contains('\0')
    };
    for (key, _) in environment.environment_variables.iter().filter(bad) {
        found.push(Violation::new(
            "environment.environmentVariables",
            format!(
                "`{}` is not the name and value of a variable",
                key.escape_debug()
            ),
        ));
    }
}

/// Without an entry script exactly one ONNX file is served.
fn no_code(models: &[Model]) -> Vec<Violation> {
    const WAY_OUT: &str = "give an entry script (an inference config)";
    let broken = match models {
        [] => format!("a service needs a model or an entry script; register a model, or {WAY_OUT}"),
        [model] => match no_code_model(model) {
            Ok(()) => return Vec::new(),
            Err(why) => format!(
                "`{}` cannot be served without code: {why}; {WAY_OUT}",
                model.id
            ),
        },
        many => format!(
            "{} models cannot be served without code, only one can; {WAY_OUT}",
            many.len()
        ),
    };
    vec![Violation::new("models", broken)]
}

fn no_code_model(model: &Model) -> Result<(), String> {
    if let Some(framework) = model
        .draft
        .framework
        .as_deref()
        .filter(|word| *word != "Onnx")
    {
        return Err(format!("its framework is `{framework}`, expected `Onnx`"));
    }
    let onnx = model
        .draft
        .files
        .iter()
        .filter(|file| file.path.ends_with(".onnx"));
    match onnx.count() {
        1 => Ok(()),
        other => Err(format!(
            "it holds {} files that end in .onnx, expected 1",
            other
        )),
    }
}

/// Lets the needs of a model that is served without code stand where the
/// request is silent.
pub(crate) fn with_needs_of(model: &Model, change: &SettingsChange) -> SettingsChange {
    let needs = &model.draft.resource_requirements;
    let wish = change.container_resource_requirements.unwrap_or_default();
    let mut filled = change.clone();
    filled.container_resource_requirements = Some(ResourceChange {
        cpu: wish.cpu.or(needs.cpu),
        memory_in_gb: wish.memory_in_gb.or(needs.memory_in_gb),
        gpu: wish.gpu.or(needs.gpu),
        ..wish
    });
    filled
}

fn is_plain_relative(path: &str) -> bool {
    !path.is_empty()
        && !path.contains(['\\', '\0'])
        && path
            .split('/')
            .all(|part| !part.is_empty() && part != "." && part != "..")
}

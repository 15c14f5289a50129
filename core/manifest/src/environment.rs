//! The `environment` object, inline or in an environment directory.

use std::path::Path;

use lusk_domain::{
    CondaSpec, Docker, DockerPlatform, Environment, EnvironmentName, EnvironmentRef, PythonSection,
    RegistryCredentials, Secret, SparkPackage, SparkSection,
};

use crate::{
    Checked, EnvironmentChoice, ManifestError, Place, Problem, Source, conda,
    node::{Node, Value, shortened},
    reader::{Reader, Section},
};

const KNOWN: [&str; 10] = [
    "name",
    "version",
    "assetId",
    "environmentVariables",
    "inferencingStackVersion",
    "python",
    "docker",
    "spark",
    "databricks",
    "r",
];
const PYTHON: [&str; 5] = [
    "userManagedDependencies",
    "interpreterPath",
    "condaDependencies",
    "condaDependenciesFile",
    "baseCondaEnvironment",
];
const DOCKER: [&str; 10] = [
    "enabled",
    "baseImage",
    "baseDockerfile",
    "buildContext",
    "baseImageRegistry",
    "platform",
    "sharedVolumes",
    "shmSize",
    "arguments",
    "type",
];
const REGISTRY: [&str; 3] = ["address", "username", "password"];
const SPARK: [&str; 3] = ["repositories", "packages", "precachePackages"];

/// Name prefixes that the original keeps for its own environments.
const RESERVED: [&str; 2] = ["microsoft", "azureml"];

/// Reads the environment in `of`; file paths in it are relative to `base`.
pub(crate) fn inline(
    reader: &mut Reader,
    of: Section<'_>,
    base: &Path,
) -> Option<EnvironmentChoice> {
    if is_reference(of.node) {
        let name = reader.text(of, "name")?;
        let version = reader.text(of, "version").filter(|text| !text.is_empty());
        let place = of.node.place_of("name");
        return reference(reader, place, EnvironmentRef { name, version });
    }
    let definition = whole(reader, of, base);
    Some(EnvironmentChoice::Definition(Box::new(definition)))
}

/// A registered environment; which ones there are is the node's to say.
pub(crate) fn reference(
    reader: &mut Reader,
    place: &Place,
    given: EnvironmentRef,
) -> Option<EnvironmentChoice> {
    match given.name.parse::<EnvironmentName>() {
        Ok(_) => Some(EnvironmentChoice::Registered(given)),
        Err(error) => {
            let help = "write the whole definition under `environment` under a name of its own, \
                        or give --environment-directory";
            reader.problem(place, error.to_string(), Some(help.to_owned()));
            None
        }
    }
}

/// Reads an environment directory: `azureml_environment.json` and what lies
/// beside it.
///
/// # Errors
/// Everything that is wrong with its files.
pub fn environment_directory(folder: &Path) -> Result<Checked<Environment>, ManifestError> {
    let mut reader = Reader::default();
    let environment = directory(&mut reader, folder);
    let checked = reader.finish(environment)?;
    match checked.value {
        Some(value) => Ok(Checked {
            value,
            notices: checked.notices,
        }),
        None => Err(Problem {
            place: Place::File(folder.display().to_string().into()),
            message: "is no environment directory".to_owned(),
            help: None,
        }
        .into()),
    }
}

/// Only a name, or a name and a version: a registered environment.
fn is_reference(node: &Node) -> bool {
    let Value::Map(entries) = &node.value else {
        return false;
    };
    node.get("name").is_some()
        && entries
            .iter()
            .all(|entry| matches!(entry.key.as_str(), "name" | "version"))
}

/// Reads `azureml_environment.json` of an environment directory and what lies
/// beside it: `conda_dependencies.yml` and `BaseDockerfile`.
pub(crate) fn directory(reader: &mut Reader, folder: &Path) -> Option<Environment> {
    let source = match Source::read(&folder.join("azureml_environment.json")) {
        Ok(source) => source,
        Err(problem) => {
            reader.take(vec![problem]);
            return None;
        }
    };
    let parsed = match source.parse() {
        Ok(parsed) => parsed,
        Err(problem) => {
            reader.take(vec![problem]);
            return None;
        }
    };
    reader.take(parsed.problems);
    let section = reader.as_section(&parsed.root, "")?;
    let mut environment = whole(reader, section, folder);
    let place = &parsed.root.place;
    let conda_file = folder.join("conda_dependencies.yml");
    if conda_file.is_file() && environment.python.conda_dependencies.is_none() {
        environment.python.conda_dependencies =
            conda::file(reader, &conda_file, (place, "conda_dependencies.yml"));
    }
    let dockerfile = folder.join("BaseDockerfile");
    if dockerfile.is_file() && environment.docker.base_dockerfile.is_none() {
        match conda::read_text(&dockerfile) {
            Ok(text) => {
                // The scaffold repeats the default image beside a Dockerfile.
                environment.docker.base_image = None;
                environment.docker.base_dockerfile = Some(text);
            }
            Err(problem) => reader.take(vec![problem]),
        }
    }
    Some(environment)
}

fn whole(reader: &mut Reader, of: Section<'_>, base: &Path) -> Environment {
    reader.check_keys(of, &KNOWN, &[]);
    let name = reader.text(of, "name");
    check_name(reader, of, name.as_deref());
    for key in ["databricks", "r"] {
        if let Some(node) = of.get(key).filter(|node| !node.is_blank()) {
            reader.idle(&node.place, of.path_of(key));
        }
    }
    Environment {
        name,
        version: reader.text(of, "version"),
        asset_id: reader.text(of, "assetId"),
        environment_variables: reader.text_map(of, "environmentVariables"),
        inferencing_stack_version: stack_version(reader, of),
        python: python(reader, of, base),
        docker: docker(reader, of, base),
        spark: spark(reader, of),
        databricks: of.get("databricks").map(Node::to_json),
        r: of.get("r").map(Node::to_json),
    }
}

fn check_name(reader: &mut Reader, of: Section<'_>, name: Option<&str>) {
    let Some(name) = name else { return };
    let lower = name.to_ascii_lowercase();
    if RESERVED.iter().any(|prefix| lower.starts_with(prefix)) {
        reader.notice(
            of.node.place_of("name"),
            format!(
                "environment name `{}` begins with Microsoft or AzureML, which Azure keeps for its own",
                shortened(name)
            ),
            None,
        );
    }
}

fn stack_version(reader: &mut Reader, of: Section<'_>) -> Option<String> {
    const KEY: &str = "inferencingStackVersion";
    let text = reader.text(of, KEY)?;
    if text == "latest" {
        return Some(text);
    }
    let node = of.get(KEY)?;
    reader.refuse(
        node,
        &of.path_of(KEY),
        format!(
            "`{}` is unknown, the only value is `latest`",
            shortened(&text)
        ),
    )
}

fn python(reader: &mut Reader, of: Section<'_>, base: &Path) -> PythonSection {
    let path = of.path_of("python");
    let mut python = PythonSection::default();
    let Some(section) = reader.section(of, "python", &path) else {
        return python;
    };
    reader.check_keys(section, &PYTHON, &[]);
    python.user_managed_dependencies = reader
        .boolean(section, "userManagedDependencies")
        .unwrap_or(false);
    if let Some(interpreter) = reader.text(section, "interpreterPath") {
        python.interpreter_path = interpreter;
    }
    python.base_conda_environment = reader.text(section, "baseCondaEnvironment");
    python.conda_dependencies = conda_of(reader, section, base);
    if let (Some(spec), false) = (&python.conda_dependencies, python.user_managed_dependencies) {
        conda::check_defaults(reader, spec, &section.node.place);
    }
    python
}

/// The inline definition, else the file that the deprecated key names.
fn conda_of(reader: &mut Reader, python: Section<'_>, base: &Path) -> Option<CondaSpec> {
    const FILE: &str = "condaDependenciesFile";
    let inline_path = python.path_of("condaDependencies");
    let file_node = python.get(FILE);
    if let Some(section) = reader.section(python, "condaDependencies", &inline_path) {
        if let Some(node) = file_node {
            reader.notice(
                &node.place,
                format!(
                    "`{}` is ignored beside `condaDependencies`",
                    python.path_of(FILE)
                ),
                None,
            );
        }
        return Some(conda::spec(reader, section));
    }
    let name = reader.text(python, FILE)?;
    let place: &Place = &file_node?.place;
    conda::file(reader, &base.join(name), (place, &python.path_of(FILE)))
}

fn docker(reader: &mut Reader, of: Section<'_>, base: &Path) -> Docker {
    let path = of.path_of("docker");
    let Some(section) = reader.section(of, "docker", &path) else {
        return Docker::default();
    };
    reader.check_keys(section, &DOCKER, &[]);
    let docker = Docker {
        enabled: reader.boolean(section, "enabled").unwrap_or(false),
        base_image: filled(reader.text(section, "baseImage")),
        base_dockerfile: filled(reader.text(section, "baseDockerfile"))
            .map(|text| dockerfile_text(reader, section, base, text)),
        build_context: section.get("buildContext").map(Node::to_json),
        base_image_registry: registry(reader, section),
        platform: platform(reader, section),
        shared_volumes: reader.boolean(section, "sharedVolumes"),
        shm_size: reader.text(section, "shmSize"),
        arguments: reader.texts(section, "arguments"),
    };
    check_one_base(reader, section, &docker);
    name_deprecated(reader, section, &docker);
    docker
}

fn filled(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.trim().is_empty())
}

/// The key holds the text of a Dockerfile, or the path of one.
fn dockerfile_text(reader: &mut Reader, docker: Section<'_>, base: &Path, text: String) -> String {
    if text.contains('\n') {
        return text;
    }
    let path = base.join(&text);
    if !path.is_file() {
        return text;
    }
    match conda::read_text(&path) {
        Ok(content) => content,
        Err(problem) => {
            let place = docker.node.place_of("baseDockerfile");
            reader.problem(place, problem.to_string(), None);
            text
        }
    }
}

fn check_one_base(reader: &mut Reader, section: Section<'_>, docker: &Docker) {
    let given = [
        ("baseImage", docker.base_image.is_some()),
        ("baseDockerfile", docker.base_dockerfile.is_some()),
        ("buildContext", docker.build_context.is_some()),
    ];
    let names: Vec<_> = given
        .iter()
        .filter(|(_, is_given)| *is_given)
        .map(|(key, _)| format!("`{key}`"))
        .collect();
    if names.len() > 1 {
        reader.problem(
            &section.node.place,
            format!(
                "`{}`: {} are given, at most one of them can be",
                section.path(),
                names.join(" and ")
            ),
            None,
        );
    }
}

/// What a scaffold writes anyway is passed over in silence.
fn name_deprecated(reader: &mut Reader, section: Section<'_>, docker: &Docker) {
    let idle = [
        ("sharedVolumes", docker.shared_volumes == Some(false)),
        (
            "shmSize",
            docker.shm_size.as_deref().is_some_and(|size| size != "2g"),
        ),
        ("arguments", !docker.arguments.is_empty()),
    ];
    for (key, is_set) in idle {
        if is_set {
            reader.idle(section.node.place_of(key), section.path_of(key));
        }
    }
}

fn registry(reader: &mut Reader, docker: Section<'_>) -> Option<RegistryCredentials> {
    let path = docker.path_of("baseImageRegistry");
    credentials(reader, docker, "baseImageRegistry", &path)
}

/// A registry as a host name or as an object with all three fields or none.
pub(crate) fn credentials(
    reader: &mut Reader,
    of: Section<'_>,
    key: &str,
    path: &str,
) -> Option<RegistryCredentials> {
    let node = of.get(key)?;
    if let Value::Text { text, .. } = &node.value {
        return Some(RegistryCredentials {
            address: filled(Some(text.clone())),
            ..RegistryCredentials::default()
        });
    }
    let section = reader.as_section(node, path)?;
    reader.check_keys(section, &REGISTRY, &[]);
    let fields = REGISTRY.map(|name| filled(reader.text(section, name)));
    let given = fields.iter().flatten().count();
    if given == 0 {
        return None;
    }
    if given < fields.len() {
        reader.problem(
            &node.place,
            format!(
                "`{path}`: address, username and password must be given together or not at all"
            ),
            None,
        );
    }
    let [address, username, password] = fields;
    Some(RegistryCredentials {
        address,
        username,
        password: password.map(Secret::new),
    })
}

fn platform(reader: &mut Reader, docker: Section<'_>) -> Option<DockerPlatform> {
    let path = docker.path_of("platform");
    let section = reader.section(docker, "platform", &path)?;
    reader.check_keys(section, &["os", "architecture"], &[]);
    let mut text = |key, default: &str| {
        reader
            .text(section, key)
            .unwrap_or_else(|| default.to_owned())
    };
    Some(DockerPlatform {
        os: text("os", "Linux"),
        architecture: text("architecture", "amd64"),
    })
}

fn spark(reader: &mut Reader, of: Section<'_>) -> SparkSection {
    let path = of.path_of("spark");
    let Some(section) = reader.section(of, "spark", &path) else {
        return SparkSection::default();
    };
    reader.check_keys(section, &SPARK, &[]);
    let packages_path = section.path_of("packages");
    SparkSection {
        repositories: reader.texts(section, "repositories"),
        packages: reader
            .items(section, "packages")
            .iter()
            .enumerate()
            .filter_map(|(index, item)| {
                spark_package(reader, item, &format!("{packages_path}[{index}]"))
            })
            .collect(),
        precache_packages: reader.boolean(section, "precachePackages"),
    }
}

fn spark_package(reader: &mut Reader, item: &Node, path: &str) -> Option<SparkPackage> {
    let section = reader.as_section(item, path)?;
    let mut field = |key: &str| {
        let text = reader.text(section, key);
        if text.is_none() && !reader.has_failed(&section.path_of(key)) {
            reader.problem(&item.place, format!("`{path}`: `{key}` is missing"), None);
        }
        text
    };
    let (group, artifact, version) = (field("group"), field("artifact"), field("version"));
    Some(SparkPackage {
        group: group?,
        artifact: artifact?,
        version: version?,
    })
}

//! The environment variables of a worker.
//!
//! Made from nothing: what the node itself was given (its token, the
//! credentials of registries and stores) is none of a script's business.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    path::Path,
};

use lusk_contract::Revision;

/// The variable that marks all processes of one worker.
pub(super) const MARK: &str = "LUSK_REPLICA";

/// Variables of the node that a script needs to find its machine.
const KEPT: [&str; 6] = [
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "LD_LIBRARY_PATH",
    "PATH",
    "TZ",
];

/// Beginnings of the names of further ones, about accelerators.
const KEPT_PREFIXES: [&str; 2] = ["CUDA_", "NVIDIA_"];

/// How many threads numeric libraries start.
const THREADS: [&str; 3] = ["MKL_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"];

/// Where things are for one worker.
pub(super) struct Places<'a> {
    /// Its view of the app root.
    pub(super) app_root: &'a Path,
    /// Its home.
    pub(super) home: &'a Path,
    /// Its temporary folder.
    pub(super) tmp: &'a Path,
}

/// The variables of one worker, of which the node has `node`. `threads` is how
/// many its numeric libraries start.
pub(super) fn of_worker(
    revision: &Revision,
    places: &Places<'_>,
    mark: &str,
    threads: Option<usize>,
    node: impl Iterator<Item = (OsString, OsString)>,
) -> BTreeMap<OsString, OsString> {
    let mut all = BTreeMap::new();
    let mut set = |name: &str, value: &OsStr| all.insert(name.into(), value.to_owned());
    set("LANG", OsStr::new("C.UTF-8"));
    set("PATH", OsStr::new("/usr/local/bin:/usr/bin:/bin"));
    if let Some(threads) = threads {
        for name in THREADS {
            set(name, OsStr::new(&threads.to_string()));
        }
    }
    let managed_by_user = is_managed_by_user(revision);
    for (name, value) in node {
        let Some(text) = name.to_str() else { continue };
        if KEPT.contains(&text) || KEPT_PREFIXES.iter().any(|each| text.starts_with(each)) {
            set(text, &value);
        } else if text == "HOME" && managed_by_user {
            // Such an interpreter is used as it is, packages of its user included.
            set("PYTHONUSERBASE", Path::new(&value).join(".local").as_ref());
        }
    }
    set("HOME", places.home.as_ref());
    set("TMPDIR", places.tmp.as_ref());
    set("PYTHONUNBUFFERED", OsStr::new("1"));
    set("PYTHONDONTWRITEBYTECODE", OsStr::new("1"));
    for (name, value) in &revision.variables {
        if !name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0') {
            set(name, value.as_ref());
        }
    }
    set("AML_APP_ROOT", places.app_root.as_ref());
    if let Some(models) = revision.variables.get("AZUREML_MODEL_DIR") {
        // Relative to the app root in the original. Absolute here, so that it
        // holds from whatever directory the script goes to.
        set(
            "AZUREML_MODEL_DIR",
            places.app_root.join(models).as_os_str(),
        );
    }
    set(MARK, OsStr::new(mark));
    all
}

/// Whether the interpreter brings its own packages.
pub(super) fn is_managed_by_user(revision: &Revision) -> bool {
    let packages = revision.image.as_ref().and_then(|it| it.packages.as_ref());
    packages.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Bench;
    use lusk_domain::RuntimeKind;

    fn variables(revision: &Revision, cores: Option<usize>) -> BTreeMap<String, String> {
        let places = Places {
            app_root: Path::new("/w/app"),
            home: Path::new("/w/home"),
            tmp: Path::new("/w/tmp"),
        };
        let node = [
            ("LUSK_ADMIN_TOKEN", "secret"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("HOME", "/users/ada"),
            ("PATH", "/opt/bin"),
            ("CUDA_VISIBLE_DEVICES", "1"),
            ("PYTHONPATH", "/elsewhere"),
            (MARK, "ours"),
        ];
        let node = node.map(|(name, value)| (name.into(), value.into()));
        let all = of_worker(revision, &places, "m-1", cores, node.into_iter());
        let text = |it: OsString| it.into_string().unwrap();
        all.into_iter()
            .map(|(name, value)| (text(name), text(value)))
            .collect()
    }

    #[tokio::test]
    async fn only_what_a_script_needs_is_there() {
        let mut revision = Bench::new().revision(RuntimeKind::Process, "score.py");
        for (name, value) in [
            ("AML_APP_ROOT", "/var/azureml-app"),
            ("AZUREML_MODEL_DIR", "azureml-models/m/1"),
            ("OMP_NUM_THREADS", "9"),
            (MARK, "theirs"),
            ("a=b", "c"),
            ("nul", "\0"),
        ] {
            revision.variables.insert(name.to_owned(), value.to_owned());
        }
        let expected = [
            ("AML_APP_ROOT", "/w/app"),
            ("AZUREML_MODEL_DIR", "/w/app/azureml-models/m/1"),
            ("CUDA_VISIBLE_DEVICES", "1"),
            ("HOME", "/w/home"),
            ("LANG", "C.UTF-8"),
            (MARK, "m-1"),
            ("MKL_NUM_THREADS", "2"),
            ("OMP_NUM_THREADS", "9"),
            ("OPENBLAS_NUM_THREADS", "2"),
            ("PATH", "/opt/bin"),
            ("PYTHONDONTWRITEBYTECODE", "1"),
            ("PYTHONUNBUFFERED", "1"),
            ("PYTHONUSERBASE", "/users/ada/.local"),
            ("TMPDIR", "/w/tmp"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(variables(&revision, Some(2)), expected.into());
    }
}

use std::{
    ffi::OsString, io::Write as _, os::unix::fs::PermissionsExt as _, sync::Mutex, time::Duration,
};

use lusk_domain::{CondaDependency, CondaSpec, DockerPlatform, SparkPackage};

use super::*;

/// Stands in for `uv`: resolves to the lines of `pins` beside it, "installs"
/// what it is told, refuses what is in `refused`, and notes its arguments.
const UV: &str = r#"#!/bin/sh
here=${0%/*}
echo "$*" >> "$here/calls"
for word; do
  case $last in
    --output-file) out=$word ;;
    --target) target=$word ;;
    -r) wanted=$word ;;
  esac
  case $word in wasm32*) pure=yes ;; pylock.toml) lock=yes ;; esac
  last=$word
done
echo "looking at https://user:secret@example.org/simple" >&2
if [ "$2" = compile ]; then
  if [ "$lock" ]; then
    while IFS= read -r line; do
      case $line in
        native*) printf '[[packages]]\nname = "%s"\nwheels = [{ url = "linux.whl" }]\n' "${line%%=*}" ;;
        *) printf '[[packages]]\nname = "x"\nwheels = [{ url = "x-none-any.whl" }]\n' ;;
      esac
    done < "$last" > "$out"
    exit 0
  fi
  /bin/cp "$here/pins" "$out"
  exit 0
fi
[ "$pure" ] || wanted=$here/pins
while IFS= read -r line; do
  name=${line%%==*}; version=${line##*==}
  case $name in -*) continue ;; esac
  if /bin/grep -qx "$name" "$here/refused" 2>/dev/null; then
    echo "error: No solution found: there is no version of $line" >&2; exit 1
  fi
  case $name in
    native*) [ "$pure" ] && { echo "error: $name has no usable wheels" >&2; exit 1; }
      echo > "$target/$name.so"; file=$name.so ;;
    *) echo > "$target/$name.py"; file=$name.py ;;
  esac
  info=$name-$version.dist-info
  /bin/mkdir "$target/$info"
  printf 'Name: %s\nVersion: %s\n' "$name" "$version" > "$target/$info/METADATA"
  echo uv > "$target/$info/INSTALLER"
  printf '%s,,\n%s/RECORD,,\n%s/INSTALLER,,\n%s/METADATA,,\n' "$file" "$info" "$info" "$info" > "$target/$info/RECORD"
done < "$wanted"
"#;

/// A machine that has what a test gives it.
struct Machine {
    programs: TempDir,
    tmp: TempDir,
    told: Told,
}

#[derive(Default)]
struct Told(Mutex<Vec<String>>);

impl Progress for Told {
    fn event(&self, _: Step, _: StepOutcome, text: &str) {
        self.0.lock().unwrap().push(text.to_owned());
    }
}

impl Machine {
    fn bare() -> Self {
        Self {
            programs: tempfile::tempdir().unwrap(),
            tmp: tempfile::tempdir().unwrap(),
            told: Told::default(),
        }
    }

    /// With a Python 3.11 and an `uv` that resolves to these versions.
    fn new(pins: &[&str]) -> Self {
        let machine = Self::bare();
        machine.program("uv", UV);
        machine.program("python3", "#!/bin/sh\necho 3.11.7; echo \"$0\"\n");
        machine.file("pins", &(pins.join("\n") + "\n"));
        machine
    }

    fn program(&self, name: &str, script: &str) {
        let path = self.file(name, script);
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.programs.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    fn calls(&self) -> String {
        fs::read_to_string(self.programs.path().join("calls")).unwrap_or_default()
    }

    fn tools(&self) -> Tools {
        let path: (OsString, OsString) = ("PATH".into(), self.programs.path().into());
        Tools::new([path], Duration::from_mins(10))
    }

    fn build(&self, wish: &ImageWish) -> Result<Built, ImageError> {
        let builder = Builder {
            tools: self.tools(),
            wish,
            tmp: self.tmp.path(),
            progress: &self.told,
        };
        builder.build()
    }

    fn tags(&self, wish: &ImageWish) -> Vec<String> {
        let variants = variants_with(&self.tools(), wish).unwrap();
        variants.into_iter().map(|variant| variant.tag).collect()
    }
}

fn wish(conda: &[&str], pip: &[&str]) -> ImageWish {
    let owned = |lines: &[&str]| lines.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
    let packages = owned(conda).into_iter().map(CondaDependency::Package);
    let pip = CondaDependency::Pip { pip: owned(pip) };
    let mut environment = Environment::default();
    environment.python.conda_dependencies = Some(CondaSpec {
        name: None,
        channels: Vec::new(),
        dependencies: packages.chain([pip]).collect(),
    });
    ImageWish {
        environment,
        runtime: None,
        rebuild: false,
    }
}

fn process_tag() -> String {
    format!("python3.11-linux-{}", std::env::consts::ARCH)
}

#[test]
fn what_lusk_carries_needs_no_tool() {
    let machine = Machine::bare();
    let wish = wish(
        &["python=3.14", "numpy"],
        &["azureml-defaults", "onnxruntime==1.20"],
    );
    let built = machine.build(&wish).unwrap();
    assert_eq!(built.variant, Variant::sandbox());
    assert!(built.distributions.is_empty() && built.lock.is_empty());
    let remark = "carried by lusk: azureml-defaults, numpy (a subset), onnxruntime";
    assert_eq!(built.remarks, [remark]);
    assert_eq!(machine.tags(&wish), ["python3.14-wasm"]);
}

#[test]
fn pure_packages_are_frozen_for_the_sandbox() {
    let machine = Machine::new(&["attrs==23.1", "numpy==2.0", "six==1.17.0"]);
    let index = "--extra-index-url https://user:secret@example.org/simple";
    let wish = wish(&["six"], &[index, "attrs==23.1", "azureml-core"]);
    let built = machine.build(&wish).unwrap();
    assert_eq!(built.variant.tag, "python3.14-wasm");
    assert_eq!(built.lock, "attrs==23.1\nsix==1.17.0\n");
    let files: Vec<_> = built.distributions[1]
        .files
        .iter()
        .map(|it| it.to_str().unwrap())
        .collect();
    assert_eq!(
        files,
        [
            "six-1.17.0.dist-info/METADATA",
            "six-1.17.0.dist-info/RECORD",
            "six.py"
        ]
    );
    let versions: Vec<_> = built
        .packages
        .iter()
        .map(|it| (it.name.as_str(), it.version.as_deref(), it.carried))
        .collect();
    assert_eq!(
        versions,
        [
            ("six", Some("1.17.0"), false),
            ("attrs", Some("23.1"), false),
            ("azureml-core", None, true),
        ]
    );
    let calls = machine.calls();
    let calls: Vec<_> = calls.lines().collect();
    assert_eq!(calls.len(), 2, "{calls:?}");
    for call in &calls {
        assert!(
            call.contains("--python-version 3.14 --only-binary :all:"),
            "{call}"
        );
        assert!(
            !call.contains("secret") && !call.contains("--refresh"),
            "{call}"
        );
    }
    assert!(
        calls[1].contains("--python-platform wasm32-pyodide2024"),
        "{calls:?}"
    );
    let told = machine.told.0.lock().unwrap().join("\n");
    assert!(
        told.contains("uv looks for pure-Python wheels of 2 requirements"),
        "{told}"
    );
    assert!(
        told.contains("uv: looking at https://***@example.org/simple"),
        "{told}"
    );
    assert!(!told.contains("secret"), "{told}");
}

#[test]
fn two_builds_are_the_same_and_a_rebuild_asks_anew() {
    let machine = Machine::new(&["six==1.17.0"]);
    let mut wish = wish(&["six"], &[]);
    let first = machine.build(&wish).unwrap();
    wish.rebuild = true;
    let second = machine.build(&wish).unwrap();
    assert_eq!(first.distributions, second.distributions);
    for file in &first.distributions[0].files {
        let read = |built: &Built| fs::read(built.site.join(file)).unwrap();
        assert_eq!(read(&first), read(&second), "{}", file.display());
    }
    assert_eq!(machine.calls().matches("--refresh").count(), 2);
    drop((first, second));
    assert_eq!(fs::read_dir(machine.tmp.path()).unwrap().count(), 0);
}

#[test]
fn native_code_makes_it_a_process() {
    let machine = Machine::new(&["native-a==1.0", "six==1.17.0"]);
    let wish = wish(&["python=3.8", "native-a"], &["azureml-defaults"]);
    let built = machine.build(&wish).unwrap();
    assert_eq!(built.variant.tag, process_tag());
    assert_eq!(built.variant.runtime, RuntimeKind::Process);
    assert_eq!(built.native().collect::<Vec<_>>(), ["native-a"]);
    assert_eq!(built.lock, "native-a==1.0\nsix==1.17.0\n");
    assert_eq!(
        built.remarks,
        [
            "carried by lusk: azureml-defaults",
            "Python ==3.8.* is asked for and not on this machine; Python 3.11.7 is taken",
        ]
    );
    let python = machine.programs.path().join("python3");
    let last = format!("--python {} -r", python.display());
    assert!(machine.calls().lines().last().unwrap().contains(&last));
    assert_eq!(
        machine.tags(&wish),
        ["python3.14-wasm".to_owned(), process_tag()]
    );
    let found = interpreter_with(&machine.tools(), &built.variant, &wish.environment).unwrap();
    assert_eq!(found, Some(python));
}

#[test]
fn a_process_without_native_code_says_why_it_is_one() {
    let machine = Machine::new(&["native-a==1.0"]);
    let real = UV.replace(
        "native*) [ \"$pure\" ] &&",
        "native*) file=x; [ \"$pure\" ] &&",
    );
    let real = real.replace("> \"$target/$name.so\"; file=$name.so", "> \"$target/x\"");
    machine.program("uv", &real);
    let built = machine.build(&wish(&["native-a"], &[])).unwrap();
    assert!(built.native().next().is_none());
    assert_eq!(
        built.remarks,
        [
            "the sandbox cannot have these packages (no pure-Python wheel: native-a); \
          a Python process runs the script"
        ]
    );
}

#[test]
fn the_sandbox_by_name_refuses_native_code_by_name() {
    let machine = Machine::new(&["native-a==1.0", "native-b==2.0", "six==1.0"]);
    let mut wish = wish(&["native-a"], &[]);
    wish.runtime = Some(RuntimeKind::Python);
    let ImageError::Build { message, log } = machine.build(&wish).unwrap_err() else {
        panic!("another error");
    };
    assert_eq!(
        message,
        "runtime `python` is asked for, and the sandbox cannot have the packages: no pure-Python \
         wheel: native-a, native-b; runtime `process`, or no runtime at all, runs them with a \
         Python of this machine"
    );
    assert!(log.contains("native-a has no usable wheels"), "{log}");
    assert_eq!(machine.tags(&wish), ["python3.14-wasm"]);
}

#[test]
fn a_process_by_name_is_not_tried_in_the_sandbox() {
    let machine = Machine::new(&["numpy==2.0"]);
    let mut wish = wish(&[], &["numpy", "azureml-defaults"]);
    wish.runtime = Some(RuntimeKind::Process);
    let built = machine.build(&wish).unwrap();
    assert_eq!(built.variant.tag, process_tag());
    assert_eq!(built.lock, "numpy==2.0\n");
    assert_eq!(machine.calls().lines().count(), 1);
    assert_eq!(machine.tags(&wish), [process_tag()]);
}

#[test]
fn an_impossible_pin_is_told_with_the_tools_words_and_the_line() {
    let machine = Machine::new(&["six==99"]);
    machine.file("refused", "six\n");
    let ImageError::Build { message, log } = machine.build(&wish(&["six=99"], &[])).unwrap_err()
    else {
        panic!("another error");
    };
    assert_eq!(
        message,
        "uv cannot install for Python 3.11.7: No solution found: there is no version of six==99; \
         asked for by `six=99`"
    );
    assert!(log.ends_with("there is no version of six==99"), "{log}");
}

#[test]
fn a_full_disk_is_told_apart() {
    let machine = Machine::new(&[]);
    let words = "#!/bin/sh\necho 'error: No space left on device (os error 28)' >&2; exit 2\n";
    machine.program("uv", words);
    let full = machine.build(&wish(&["six"], &[])).unwrap_err();
    assert!(matches!(full, ImageError::DiskFull), "{full}");
    assert_eq!(fs::read_dir(machine.tmp.path()).unwrap().count(), 0);
}

#[test]
fn without_a_tool_the_way_out_is_told() {
    let machine = Machine::bare();
    let error = machine.build(&wish(&["six"], &[])).unwrap_err().to_string();
    assert!(
        error.contains("`uv` is not on PATH and no `python3` with `pip` is there"),
        "{error}"
    );
    machine.program(
        "python3",
        "#!/bin/sh\n[ $2 = -m ] && exit 1\necho 3.11.7; echo \"$0\"\n",
    );
    let error = machine.build(&wish(&["six"], &[])).unwrap_err().to_string();
    assert!(
        error.contains("python3` has no `pip`; install `uv`"),
        "{error}"
    );
}

#[test]
fn without_a_python_there_is_no_process() {
    let machine = Machine::new(&["native-a==1.0"]);
    fs::remove_file(machine.programs.path().join("python3")).unwrap();
    let mut wish = wish(&["native-a"], &[]);
    let error = machine.build(&wish).unwrap_err().to_string();
    assert!(error.contains("no pure-Python wheel: native-a"), "{error}");
    assert!(
        error.contains("install `python3` on the machine"),
        "{error}"
    );
    wish.runtime = Some(RuntimeKind::Process);
    let error = variants_with(&machine.tools(), &wish)
        .unwrap_err()
        .to_string();
    assert!(error.contains("runtime `process` is asked for and a process needs a Python"));
    let variant = Variant {
        tag: process_tag(),
        runtime: RuntimeKind::Process,
        python: Some("3.11".to_owned()),
    };
    let error = interpreter_with(&machine.tools(), &variant, &wish.environment).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("made for Python 3.11, which this machine does not have")
    );
}

#[test]
fn a_user_managed_environment_brings_its_python() {
    let machine = Machine::bare();
    let mut wish = wish(&["native-a"], &["-r x.txt"]);
    wish.environment.python.user_managed_dependencies = true;
    wish.environment.python.interpreter_path = "/opt/python".to_owned();
    let built = machine.build(&wish).unwrap();
    assert_eq!(built.variant, Variant::user_managed());
    assert!(built.packages.is_empty() && built.remarks.is_empty());
    assert_eq!(machine.tags(&wish), ["user-managed"]);
    let found = interpreter_with(&machine.tools(), &built.variant, &wish.environment).unwrap();
    assert_eq!(found, Some(PathBuf::from("/opt/python")));
    wish.runtime = Some(RuntimeKind::Python);
    let built = machine.build(&wish).unwrap();
    assert_eq!(built.variant, Variant::sandbox());
    assert!(built.remarks[0].contains("the sandbox runs the script, not `/opt/python`"));
}

#[test]
fn what_has_no_effect_is_told_and_another_system_is_refused() {
    let machine = Machine::bare();
    let mut wish = wish(&[], &[]);
    wish.environment.docker.base_dockerfile = Some("FROM scratch".to_owned());
    wish.environment.spark.packages.push(SparkPackage {
        group: "g".to_owned(),
        artifact: "a".to_owned(),
        version: "1".to_owned(),
    });
    let built = machine.build(&wish).unwrap();
    assert_eq!(
        built.remarks,
        [
            "Docker steps are not run: an image holds Python packages, the machine the rest",
            "Spark packages are not installed",
        ]
    );
    wish.environment.docker.platform = Some(DockerPlatform {
        os: "Windows".to_owned(),
        architecture: "amd64".to_owned(),
    });
    assert_eq!(
        machine.build(&wish).unwrap_err().to_string(),
        "environment cannot be built here: docker.platform.os is `Windows`, images are made for \
         Linux only"
    );
}

/// The real tools of the virtual environment that the test run has made; a
/// note instead when there is none.
fn real_tools(name: &str) -> Option<Tools> {
    let Some(venv) = std::env::var_os("LUSK_TEST_VENV").map(PathBuf::from) else {
        note_skip(name, "no LUSK_TEST_VENV with `uv`");
        return None;
    };
    let uv = venv.join("bin/uv");
    if !uv.is_file() {
        note_skip(name, "no `uv` in LUSK_TEST_VENV");
        return None;
    }
    let path = std::env::join_paths([venv.join("bin"), "/usr/bin".into(), "/bin".into()]).unwrap();
    let mut variables: Vec<_> = std::env::vars_os()
        .filter(|(name, _)| name != "PATH")
        .collect();
    variables.push(("PATH".into(), path));
    Some(Tools::new(variables, Duration::from_mins(10)))
}

fn note_skip(name: &str, why: &str) {
    let line = format!("images/{name}: {why}\n");
    print!("{line}");
    if let Some(path) = std::env::var_os("LUSK_TEST_SKIPS") {
        let mut skips = fs::OpenOptions::new().append(true).open(path).unwrap();
        skips.write_all(line.as_bytes()).unwrap();
    }
}

fn build_with(tools: &Tools, wish: &ImageWish, tmp: &Path) -> Result<Built, ImageError> {
    let told = Told::default();
    let builder = Builder {
        tools: tools.clone(),
        wish,
        tmp,
        progress: &told,
    };
    builder.build()
}

fn pinned(built: &Built) -> Vec<&str> {
    built
        .lock
        .lines()
        .filter_map(|pin| pin.split("==").next())
        .collect()
}

#[test]
fn real_pure_packages_are_the_same_in_two_builds() {
    let Some(tools) = real_tools("real_pure_packages_are_the_same_in_two_builds") else {
        return;
    };
    let tmp = tempfile::tempdir().unwrap();
    let wish = wish(
        &["python=3.14"],
        &["python-dateutil==2.9.0", "charset-normalizer", "numpy"],
    );
    let first = build_with(&tools, &wish, tmp.path()).unwrap();
    assert_eq!(first.variant, Variant::sandbox());
    assert_eq!(
        pinned(&first),
        ["charset-normalizer", "python-dateutil", "six"]
    );
    assert!(
        first
            .distributions
            .iter()
            .all(|it| !it.native && !it.files.is_empty())
    );
    let second = build_with(&tools, &wish, tmp.path()).unwrap();
    assert_eq!(first.distributions, second.distributions);
    for file in first.distributions.iter().flat_map(|it| &it.files) {
        let read = |built: &Built| fs::read(built.site.join(file)).unwrap();
        assert_eq!(read(&first), read(&second), "{}", file.display());
    }
}

#[test]
fn a_real_package_with_native_code_is_named() {
    let Some(tools) = real_tools("a_real_package_with_native_code_is_named") else {
        return;
    };
    let tmp = tempfile::tempdir().unwrap();
    let mut wish = wish(&[], &["markupsafe", "pyyaml", "six"]);
    let built = build_with(&tools, &wish, tmp.path()).unwrap();
    assert_eq!(built.variant.runtime, RuntimeKind::Process);
    assert_eq!(built.native().collect::<Vec<_>>(), ["markupsafe", "pyyaml"]);
    wish.runtime = Some(RuntimeKind::Python);
    let error = build_with(&tools, &wish, tmp.path())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("no pure-Python wheel: markupsafe, pyyaml;"),
        "{error}"
    );
}

#[test]
fn a_real_impossible_pin_names_its_line() {
    let Some(tools) = real_tools("a_real_impossible_pin_names_its_line") else {
        return;
    };
    let tmp = tempfile::tempdir().unwrap();
    let error = build_with(&tools, &wish(&["six=99.9"], &["idna"]), tmp.path()).unwrap_err();
    let error = error.to_string();
    assert!(error.contains("asked for by `six=99.9`"), "{error}");
    assert!(!error.contains("`idna`"), "{error}");
}

#[test]
fn pip_does_what_uv_does() {
    let name = "pip_does_what_uv_does";
    let Some(tools) = real_tools(name) else {
        return;
    };
    let Some(python) = tools
        .default_python()
        .filter(|python| tools.has_pip(python))
    else {
        note_skip(name, "no `pip` in LUSK_TEST_VENV");
        return;
    };
    // This Python and nothing else on PATH.
    let machine = Machine::bare();
    let program = python.program.display();
    machine.program("python3", &format!("#!/bin/sh\nexec {program} \"$@\"\n"));
    let mut variables: Vec<_> = std::env::vars_os()
        .filter(|(name, _)| name != "PATH")
        .collect();
    variables.push(("PATH".into(), machine.programs.path().into()));
    let tools = Tools::new(variables, Duration::from_mins(10));
    let tmp = tempfile::tempdir().unwrap();

    let pure = wish(
        &[],
        &["python-dateutil==2.9.0", "charset-normalizer", "numpy"],
    );
    let built = build_with(&tools, &pure, tmp.path()).unwrap();
    assert_eq!(built.variant, Variant::sandbox());
    assert_eq!(
        pinned(&built),
        ["charset-normalizer", "python-dateutil", "six"]
    );

    let mut native = wish(&[], &["markupsafe", "six"]);
    let built = build_with(&tools, &native, tmp.path()).unwrap();
    assert_eq!(built.variant.runtime, RuntimeKind::Process);
    assert_eq!(built.native().collect::<Vec<_>>(), ["markupsafe"]);
    native.runtime = Some(RuntimeKind::Python);
    let error = build_with(&tools, &native, tmp.path())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("no pure-Python wheel: markupsafe;"),
        "{error}"
    );

    let error = build_with(&tools, &wish(&["six=99.9"], &["idna"]), tmp.path()).unwrap_err();
    assert!(
        error.to_string().contains("asked for by `six=99.9`"),
        "{error}"
    );
}

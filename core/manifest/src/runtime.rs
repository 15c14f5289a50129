//! `runtime`: which runtime the script is asked to run in. The key is older than
//! the runtimes: beside legacy keys `python` says no more than Python.

use lusk_domain::RuntimeKind;

use crate::{
    legacy::{given, one_of},
    node::Value,
    reader::{Reader, Section},
};

/// What the key may say; the last two are the original's alone.
const WORDS: [&str; 6] = [
    "python",
    "process",
    "javascript",
    "wasm",
    "spark-py",
    "python-slim",
];

/// What the key says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Runtime {
    /// Nothing, or nothing that can be understood.
    Open,
    /// That the script is Python, in the words of the original.
    Legacy,
    /// This one and no other.
    Asked(RuntimeKind),
}

impl Runtime {
    /// The runtime asked for by name.
    pub(crate) fn asked(self) -> Option<RuntimeKind> {
        match self {
            Self::Asked(kind) => Some(kind),
            Self::Open | Self::Legacy => None,
        }
    }
}

/// Reads the key without a word. `is_described`: the environment is given
/// otherwise than by legacy keys.
pub(crate) fn asked(top: Section<'_>, is_described: bool) -> Runtime {
    let Some(Value::Text { text, .. }) = given(top, "runtime").map(|node| &node.value) else {
        return Runtime::Open;
    };
    match text.to_ascii_lowercase().as_str() {
        "process" => Runtime::Asked(RuntimeKind::Process),
        "javascript" => Runtime::Asked(RuntimeKind::Javascript),
        "wasm" => Runtime::Asked(RuntimeKind::Wasm),
        "python" if is_described => Runtime::Asked(RuntimeKind::Python),
        "python" | "spark-py" | "python-slim" => Runtime::Legacy,
        _ => Runtime::Open,
    }
}

/// Complains about what the key says.
pub(crate) fn check(reader: &mut Reader, top: Section<'_>, runtime: Runtime) {
    let word = one_of(reader, top, "runtime", &WORDS);
    match (word, runtime) {
        (Some("spark-py"), _) => no_spark(reader, top),
        (Some(_), Runtime::Asked(kind)) => check_script(reader, top, kind),
        _ => {}
    }
}

/// Whether the key holds a word that only the original knows.
pub(crate) fn is_legacy_word(top: Section<'_>) -> bool {
    let word = given(top, "runtime").map(|node| &node.value);
    matches!(word, Some(Value::Text { text, .. })
        if WORDS[4..].iter().any(|word| word.eq_ignore_ascii_case(text)))
}

fn no_spark(reader: &mut Reader, top: Section<'_>) {
    if let Some(node) = top.get("runtime") {
        reader.problem(
            &node.place,
            "`runtime`: there is no Spark here, so `spark-py` scripts cannot run",
            Some("use `python` if the script does not need Spark".to_owned()),
        );
    }
}

/// Complains about a script of another kind.
fn check_script(reader: &mut Reader, top: Section<'_>, kind: RuntimeKind) {
    let endings: &[&str] = match kind {
        RuntimeKind::Python | RuntimeKind::Process => &["py"],
        RuntimeKind::Javascript => &["js", "mjs"],
        RuntimeKind::Wasm => &["wasm", "wat"],
        RuntimeKind::None | RuntimeKind::Remote => &[],
    };
    let (Some(script), Some(node)) = (top.get("entryScript"), top.get("runtime")) else {
        return;
    };
    let Value::Text { text, .. } = &script.value else {
        return;
    };
    let ending = text.rsplit_once('.').map_or("", |(_, ending)| ending);
    if !endings.contains(&ending) {
        reader.problem(
            &node.place,
            format!(
                "`runtime`: `{}` runs scripts that end in .{}, not `{}`",
                kind.as_str(),
                endings.join(" or ."),
                crate::node::shortened(text)
            ),
            Some("leave `runtime` out: the script tells it".to_owned()),
        );
    }
}

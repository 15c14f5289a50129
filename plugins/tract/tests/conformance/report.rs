//! The verdicts in numbers and in words.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use lusk_contract::BackendError;
use tract_onnx::pb::ModelProto;

use crate::{
    case::Case,
    verdict::{Verdict, model, types_not_carried},
};

/// The newest version of `ai.onnx` that the older half of cases is for.
const OLDER: i64 = 18;

type Verdicts = BTreeMap<Case, Verdict>;

/// The names of the cases with a verdict that belongs.
pub(crate) fn names(verdicts: &Verdicts, belongs: impl Fn(&Verdict) -> bool) -> BTreeSet<String> {
    verdicts
        .iter()
        .filter(|(_, verdict)| belongs(verdict))
        .map(|(case, _)| case.name.clone())
        .collect()
}

/// One line per case, with the version of `ai.onnx`.
pub(crate) fn details(verdicts: &Verdicts) -> String {
    let mut text = String::new();
    for (case, verdict) in verdicts {
        let version = version(&model(case));
        writeln!(text, "{}\t{version}\t{verdict}", case.name).unwrap();
    }
    text
}

/// How many pass, and of the others how many for which reason.
pub(crate) fn summary(verdicts: &Verdicts) -> String {
    let mut groups: BTreeMap<&str, Group> = BTreeMap::new();
    for (case, verdict) in verdicts {
        let proto = model(case);
        let graph = proto.graph.as_ref();
        let carried = graph.is_none_or(|graph| types_not_carried(graph).is_empty());
        let is_ml = |node: &tract_onnx::pb::NodeProto| node.domain == "ai.onnx.ml";
        let older = version(&proto) <= OLDER;
        let mut count = |group| groups.entry(group).or_default().add(verdict, older);
        count("all");
        if carried {
            count("with types that cross the border");
        }
        if graph.is_some_and(|graph| graph.node.iter().any(is_ml)) {
            count("ai.onnx.ml");
        }
    }
    let mut text = String::new();
    for (name, group) in groups {
        writeln!(text, "{name}: {group}").unwrap();
    }
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
    for verdict in verdicts.values() {
        for reason in reasons_of(verdict) {
            *reasons.entry(reason).or_default() += 1;
        }
    }
    for (reason, count) in reasons {
        writeln!(text, "{count:5}  {reason}").unwrap();
    }
    text
}

#[derive(Default)]
struct Group {
    passed: usize,
    all: usize,
    older_passed: usize,
    older: usize,
}

impl Group {
    fn add(&mut self, verdict: &Verdict, older: bool) {
        let passed = usize::from(verdict.passes());
        self.all += 1;
        self.passed += passed;
        if older {
            self.older += 1;
            self.older_passed += passed;
        }
    }
}

impl std::fmt::Display for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} of {} pass, {} of {} up to version {OLDER}",
            self.passed, self.all, self.older_passed, self.older
        )
    }
}

fn reasons_of(verdict: &Verdict) -> Vec<String> {
    match verdict {
        Verdict::Passed => vec![],
        Verdict::Refused(BackendError::MissingOperators { operators, .. }) => operators
            .iter()
            .map(|operator| format!("refused: no operator {operator}"))
            .collect(),
        Verdict::Refused(BackendError::UnsupportedType { kind, .. }) => {
            vec![format!("refused: type {kind}")]
        }
        Verdict::Refused(BackendError::Malformed { .. }) => vec!["refused: malformed".into()],
        Verdict::Refused(_) => vec!["refused: cannot be prepared".into()],
        Verdict::RefusedLate(_) => vec!["refused for the values of a call".into()],
        Verdict::NotCarried(_) => vec!["loaded with a type not carried".into()],
        Verdict::Failed(_) => vec!["failed".into()],
        Verdict::Wrong(_) => vec!["wrong".into()],
        Verdict::Hung => vec!["hung".into()],
        Verdict::Panicked => vec!["panicked".into()],
    }
}

/// The version of `ai.onnx`; 0 if the model is about another domain alone.
fn version(proto: &ModelProto) -> i64 {
    let imports = proto.opset_import.iter();
    imports
        .filter(|import| matches!(import.domain.as_str(), "" | "ai.onnx"))
        .map(|import| import.version)
        .next()
        .unwrap_or_default()
}

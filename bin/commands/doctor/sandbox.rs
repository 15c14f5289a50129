//! The sandbox: whether its engine runs here, and what it must still compile.

use std::path::Path;

use lusk_replica::{CarriedRunner, carried_runners};

use super::finding::Finding;

pub(super) fn check(data: &Path) -> Finding {
    match carried_runners(&data.join("aot")) {
        Ok(runners) => judged(&runners),
        Err(error) => Finding::failed(
            error.to_string(),
            "scripts cannot run on this machine; use another one",
        ),
    }
}

fn judged(runners: &[CarriedRunner]) -> Finding {
    let states: Vec<_> = runners.iter().map(state).collect();
    let text = states.join("; ");
    if runners.iter().all(|runner| runner.is_carried) {
        return Finding::ok(text);
    }
    Finding::warning(text, "use a build of lusk with all its features")
}

fn state(runner: &CarriedRunner) -> String {
    let state = match (runner.is_carried, runner.is_compiled) {
        (false, _) => "is not in this build",
        (true, true) => "is compiled",
        (true, false) => "will be compiled once",
    };
    format!("{} {state}", runner.name)
}

#[cfg(test)]
mod tests {
    use super::{super::finding::State, *};

    #[test]
    fn a_runner_is_compiled_or_will_be() {
        let runner = |name, is_carried, is_compiled| CarriedRunner {
            name,
            is_carried,
            is_compiled,
        };
        let both = [runner("a", true, true), runner("b", true, false)];
        assert_eq!(
            judged(&both),
            Finding::ok("a is compiled; b will be compiled once")
        );
        assert_eq!(judged(&[runner("a", false, false)]).state, State::Warning);
    }
}

//! What builds environments and runs native Python. The sandbox needs none of it.

use std::time::Duration;

use lusk_images::{Inventory, inventory};

use super::finding::Finding;

/// Time of this check that is left for the last tool to answer.
const RESERVE: Duration = Duration::from_secs(2);

pub(super) fn check(limit: Duration) -> Finding {
    judged(&inventory(limit.saturating_sub(RESERVE)))
}

fn judged(found: &Inventory) -> Finding {
    if let Some(problem) = &found.uv_problem {
        return Finding::failed(problem, "give the path of `uv` in LUSK_UV, or unset it");
    }
    let pythons: Vec<_> = found.pythons.keys().map(ToString::to_string).collect();
    let pythons = match pythons.as_slice() {
        [] => "no Python".to_owned(),
        some => format!("Python {}", some.join(", ")),
    };
    let installer = match (&found.uv, found.has_pip) {
        (Some(uv), _) => uv.display().to_string(),
        (None, true) => "pip".to_owned(),
        (None, false) => "neither uv nor pip".to_owned(),
    };
    let text = format!("{installer}; {pythons}");
    let can_install = found.uv.is_some() || found.has_pip;
    match (can_install, found.pythons.is_empty()) {
        (true, false) => Finding::ok(text),
        (false, false) => Finding::warning(
            format!("{text}: environments with packages cannot be built here"),
            "install uv, or pip for the default python3; or pull images from a registry",
        ),
        (true, true) => Finding::warning(
            format!("{text}: services of `runtime: process` cannot run here"),
            "install Python 3, for example with `uv python install 3.11`",
        ),
        (false, true) => Finding::warning(
            format!("{text}: only what runs in the sandbox can be deployed here"),
            "install Python 3 and uv for native packages",
        ),
    }
}

#[cfg(test)]
mod tests {
    use lusk_images::Minor;

    use super::{super::finding::State, *};

    #[test]
    fn what_is_missing_says_what_that_means() {
        let all = Inventory {
            uv: Some("/bin/uv".into()),
            pythons: [(Minor(9), "/bin/a".into()), (Minor(11), "/bin/b".into())].into(),
            ..Inventory::default()
        };
        let finding = judged(&all);
        assert_eq!(finding, Finding::ok("/bin/uv; Python 3.9, 3.11"));
        let bare = Inventory {
            uv: None,
            ..all.clone()
        };
        assert!(judged(&bare).text.contains("cannot be built"));
        let pip = Inventory {
            has_pip: true,
            ..bare
        };
        assert_eq!(judged(&pip).state, State::Ok);
        let none = judged(&Inventory::default());
        assert!(none.text.contains("only what runs in the sandbox"));
        let wrong = Inventory {
            uv_problem: Some("LUSK_UV is wrong".to_owned()),
            ..all
        };
        assert_eq!(judged(&wrong).state, State::Failed);
    }
}

//! What builds environments and runs native Python. The sandbox needs none of it.

use std::time::Duration;

use lusk_images::{Inventory, inventory};

use tokio::{task::JoinError, time::timeout};

use super::finding::Finding;

/// Time of this check that is left for the last tool to answer.
const RESERVE: Duration = Duration::from_secs(2);

/// Time that is left for saying that nothing answered.
const LAST: Duration = Duration::from_millis(500);

pub(super) async fn check(limit: Duration) -> Finding {
    let patience = limit.saturating_sub(RESERVE);
    let asked = tokio::task::spawn_blocking(move || inventory(patience));
    within(limit.saturating_sub(LAST), asked, patience).await
}

async fn within(
    longest: Duration,
    asked: impl Future<Output = Result<Inventory, JoinError>>,
    patience: Duration,
) -> Finding {
    match timeout(longest, asked).await {
        Ok(Ok(found)) => judged(&found, patience),
        Ok(Err(error)) => Finding::failed(
            format!("the check itself failed: {error}"),
            "report this as a bug of lusk",
        ),
        Err(_) => slow(longest),
    }
}

/// It may well be there.
fn slow(waited: Duration) -> Finding {
    Finding::warning(
        format!(
            "Python did not answer within {} s: whether it can be used is not known",
            waited.as_secs_f64()
        ),
        "see how long `python3 --version` and `python3 -m pip --version` take, and what they wait for",
    )
}

fn judged(found: &Inventory, patience: Duration) -> Finding {
    if let Some(problem) = &found.uv_problem {
        return Finding::failed(problem, "give the path of `uv` in LUSK_UV, or unset it");
    }
    if found.is_cut_short && found.pythons.is_empty() {
        return slow(patience);
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

    fn told(found: &Inventory) -> Finding {
        judged(found, Duration::from_secs(3))
    }

    #[tokio::test]
    async fn a_python_that_does_not_answer_is_not_called_missing() {
        let cut_short = Inventory {
            is_cut_short: true,
            ..Inventory::default()
        };
        let hangs = std::future::pending();
        let finding = within(Duration::ZERO, hangs, Duration::ZERO).await;
        for finding in [told(&cut_short), finding] {
            assert_eq!(finding.state, State::Warning);
            assert!(finding.text.contains("did not answer within"));
            assert!(!finding.remedy.unwrap().contains("install"));
        }
    }

    #[test]
    fn what_is_missing_says_what_that_means() {
        let all = Inventory {
            uv: Some("/bin/uv".into()),
            pythons: [(Minor(9), "/bin/a".into()), (Minor(11), "/bin/b".into())].into(),
            ..Inventory::default()
        };
        let finding = told(&all);
        assert_eq!(finding, Finding::ok("/bin/uv; Python 3.9, 3.11"));
        let bare = Inventory {
            uv: None,
            ..all.clone()
        };
        assert!(told(&bare).text.contains("cannot be built"));
        let pip = Inventory {
            has_pip: true,
            ..bare
        };
        assert_eq!(told(&pip).state, State::Ok);
        let none = told(&Inventory::default());
        assert!(none.text.contains("only what runs in the sandbox"));
        let wrong = Inventory {
            uv_problem: Some("LUSK_UV is wrong".to_owned()),
            ..all
        };
        assert_eq!(told(&wrong).state, State::Failed);
    }
}

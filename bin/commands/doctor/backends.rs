//! The engines that models run on.

use std::sync::Arc;

use lusk_contract::Backend;

use super::finding::Finding;

pub(super) fn check(backends: &[Arc<dyn Backend>]) -> Finding {
    let usable: Vec<_> = backends
        .iter()
        .filter_map(|backend| {
            let devices: Vec<_> = backend
                .devices()
                .into_iter()
                .map(|device| format!("{} ({})", device.name, device.description))
                .collect();
            (!devices.is_empty()).then(|| format!("{} on {}", backend.name(), devices.join(", ")))
        })
        .collect();
    if usable.is_empty() {
        return Finding::failed(
            "no backend finds a device on this machine: models do not run",
            "use a build of lusk for this machine's processor",
        );
    }
    Finding::ok(usable.join("; "))
}

#[cfg(test)]
mod tests {
    use super::{super::finding::State, *};

    #[test]
    fn devices_are_named() {
        let found = check(&crate::wire::backends(None));
        assert_eq!(found.state, State::Ok);
        assert!(found.text.starts_with("tract on cpu"), "{}", found.text);
        assert_eq!(check(&[]).state, State::Failed);
    }
}

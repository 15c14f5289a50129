//! Maps of traffic as flags and files have them, in the words of the wire.

use std::collections::BTreeMap;

use lusk_domain::{Share, VersionName};
use lusk_manifest::{check_mirror, check_traffic};
use serde_json::{Map, Value, json};

use crate::{cli::Parts, commands::change::Patch, render::Trouble};

/// Shares by deployment.
pub(super) type Shares = BTreeMap<VersionName, Share>;

/// What a flag says, each deployment once and the sum right.
pub(super) fn from_flag(
    flag: &str,
    parts: &[Parts],
    check: fn(&Shares) -> Result<(), String>,
) -> Result<Option<Shares>, Trouble> {
    if parts.is_empty() {
        return Ok(None);
    }
    let mut shares = Shares::new();
    for part in parts.iter().flat_map(|parts| &parts.0) {
        if shares.insert(part.version.clone(), part.share).is_some() {
            let twice = format!("{flag} names deployment `{}` twice", part.version);
            return Err(Trouble::misuse(twice));
        }
    }
    check(&shares).map_err(|error| Trouble::misuse(format!("{flag}: {error}")))?;
    Ok(Some(shares))
}

/// `--traffic`.
pub(super) fn traffic(parts: &[Parts]) -> Result<Option<Shares>, Trouble> {
    from_flag("--traffic", parts, check_traffic)
}

/// `--mirror-traffic`.
pub(super) fn mirror(parts: Option<&Parts>) -> Result<Option<Shares>, Trouble> {
    let parts: Vec<_> = parts.cloned().into_iter().collect();
    from_flag("--mirror-traffic", &parts, check_mirror)
}

/// Puts a map of traffic into a patch. Who gets all of it becomes the default: v2 knows
/// none, and would let the others be deleted.
pub(super) fn put(patch: &mut Patch, shares: &Shares) {
    let map: Map<_, _> = shares
        .iter()
        .map(|(name, share)| (name.to_string(), json!(share)))
        .collect();
    patch.replace("/traffic", map);
    if let Some((all, _)) = shares.iter().find(|(_, share)| **share == Share::ALL) {
        patch.replace(&format!("/versions/{all}/isDefault"), true);
    }
}

/// Puts a map of copies into a patch; one without a share over 0 ends them.
pub(super) fn put_mirror(patch: &mut Patch, shares: &Shares) {
    let given = shares.iter().find(|(_, share)| **share > Share::NONE);
    let value = given.map_or(Value::Null, |(name, share)| json!({ name.as_str(): share }));
    patch.replace("/mirrorTraffic", value);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(text: &str) -> Result<Shares, Trouble> {
        traffic(&[text.parse().unwrap()]).map(Option::unwrap)
    }

    #[test]
    fn traffic_that_does_not_add_up_is_refused_with_the_arithmetic() {
        assert!(shares("blue=90 green=10").is_ok());
        assert!(shares("blue=0 green=0").is_ok());
        let error = shares("blue=90 green=5.5").unwrap_err().to_string();
        assert_eq!(
            error,
            "--traffic: blue 90 + green 5.5 = 95.5 percent, expected 100 or 0"
        );
        let twice = shares("blue=50 blue=50").unwrap_err().to_string();
        assert_eq!(twice, "--traffic names deployment `blue` twice");
    }

    #[test]
    fn who_gets_everything_becomes_the_default() {
        let patch = |text| {
            let mut patch = Patch::of_all();
            put(&mut patch, &shares(text).unwrap());
            patch.into_value()
        };
        assert_eq!(
            patch("blue=0 green=100"),
            json!([
                {"op": "replace", "path": "/traffic", "value": {"blue": 0.0, "green": 100.0}},
                {"op": "replace", "path": "/versions/green/isDefault", "value": true},
            ])
        );
        assert_eq!(patch("blue=90 green=10").as_array().unwrap().len(), 1);
    }

    #[test]
    fn copies_of_nothing_are_none() {
        let patch = |text: &str| {
            let mut patch = Patch::of_all();
            let shares = mirror(Some(&text.parse().unwrap())).unwrap().unwrap();
            put_mirror(&mut patch, &shares);
            patch.into_value()[0]["value"].clone()
        };
        assert_eq!(patch("green=10"), json!({"green": 10.0}));
        assert_eq!(patch("green=0"), Value::Null);
        assert!(mirror(Some(&"green=51".parse().unwrap())).is_err());
        assert!(mirror(Some(&"blue=1 green=1".parse().unwrap())).is_err());
    }
}

//! The `traffic` and `mirror_traffic` maps.

use std::collections::BTreeMap;

use lusk_domain::{Mirror, Share, VersionName};

use crate::reader::{Reader, Section};

/// Shares by deployment.
pub(super) type Shares = BTreeMap<VersionName, Share>;

/// Checks that a whole map of traffic adds up, as v2 wants it: to 100, or to 0. What
/// nobody was assigned goes to the default here, so that with 0 the default gets
/// everything still.
///
/// # Errors
/// The arithmetic.
pub fn check_traffic(shares: &Shares) -> Result<(), String> {
    let sum: u32 = shares.values().map(|it| u32::from(it.hundredths())).sum();
    if sum == 0 || sum == u32::from(Share::ALL.hundredths()) {
        return Ok(());
    }
    let parts: Vec<_> = shares
        .iter()
        .map(|(name, share)| format!("{name} {share}"))
        .collect();
    Err(format!(
        "{} = {} percent, expected 100 or 0",
        parts.join(" + "),
        f64::from(sum) / 100.0
    ))
}

/// Checks that copies go to one deployment, of at most half of the requests.
///
/// # Errors
/// More deployments than one, or too many requests.
pub fn check_mirror(shares: &Shares) -> Result<(), String> {
    let given: Vec<_> = shares
        .iter()
        .filter(|(_, share)| **share > Share::NONE)
        .collect();
    match given.as_slice() {
        [] => Ok(()),
        [(name, share)] => Mirror::new((*name).clone(), **share)
            .map(drop)
            .map_err(|error| error.to_string()),
        more => Err(format!(
            "{} deployments are to get copies, one can",
            more.len()
        )),
    }
}

/// The map at `key`; none when it is missing.
pub(super) fn shares(
    reader: &mut Reader,
    top: Section<'_>,
    key: &str,
    check: fn(&Shares) -> Result<(), String>,
) -> Option<Shares> {
    let node = top.get(key)?;
    let section = reader.as_section(node, key)?;
    let mut shares = Shares::new();
    let mut is_whole = true;
    for entry in section.entries() {
        let path = section.path_of(&entry.key);
        let name = match entry.key.parse::<VersionName>() {
            Ok(name) => Some(name),
            Err(error) => reader.refuse(&entry.node, &path, error.to_string()),
        };
        let percent = reader.number(section, &entry.key);
        let share = percent.and_then(|percent| match Share::try_from(percent) {
            Ok(share) => Some(share),
            Err(error) => reader.refuse(&entry.node, &path, error.to_string()),
        });
        match (name, share) {
            (Some(name), Some(share)) => drop(shares.insert(name, share)),
            _ => is_whole = false,
        }
    }
    if is_whole && let Err(message) = check(&shares) {
        return reader.refuse(node, key, message);
    }
    Some(shares)
}

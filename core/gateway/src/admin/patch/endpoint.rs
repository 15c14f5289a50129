//! What a patch says of an endpoint: one change, which takes place in one step.

use std::collections::{BTreeMap, btree_map::Entry};

use lusk_control::{ChangeEndpoint, ChangeVersion, EndpointView, VersionView};
use lusk_domain::{EnvironmentRef, Guard, Mirror, Share, Stake, VersionName};

use super::{Op, Step, service::ServicePatch};
use crate::admin::{
    fault::Fault,
    found::no_version,
    input::{Json, parse_part, part},
    wire::{self, NewVersion, VersionType, Wished},
};

/// What is the endpoint's and not a version's.
const COMMON: [&str; 5] = [
    "authEnabled",
    "aadAuthEnabled",
    "appInsightsEnabled",
    "namespace",
    "keys",
];

/// What a patch asks for.
#[derive(Debug)]
pub(crate) enum EndpointPatch {
    /// A change.
    Change(Box<Wished<ChangeEndpoint>>),
    /// The end of a version.
    Remove(VersionName),
}

/// Reads a patch of an endpoint. `now` is the endpoint: see [`super::update_service`].
pub(crate) fn update_endpoint(body: &Json, now: &EndpointView) -> Result<EndpointPatch, Fault> {
    let operations = super::operations(body)?;
    let mut patch = Patch::new(now);
    super::each(&operations, |step, place| patch.apply(step, place))?;
    match patch.removed.take() {
        Some(version) if operations.len() == 1 => Ok(EndpointPatch::Remove(version)),
        Some(version) => Err(Fault::bad_request(format!(
            "`remove /versions/{version}` is one of {} operations: it must be the only one of its \
             patch, send the others before or after it",
            operations.len()
        ))),
        None => Ok(EndpointPatch::Change(Box::new(patch.finish()?))),
    }
}

/// What the operations so far add up to.
struct Patch<'a> {
    now: &'a EndpointView,
    change: ChangeEndpoint,
    versions: BTreeMap<VersionName, ServicePatch>,
    made: BTreeMap<VersionName, NewVersion>,
    mirror: Option<Option<(VersionName, Share)>>,
    keeps_answers: Option<bool>,
    removed: Option<VersionName>,
    /// Who is said not to be the default.
    demoted: Option<VersionName>,
}

impl<'a> Patch<'a> {
    fn new(now: &'a EndpointView) -> Self {
        Self {
            now,
            change: ChangeEndpoint::default(),
            versions: BTreeMap::new(),
            made: BTreeMap::new(),
            mirror: None,
            keeps_answers: None,
            removed: None,
            demoted: None,
        }
    }

    fn apply(&mut self, step: Step, place: &[&str]) -> Result<(), Fault> {
        match (step.op, place) {
            (op, ["versions", name]) => {
                let name = parse_part(name)?;
                match op {
                    Op::Set => self.make(step, name),
                    Op::Remove => {
                        self.removed = Some(name);
                        Ok(())
                    }
                }
            }
            (_, ["versions", name, rest @ ..]) => {
                let name = parse_part(name)?;
                self.of_version(step, name, rest)
            }
            (Op::Remove, ["kvTags" | "tags", key]) => {
                self.tags().remove(*key);
                Ok(())
            }
            (Op::Remove, ["sticky"]) => {
                self.change.sticky = Some(None);
                Ok(())
            }
            (Op::Remove, ["mirrorTraffic"]) => {
                self.mirror = Some(None);
                Ok(())
            }
            (Op::Remove, _) => Err(Fault::bad_request(format!(
                "`remove {:.200}`: of an endpoint only a version, a tag, `/sticky` and \
                 `/mirrorTraffic` can be removed",
                step.path
            ))),
            (Op::Set, place) => self.set(step, place),
        }
    }

    /// What is common to all versions.
    fn set(&mut self, step: Step, place: &[&str]) -> Result<(), Fault> {
        let Step { path, value, .. } = step;
        let change = &mut self.change;
        match place {
            ["description"] => change.description = Some(part(path, value)?),
            ["kvTags" | "tags"] => change.tags = Some(part(path, value)?),
            ["kvTags" | "tags", key] => {
                let text = part(path, value)?;
                self.tags().insert((*key).to_owned(), text);
            }
            ["properties"] => {
                let more: BTreeMap<_, _> = part(path, value)?;
                change.add_properties.extend(more);
            }
            ["properties", key] => {
                let text = part(path, value)?;
                change.add_properties.insert((*key).to_owned(), text);
            }
            ["authEnabled"] => change.auth_enabled = Some(part(path, value)?),
            ["aadAuthEnabled"] => {
                let wish = part(path, value)?;
                wire::refuse_tokens(path, Some(wish))?;
                change.token_auth_enabled = Some(wish);
            }
            ["appInsightsEnabled"] => change.app_insights = Some(part(path, value)?),
            ["traffic"] => change.shares = Some(part(path, value)?),
            ["sticky"] => change.sticky = Some(text(step)?),
            ["mirrorTraffic"] => self.mirror = Some(mirrored(step)?),
            ["mirrorKeepsAnswers"] => self.keeps_answers = Some(part(path, value)?),
            _ => return Err(step.unknown("an endpoint")),
        }
        Ok(())
    }

    /// A new version, from the body that a create request has.
    fn make(&mut self, step: Step, name: VersionName) -> Result<(), Fault> {
        let new = wire::new_version(step.path, step.value, &name, &self.now.record)?;
        let stake = self.stake(&name);
        stake.share = new.stake.share.or(stake.share);
        stake.is_default = new.stake.is_default.or(stake.is_default);
        stake.is_control = new.stake.is_control.or(stake.is_control);
        if let Some(guard) = new.guard {
            self.change.guards.insert(name.clone(), Some(guard));
        }
        match self.made.entry(name) {
            Entry::Vacant(place) => {
                place.insert(new);
                Ok(())
            }
            Entry::Occupied(place) => Err(Fault::bad_request(format!(
                "version `{}` is made twice in this patch",
                place.key()
            ))),
        }
    }

    /// What is one version's.
    fn of_version(&mut self, step: Step, name: VersionName, rest: &[&str]) -> Result<(), Fault> {
        let Step { op, path, value } = step;
        let is_made = self.made.contains_key(&name);
        let version = self.version(&name);
        if version.is_none() && !is_made {
            return Err(no_version(self.now, &name));
        }
        match (op, rest) {
            // Being told that it is not the default changes nothing: it stops being it
            // only because another one becomes it.
            (Op::Set, ["isDefault"]) => {
                let wish: bool = part(path, value)?;
                self.stake(&name).is_default = wish.then_some(true);
                if !wish {
                    self.demoted = Some(name);
                }
            }
            (Op::Set, ["type" | "versionType"]) => {
                let kind: VersionType = part(path, value)?;
                let has_stake = version.is_some_and(|version| version.share.is_some());
                let is_control = kind == VersionType::Control;
                // Who was never healthy is no control that it could stop being.
                self.stake(&name).is_control = (is_control || has_stake).then_some(is_control);
            }
            (Op::Set, ["trafficPercentile"]) => {
                self.stake(&name).share = Some(part(path, value)?);
            }
            (Op::Set, ["abortIf"]) => {
                let guard: Option<Guard> = text(step)?;
                self.change.guards.insert(name, guard);
            }
            (Op::Remove, ["abortIf"]) => {
                self.change.guards.insert(name, None);
            }
            (_, [first, ..]) if COMMON.contains(first) => {
                return Err(Fault::bad_request(format!(
                    "`{path:.200}`: versions have no `{first}` of their own, it is the endpoint's: \
                     patch `/{first}`"
                )));
            }
            (_, rest) => match version {
                Some(version) if !is_made => {
                    let spec = &version.service.record.spec;
                    let patch = self.versions.entry(name).or_default();
                    patch.apply(step, rest, spec)?;
                }
                _ => {
                    return Err(Fault::bad_request(format!(
                        "`{path:.200}`: version `{name}` is made by this patch, say it in its body"
                    )));
                }
            },
        }
        Ok(())
    }

    fn version(&self, name: &VersionName) -> Option<&'a VersionView> {
        self.now.versions.iter().find(|view| view.name == *name)
    }

    fn stake(&mut self, name: &VersionName) -> &mut Stake {
        self.change.stakes.entry(name.clone()).or_default()
    }

    fn tags(&mut self) -> &mut BTreeMap<String, String> {
        let now = &self.now.record.tags;
        self.change.tags.get_or_insert_with(|| now.clone())
    }

    fn finish(mut self) -> Result<Wished<ChangeEndpoint>, Fault> {
        self.change.mirror = self.mirror()?;
        self.change
            .stakes
            .retain(|_, stake| *stake != Stake::default());
        let (version, reference) = self.deployed()?;
        self.change.version = version;
        if let Some(name) = self.demoted
            && self.change == ChangeEndpoint::default()
            && reference.is_none()
        {
            return Err(Fault::bad_request(format!(
                "`/versions/{name}/isDefault` is false and nothing else is given: a version stops \
                 being the default only when another becomes it, set `isDefault` of that one to \
                 true"
            )));
        }
        Ok(Wished {
            wish: self.change,
            reference,
        })
    }

    /// The one version that is made or changed.
    #[expect(
        clippy::type_complexity,
        reason = "two halves of one answer, used once"
    )]
    fn deployed(
        &mut self,
    ) -> Result<(Option<(VersionName, ChangeVersion)>, Option<EnvironmentRef>), Fault> {
        let mut all = BTreeMap::new();
        for (name, new) in std::mem::take(&mut self.made) {
            let wish = ChangeVersion::Create(Box::new(new.service.wish));
            all.insert(name, (wish, new.service.reference));
        }
        for (name, patch) in std::mem::take(&mut self.versions) {
            let update = patch.finish()?;
            if !update.wish.is_empty() || update.reference.is_some() {
                let wish = ChangeVersion::Update(Box::new(update.wish));
                all.insert(name, (wish, update.reference));
            }
        }
        if all.len() > 1 {
            let names: Vec<_> = all.keys().map(|name| format!("`{name}`")).collect();
            return Err(Fault::bad_request(format!(
                "the patch makes or changes the versions {}: one patch can make or change one \
                 version; send a patch for each, only shares, default, control and `abortIf` of \
                 others go with it",
                names.join(", ")
            )));
        }
        Ok(match all.pop_first() {
            Some((name, (wish, reference))) => (Some((name, wish)), reference),
            None => (None, None),
        })
    }

    /// The mirror that the two paths about it ask for.
    fn mirror(&mut self) -> Result<Option<Option<Mirror>>, Fault> {
        let now = self.now.record.mirror.as_ref();
        let keeps_answers = self
            .keeps_answers
            .or(now.map(|mirror| mirror.keeps_answers))
            .unwrap_or(false);
        let wish = match (self.mirror.take(), self.keeps_answers) {
            (None, None) => return Ok(None),
            (None, Some(_)) => now.map(|mirror| (mirror.version.clone(), mirror.share)),
            (Some(wish), _) => wish,
        };
        let Some((version, share)) = wish else {
            return match self.keeps_answers {
                Some(true) => Err(Fault::bad_request(format!(
                    "`/mirrorKeepsAnswers` is true, but endpoint `{}` mirrors nothing: give \
                     `/mirrorTraffic` too, a version with a percentage",
                    self.now.record.name
                ))),
                _ => Ok(Some(None)),
            };
        };
        let mirror = Mirror::new(version, share)
            .map_err(|error| Fault::bad_request(format!("`/mirrorTraffic`: {error}")))?;
        Ok(Some(Some(Mirror {
            keeps_answers,
            ..mirror
        })))
    }
}

/// What a text says; null is nothing.
fn text<T>(step: Step) -> Result<Option<T>, Fault>
where
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    let text: Option<String> = part(step.path, step.value)?;
    text.map(|text| {
        text.parse()
            .map_err(|error: T::Err| Fault::bad_request(format!("`{:.200}`: {error}", step.path)))
    })
    .transpose()
}

/// The one version of a map to percentages; null and an empty map are none.
fn mirrored(step: Step) -> Result<Option<(VersionName, Share)>, Fault> {
    let map: Option<BTreeMap<VersionName, Share>> = part(step.path, step.value)?;
    let mut map = map.unwrap_or_default();
    if map.len() > 1 {
        let names: Vec<_> = map.keys().map(|name| format!("`{name}`")).collect();
        return Err(Fault::bad_request(format!(
            "`/mirrorTraffic` names {}: one version can get copies",
            names.join(", ")
        )));
    }
    Ok(map.pop_first())
}

#[cfg(test)]
mod tests;

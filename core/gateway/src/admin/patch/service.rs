//! What a patch says of a service, or of a version of an endpoint, which is one.

use std::collections::BTreeMap;

use lusk_control::UpdateService;
use lusk_domain::{EnvironmentRef, ServiceSpec, SettingsChange};
use serde_json::{Map, Value, json};

use super::{Op, Step};
use crate::admin::{
    fault::Fault,
    input::{Json, part},
    wire::{ImageRequest, Wished},
};

/// Settings at the top of a service.
const PLAIN: [&str; 8] = [
    "numReplicas",
    "authEnabled",
    "aadAuthEnabled",
    "appInsightsEnabled",
    "scoringTimeoutMs",
    "maxConcurrentRequestsPerContainer",
    "maxQueueWaitMs",
    "namespace",
];

/// Settings one level down, patched whole or one by one.
const NESTED: [(&str, &[&str]); 3] = [
    (
        "autoScaler",
        &[
            "autoscaleEnabled",
            "minReplicas",
            "maxReplicas",
            "refreshPeriodInSeconds",
            "targetUtilization",
        ],
    ),
    (
        "containerResourceRequirements",
        &["cpu", "cpuLimit", "memoryInGB", "memoryInGBLimit", "gpu"],
    ),
    (
        "livenessProbeRequirements",
        &[
            "periodSeconds",
            "initialDelaySeconds",
            "timeoutSeconds",
            "successThreshold",
            "failureThreshold",
        ],
    ),
];

/// Reads a patch of a service. `now` is the service's specification: a patch of one
/// tag becomes a new whole set of tags, and one of a part of the entry script a whole
/// script, which is what an update takes.
pub(crate) fn update_service(
    body: &Json,
    now: &ServiceSpec,
) -> Result<Wished<UpdateService>, Fault> {
    let mut patch = ServicePatch::default();
    super::each(&super::operations(body)?, |step, place| {
        patch.apply(step, place, now)
    })?;
    patch.finish()
}

/// What the operations so far add up to.
#[derive(Debug, Default)]
pub(super) struct ServicePatch {
    update: UpdateService,
    reference: Option<EnvironmentRef>,
    settings: Map<String, Value>,
}

impl ServicePatch {
    /// Does one operation; `place` is its path below the service.
    pub(super) fn apply(
        &mut self,
        step: Step,
        place: &[&str],
        now: &ServiceSpec,
    ) -> Result<(), Fault> {
        match (step.op, place) {
            (Op::Remove, ["kvTags" | "tags", key]) => {
                self.tags(&now.tags).remove(*key);
                Ok(())
            }
            (Op::Remove, _) => Err(Fault::bad_request(format!(
                "`remove {:.200}`: of a service only a tag can be removed, with the path \
                 …/kvTags/<key>",
                step.path
            ))),
            (Op::Set, place) => self.set(step, place, now),
        }
    }

    fn set(&mut self, step: Step, place: &[&str], now: &ServiceSpec) -> Result<(), Fault> {
        let Step { path, value, .. } = step;
        match place {
            ["description"] => self.update.description = Some(part(path, value)?),
            ["kvTags" | "tags"] => self.update.tags = Some(part(path, value)?),
            ["kvTags" | "tags", key] => {
                let text = part(path, value)?;
                self.tags(&now.tags).insert((*key).to_owned(), text);
            }
            ["properties"] => {
                let more: BTreeMap<_, _> = part(path, value)?;
                self.update.add_properties.extend(more);
            }
            ["properties", key] => {
                let text = part(path, value)?;
                self.update.add_properties.insert((*key).to_owned(), text);
            }
            ["modelIds"] | ["environmentImageRequest", "modelIds"] => {
                self.update.models = Some(part(path, value)?);
            }
            ["remoteReplicas"] => self.update.remote = Some(part(path, value)?),
            ["environmentImageRequest"] => {
                let image = part::<ImageRequest>(path, value)?.change(now.entry.as_ref())?;
                self.update.entry = image.entry;
                self.update.models = image.models;
                self.reference = image.reference;
            }
            // Taken and without effect, as in a create request.
            ["storageInitEnabled"] | ["dataCollection", "eventHubEnabled"] => {}
            ["dataCollection", "storageEnabled"] => self.put(&["storageEnabled"], value),
            ["dataCollection"] => {
                if let Some(wish) = value.get("storageEnabled") {
                    self.put(&["storageEnabled"], wish);
                }
            }
            _ if is_setting(place) => self.put(place, value),
            _ => return Err(step.unknown("a service")),
        }
        Ok(())
    }

    fn tags(&mut self, now: &BTreeMap<String, String>) -> &mut BTreeMap<String, String> {
        self.update.tags.get_or_insert_with(|| now.clone())
    }

    fn put(&mut self, place: &[&str], value: &Value) {
        match place {
            [field] => {
                self.settings.insert((*field).to_owned(), value.clone());
            }
            [group, field] => {
                let group = self.settings.entry(*group).or_insert_with(|| json!({}));
                if !group.is_object() {
                    *group = json!({});
                }
                group[*field] = value.clone();
            }
            _ => {}
        }
    }

    /// The whole update.
    pub(super) fn finish(mut self) -> Result<Wished<UpdateService>, Fault> {
        let settings = Value::Object(self.settings);
        self.update.settings = part::<SettingsChange>("", &settings)?;
        Ok(Wished {
            wish: self.update,
            reference: self.reference,
        })
    }
}

fn is_setting(place: &[&str]) -> bool {
    match place {
        [field] => PLAIN.contains(field) || NESTED.iter().any(|(group, _)| group == field),
        [group, field] => NESTED
            .iter()
            .any(|(name, fields)| name == group && fields.contains(field)),
        _ => false,
    }
}

#[cfg(test)]
mod tests;

//! A registered model on the wire.

use lusk_domain::{Model, ModelRequirements};
use serde_json::{Value, json};

use super::service_json::time;

/// The model object, its files included.
pub(crate) fn model(model: &Model) -> Value {
    let mut object = details(model);
    object["files"] = json!(model.draft.files);
    object
}

/// The model object as services show it: without the list of files, which may
/// be long.
pub(crate) fn details(model: &Model) -> Value {
    let draft = &model.draft;
    json!({
        "id": model.id,
        "name": model.id.name,
        "version": model.id.version,
        "description": draft.description,
        "kvTags": draft.tags,
        "tags": draft.tags,
        "properties": draft.properties,
        "framework": draft.framework,
        "frameworkVersion": draft.framework_version,
        "resourceRequirements": requirements(&draft.resource_requirements),
        "sampleInputData": draft.sample_input_data,
        "sampleOutputData": draft.sample_output_data,
        "experimentName": draft.experiment_name,
        "runId": draft.run_id,
        "createdTime": time(model.created_time),
        "createdBy": "lusk",
        "mimeType": "application/json",
        "unpack": is_folder(model),
        "url": format!("aml://asset/{}", model.id),
        "datasets": [],
        "parentModelId": null,
        "derivedModelIds": [],
        "size": model.size(),
    })
}

/// All three or nothing: the original's SDK raises where one is missing.
fn requirements(wish: &ModelRequirements) -> Option<Value> {
    let all = json!({
        "cpu": wish.cpu,
        "memoryInGB": wish.memory_in_gb,
        "gpu": wish.gpu,
    });
    (*wish != ModelRequirements::default()).then_some(all)
}

/// Whether a folder was registered: its name is the first part of every path.
fn is_folder(model: &Model) -> bool {
    model.draft.files.iter().any(|file| file.path.contains('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requirements_are_whole_or_none() {
        assert_eq!(requirements(&ModelRequirements::default()), None);
        let cpu = ModelRequirements {
            cpu: Some(0.5),
            ..ModelRequirements::default()
        };
        let whole = json!({"cpu": 0.5, "memoryInGB": null, "gpu": null});
        assert_eq!(requirements(&cpu), Some(whole));
    }
}

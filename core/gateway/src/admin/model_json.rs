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

/// All three, given or not: the original's SDK raises where one is missing.
fn requirements(wish: &ModelRequirements) -> Value {
    json!({
        "cpu": wish.cpu,
        "memoryInGB": wish.memory_in_gb,
        "gpu": wish.gpu,
    })
}

/// Whether a folder was registered: its name is the first part of every path.
fn is_folder(model: &Model) -> bool {
    model.draft.files.iter().any(|file| file.path.contains('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requirements_are_whole_and_can_be_read_back() {
        for cpu in [None, Some(0.5)] {
            let wish = ModelRequirements {
                cpu,
                ..ModelRequirements::default()
            };
            let whole = json!({"cpu": cpu, "memoryInGB": null, "gpu": null});
            assert_eq!(requirements(&wish), whole);
            assert_eq!(
                serde_json::from_value::<ModelRequirements>(whole).unwrap(),
                wish
            );
        }
    }
}

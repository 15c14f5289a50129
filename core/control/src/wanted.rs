//! From a request to the whole specification it asks for, checked against all
//! rules at once.

use futures::{StreamExt, TryStreamExt, stream};
use lusk_domain::{Model, ModelId, ServiceSpec, Settings, Violation};

use crate::{Control, ControlError, CreateService, UpdateService, check, remote};

/// Models looked up at a time.
const LOOKED_UP_AT_ONCE: usize = 16;

impl Control {
    /// The specification that a request makes, and its models.
    pub(crate) async fn wanted(
        &self,
        request: CreateService,
    ) -> Result<(ServiceSpec, Vec<Model>), ControlError> {
        let mut violations = Vec::new();
        if let Some(urls) = &request.remote {
            violations.extend(remote::given(urls));
        }
        let models = self.models_for(&request.models, &mut violations).await?;
        let change = match (&request.entry, models.as_slice()) {
            (None, [model]) => check::with_needs_of(model, &request.settings),
            _ => request.settings.clone(),
        };
        let mut settings = Settings::default()
            .changed(&change)
            .unwrap_or_else(|broken| {
                violations.extend(broken);
                Settings::default()
            });
        let remote = request.remote.unwrap_or_default();
        if !remote.is_empty() {
            violations.extend(remote::settings(&request.settings, remote.len()));
            remote::fit(&mut settings, remote.len());
        }
        let spec = ServiceSpec {
            name: request.name,
            compute: request.compute,
            compute_name: request.compute_name,
            description: request.description,
            tags: request.tags,
            properties: request.properties,
            models: request.models,
            entry: request.entry,
            remote,
            settings,
        };
        self.check(&spec, &models, violations).await?;
        Ok((spec, models))
    }

    /// The specification that a change makes of `old`, and its models.
    pub(crate) async fn changed(
        &self,
        old: &ServiceSpec,
        change: UpdateService,
    ) -> Result<(ServiceSpec, Vec<Model>), ControlError> {
        if change.is_empty() {
            return Err(ControlError::invalid(
                "update",
                "nothing to change is given",
            ));
        }
        let mut violations = Vec::new();
        let mut spec = old.clone();
        for (key, value) in change.add_properties {
            if let Some(there) = spec.properties.get(&key) {
                let message = format!("is set to `{there}` already; properties can only be added");
                violations.push(Violation::new(format!("properties.{key}"), message));
            } else {
                spec.properties.insert(key, value);
            }
        }
        spec.description = change.description.or(spec.description);
        spec.tags = change.tags.unwrap_or(spec.tags);
        spec.models = change.models.unwrap_or(spec.models);
        spec.entry = change.entry.or(spec.entry);
        if let Some(urls) = change.remote {
            violations.extend(remote::given(&urls));
            spec.remote = urls;
        }
        match old.settings.changed(&change.settings) {
            Ok(settings) => spec.settings = settings,
            Err(broken) => violations.extend(broken),
        }
        if !spec.remote.is_empty() {
            violations.extend(remote::settings(&change.settings, spec.remote.len()));
            remote::fit(&mut spec.settings, spec.remote.len());
        }
        let models = self.models_for(&spec.models, &mut violations).await?;
        self.check(&spec, &models, violations).await?;
        Ok((spec, models))
    }

    /// The models of a list that is checked on the way; those that are not there
    /// are violations.
    async fn models_for(
        &self,
        ids: &[ModelId],
        violations: &mut Vec<Violation>,
    ) -> Result<Vec<Model>, ControlError> {
        let broken = check::model_list(ids);
        if !broken.is_empty() {
            violations.extend(broken);
            return Ok(Vec::new());
        }
        let found = self.look_up(ids).await?;
        let missing = ids.iter().zip(&found).filter(|(_, model)| model.is_none());
        violations.extend(
            missing
                .map(|(id, _)| Violation::new("models", format!("no model `{id}` is registered"))),
        );
        Ok(found.into_iter().flatten().collect())
    }

    /// The models of a specification that was accepted once.
    pub(crate) async fn find_models(&self, ids: &[ModelId]) -> Result<Vec<Model>, ControlError> {
        let found = self.look_up(ids).await?;
        let all = ids.iter().zip(found);
        all.map(|(id, model)| model.ok_or_else(|| ControlError::NoModel(id.clone())))
            .collect()
    }

    async fn look_up(&self, ids: &[ModelId]) -> Result<Vec<Option<Model>>, ControlError> {
        let found = stream::iter(ids.to_vec())
            .map(|id| async move { self.parts.records.model(&id).await })
            .buffered(LOOKED_UP_AT_ONCE)
            .try_collect();
        Ok(found.await?)
    }

    /// Checks a specification whole and refuses it with all that is wrong.
    async fn check(
        &self,
        spec: &ServiceSpec,
        models: &[Model],
        mut violations: Vec<Violation>,
    ) -> Result<(), ControlError> {
        // Rules about models mean something only once all of them were found.
        if violations.iter().all(|broken| broken.path != "models") {
            violations.extend(check::spec(spec, models));
        }
        if let Some(entry) = &spec.entry {
            let digest = entry.snapshot.digest;
            if self.parts.blobs.size(digest).await?.is_none() {
                let message = format!("no stored content {digest}; upload the snapshot first");
                violations.push(Violation::new("snapshot", message));
            }
        }
        if violations.is_empty() {
            Ok(())
        } else {
            Err(ControlError::Invalid { violations })
        }
    }
}

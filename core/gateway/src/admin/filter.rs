//! Which services and endpoints a list is asked for.

use std::collections::BTreeMap;

use lusk_control::{EndpointView, ServiceView};
use lusk_domain::{ComputeType, ImageKey, ModelId, ServiceName};

use super::{fault::Fault, input::Params, wire};

/// An item of the list.
pub(crate) enum Listed {
    /// A service that stands alone.
    Service(Box<ServiceView>),
    /// An endpoint; its versions are in it.
    Endpoint(Box<EndpointView>),
}

impl Listed {
    /// Its name, by which lists are sorted.
    pub(crate) fn name(&self) -> &ServiceName {
        match self {
            Self::Service(view) => &view.record.spec.name,
            Self::Endpoint(view) => &view.record.name,
        }
    }

    /// The services that it is or is made of.
    pub(crate) fn services(&self) -> Vec<&ServiceView> {
        match self {
            Self::Service(view) => vec![view],
            Self::Endpoint(view) => view.versions.iter().map(|it| &it.service).collect(),
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Endpoint(_) => wire::AKS_ENDPOINT,
            Self::Service(view) => match view.record.spec.compute {
                ComputeType::Aks => "AKS",
                ComputeType::Local { .. } => "LOCAL",
            },
        }
    }

    fn labels(&self) -> [&BTreeMap<String, String>; 2] {
        match self {
            Self::Service(view) => [&view.record.spec.tags, &view.record.spec.properties],
            Self::Endpoint(view) => [&view.record.tags, &view.record.properties],
        }
    }
}

/// See the module. Images and models of an endpoint are those of any of its versions.
#[derive(Default)]
pub(crate) struct Filter {
    compute_type: Option<String>,
    image: Option<String>,
    image_digest: Option<String>,
    model_name: Option<String>,
    model: Option<ModelId>,
    tags: BTreeMap<String, Option<String>>,
    properties: BTreeMap<String, Option<String>>,
}

impl Filter {
    /// The filter of a query.
    pub(crate) fn read(params: &Params) -> Result<Self, Fault> {
        let text = |name| params.text(name).map(str::to_owned);
        Ok(Self {
            compute_type: text("computeType"),
            image: text("imageId").or_else(|| text("imageName")),
            image_digest: text("imageDigest"),
            model_name: text("modelName"),
            model: params.parsed("modelId")?,
            tags: params.labels("tags"),
            properties: params.labels("properties"),
        })
    }

    /// Whether an item is asked for.
    pub(crate) fn admits(&self, item: &Listed) -> bool {
        let [tags, properties] = item.labels();
        is_or_any(self.compute_type.as_deref(), |wanted| {
            wanted.eq_ignore_ascii_case(item.kind())
        }) && has_labels(tags, &self.tags)
            && has_labels(properties, &self.properties)
            && (self.is_about_no_content()
                || item.services().iter().any(|view| self.admits_content(view)))
    }

    fn is_about_no_content(&self) -> bool {
        self.image.is_none()
            && self.image_digest.is_none()
            && self.model_name.is_none()
            && self.model.is_none()
    }

    fn admits_content(&self, view: &ServiceView) -> bool {
        let models = &view.record.spec.models;
        let image = view.image.as_ref().map(ImageKey::repository);
        is_or_any(self.image.as_deref(), |wanted| {
            image.as_deref() == Some(wanted)
        }) && is_or_any(self.image_digest.as_deref(), |wanted| {
            view.image_digest.as_deref() == Some(wanted)
        }) && is_or_any(self.model_name.as_deref(), |wanted| {
            models.iter().any(|id| id.name.as_str() == wanted)
        }) && is_or_any(self.model.as_ref(), |wanted| models.contains(wanted))
    }
}

fn is_or_any<T>(wanted: Option<T>, is: impl FnOnce(T) -> bool) -> bool {
    wanted.is_none_or(is)
}

fn has_labels(
    labels: &BTreeMap<String, String>,
    wanted: &BTreeMap<String, Option<String>>,
) -> bool {
    wanted.iter().all(|(key, value)| {
        labels
            .get(key)
            .is_some_and(|label| value.as_ref().is_none_or(|value| value == label))
    })
}

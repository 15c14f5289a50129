//! What is in an image, as a CycloneDX 1.5 document.
//!
//! Invariant: one image has one document; asked for again, it is the same.

use cyclonedx_bom::{
    external_models::{date_time::DateTime, uri::Purl},
    models::{
        bom::{Bom, UrnUuid},
        component::{Classification, Component, Components},
        metadata::Metadata,
        property::{Properties, Property},
        tool::{Tool, Tools},
    },
};
use lusk_contract::{ImageError, ImageRecord};
use lusk_domain::Digest;
use serde_json::Value;

/// The document of an image whose packages are frozen in `lock`.
///
/// # Errors
/// A package whose name no package address can hold.
pub(crate) fn sbom(record: &ImageRecord, lock: &str) -> Result<Value, ImageError> {
    let components: Result<Vec<_>, _> = lock
        .lines()
        .filter_map(|line| line.trim().split_once("=="))
        .map(|(name, version)| component(record, name, version))
        .collect();
    let bom = Bom {
        version: 1,
        serial_number: Some(serial_number(&record.manifest)?),
        metadata: Some(metadata(record)?),
        components: Some(Components(components?)),
        ..Bom::default()
    };
    let mut text = Vec::new();
    bom.output_as_json_v1_5(&mut text).map_err(not_written)?;
    serde_json::from_slice(&text).map_err(not_written)
}

fn metadata(record: &ImageRecord) -> Result<Metadata, ImageError> {
    let built = DateTime::try_from(record.built.to_string()).map_err(not_written)?;
    let mut image = Component::new(
        Classification::Container,
        &record.key.repository(),
        &record.manifest,
        Some(record.manifest.clone()),
    );
    image.properties = Some(Properties(vec![
        Property::new("lusk:variant", &record.variant),
        Property::new("lusk:runtime", record.runtime.as_str()),
    ]));
    Ok(Metadata {
        timestamp: Some(built),
        tools: Some(Tools::List(vec![Tool::new(
            "lusk",
            "lusk",
            env!("CARGO_PKG_VERSION"),
        )])),
        component: Some(image),
        ..Metadata::default()
    })
}

fn component(record: &ImageRecord, name: &str, version: &str) -> Result<Component, ImageError> {
    let purl = Purl::new("pypi", name, version).map_err(not_written)?;
    let mut component = Component::new(
        Classification::Library,
        name,
        version,
        Some(purl.to_string()),
    );
    component.purl = Some(purl);
    if record.native.iter().any(|native| native == name) {
        let native = Property::new("lusk:native-code", "true");
        component.properties = Some(Properties(vec![native]));
    }
    Ok(component)
}

/// A number of the kind that is made of something (version 8 of RFC 9562).
fn serial_number(manifest: &str) -> Result<UrnUuid, ImageError> {
    let hex = Digest::of(manifest.as_bytes()).to_hex();
    let [a, b, c, d, e] = [
        &hex[..8],
        &hex[8..12],
        &hex[13..16],
        &hex[17..20],
        &hex[20..32],
    ];
    UrnUuid::new(format!("urn:uuid:{a}-{b}-8{c}-8{d}-{e}"))
        .map_err(|error| ImageError::Storage(format!("no serial number: {error:?}")))
}

fn not_written(error: impl std::fmt::Display) -> ImageError {
    ImageError::Storage(format!("list of packages not written: {error}"))
}

#[cfg(test)]
mod tests {
    use lusk_domain::{Environment, ImageKey, RuntimeKind};

    use super::*;

    fn record() -> ImageRecord {
        ImageRecord {
            key: ImageKey::of(&Environment::default()),
            variant: "python3.11-linux-x86_64".to_owned(),
            manifest: Digest::of(b"manifest").to_string(),
            built: "2026-01-02T03:04:05.678Z".parse().unwrap(),
            runtime: RuntimeKind::Process,
            native: vec!["numpy".to_owned()],
            bytes: 1,
        }
    }

    #[test]
    fn packages_have_their_addresses_and_the_image_is_named() {
        let sbom = sbom(&record(), "numpy==2.0.1\nsix==1.17.0+local\n").unwrap();
        assert_eq!(sbom["bomFormat"], "CycloneDX");
        assert_eq!(sbom["specVersion"], "1.5");
        assert_eq!(sbom["components"][0]["purl"], "pkg:pypi/numpy@2.0.1");
        assert_eq!(sbom["components"][0]["properties"][0]["value"], "true");
        let six = sbom["components"][1]["purl"].as_str().unwrap();
        assert!(six.starts_with("pkg:pypi/six@1.17.0"), "{six}");
        let image = &sbom["metadata"]["component"];
        assert_eq!(image["name"], record().key.repository());
        assert_eq!(image["version"], record().manifest);
        assert_eq!(sbom["metadata"]["timestamp"], "2026-01-02T03:04:05.678Z");
    }

    #[test]
    fn one_image_has_one_document() {
        let first = sbom(&record(), "six==1\n").unwrap();
        assert_eq!(first, sbom(&record(), "six==1\n").unwrap());
        let mut other = record();
        other.manifest = Digest::of(b"other").to_string();
        let other = sbom(&other, "six==1\n").unwrap();
        assert_ne!(first["serialNumber"], other["serialNumber"]);
    }

    #[test]
    fn what_is_written_is_valid() {
        use cyclonedx_bom::prelude::{SpecVersion, Validate as _};
        let sbom = sbom(&record(), "numpy==2.0.1\n").unwrap();
        let bom = Bom::parse_json_value(sbom).unwrap();
        let verdict = bom.validate_version(SpecVersion::V1_5);
        assert!(verdict.passed(), "{verdict:?}");
    }
}

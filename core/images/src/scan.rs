//! Packages of an image against a database of known vulnerabilities that the
//! user has: no network.
//!
//! Advisories are read one at a time and each is bounded, so that a database
//! of any size fits. One that cannot be read is counted, and a database that
//! has nothing to say on Python packages is an error: a scan against nothing
//! must not pass.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    str::FromStr as _,
};

use pep440_rs::Version;
use serde::Serialize;
use serde_json::Value;

use crate::builder::conda::normal_name;

mod advisory;
mod database;

use advisory::Advisory;

/// What a scan found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ScanReport {
    /// Packages that were looked up.
    pub components: usize,
    /// Advisories on Python packages that the database holds.
    pub advisories_read: usize,
    /// Entries of the database that could not be read; what they say is not in here.
    pub unreadable: usize,
    /// By package, version and advisory.
    pub findings: Vec<Finding>,
}

/// One advisory that holds for one package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// Name of the package.
    pub package: String,
    /// Its version in the image.
    pub version: String,
    /// The advisory, e.g. `GHSA-…`.
    pub id: String,
    /// Other names of the same vulnerability, e.g. `CVE-…`.
    pub aliases: Vec<String>,
    /// One line on what it is.
    pub summary: Option<String>,
    /// A word such as `HIGH`, else a CVSS vector.
    pub severity: Option<String>,
    /// Later versions that do not have it, the lowest first.
    pub fixed: Vec<String>,
}

/// Why nothing was scanned.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScanError {
    /// The list of packages is none.
    #[error("list of packages: {0}")]
    Sbom(String),
    /// The database cannot be read.
    #[error("advisory database `{}`: {message}", path.display())]
    Database {
        /// Where it was said to be.
        path: PathBuf,
        /// What was met.
        message: String,
    },
    /// The database is no help.
    #[error(
        "advisory database `{}` holds no advisory on PyPI packages that can be read ({unreadable} \
         entries cannot); take the `PyPI` part of an OSV export, as folder or as .zip",
        path.display()
    )]
    Nothing {
        /// Where it is.
        path: PathBuf,
        /// Entries that could not be read.
        unreadable: usize,
    },
}

/// A package of an image.
#[derive(Debug)]
struct Component {
    /// As the image has it.
    text: String,
    /// None when it is no version of PEP 440.
    version: Option<Version>,
}

/// Looks the Python packages of a CycloneDX document up in an OSV database: a
/// folder of .json files with folders in it, one such file, or a .zip of them.
/// Blocks on the disk.
///
/// # Errors
/// A document or a database that cannot be used.
pub fn scan(sbom: &Value, database: &Path) -> Result<ScanReport, ScanError> {
    let components = components(sbom)?;
    let mut report = ScanReport {
        components: components.values().map(Vec::len).sum(),
        advisories_read: 0,
        unreadable: 0,
        findings: Vec::new(),
    };
    let mut findings = BTreeSet::new();
    database::each_entry(database, &mut |entry| {
        match entry.map(|content| Advisory::read(&content)) {
            Some(Ok(Some(advisory))) => {
                report.advisories_read += 1;
                look_up(&advisory, &components, &mut findings);
            }
            // Of another ecosystem.
            Some(Ok(None)) => {}
            Some(Err(error)) => {
                report.unreadable += 1;
                tracing::debug!(%error, "advisory not readable");
            }
            None => report.unreadable += 1,
        }
    })?;
    if report.advisories_read == 0 {
        return Err(ScanError::Nothing {
            path: database.to_owned(),
            unreadable: report.unreadable,
        });
    }
    report.findings.extend(findings);
    Ok(report)
}

fn look_up(
    advisory: &Advisory,
    components: &BTreeMap<String, Vec<Component>>,
    findings: &mut BTreeSet<Finding>,
) {
    for name in advisory.packages() {
        for component in components.get(&name).into_iter().flatten() {
            let affects = advisory.affects(&name, &component.text, component.version.as_ref());
            if affects {
                findings.insert(Finding {
                    package: name.clone(),
                    version: component.text.clone(),
                    id: advisory.id().to_owned(),
                    aliases: advisory.aliases(),
                    summary: advisory.summary(),
                    severity: advisory.severity(),
                    fixed: advisory.fixed(&name, component.version.as_ref()),
                });
            }
        }
    }
}

/// The Python packages of a document, by name.
fn components(sbom: &Value) -> Result<BTreeMap<String, Vec<Component>>, ScanError> {
    if sbom["bomFormat"] != "CycloneDX" {
        return Err(ScanError::Sbom(
            "not a CycloneDX document: `bomFormat` is not `CycloneDX`".to_owned(),
        ));
    }
    let mut found: BTreeMap<String, Vec<Component>> = BTreeMap::new();
    for component in sbom["components"].as_array().into_iter().flatten() {
        let Some((name, version)) = component["purl"].as_str().and_then(python_package) else {
            continue;
        };
        found.entry(name).or_default().push(Component {
            version: Version::from_str(&version).ok(),
            text: version,
        });
    }
    Ok(found)
}

/// Name and version of `pkg:pypi/name@version?…#…`.
fn python_package(purl: &str) -> Option<(String, String)> {
    let rest = purl.strip_prefix("pkg:pypi/")?;
    let rest = rest.split(['?', '#']).next()?;
    let (name, version) = rest.rsplit_once('@')?;
    Some((normal_name(&decoded(name)), decoded(version)))
}

/// Text without `%2B` and its like.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let digits = tail.get(..2).filter(|_| *first == b'%');
        let byte = digits
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests;

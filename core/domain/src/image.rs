//! The image key: what an environment's image is found by.
//!
//! First 32 hex digits of SHA-256 over the canonical JSON (RFC 8785) of base
//! image, Docker steps, conda dependencies and Spark packages. Names, versions,
//! script, model and environment variables are not in it.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize, de::Error as _};
use serde_json::{Value, json};

use crate::{CondaDependency, Digest, Environment};

/// 32 lower-case hex digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageKey(String);

impl ImageKey {
    /// The key of `environment`'s image.
    pub fn of(environment: &Environment) -> Self {
        Self::of_ingredients(&Self::ingredients(environment))
    }

    /// What the key of `environment`'s image is the hash of: canonical JSON.
    pub fn ingredients(environment: &Environment) -> Vec<u8> {
        serde_json_canonicalizer::to_vec(&ingredients(environment))
            .expect("a tree of strings and arrays always serialises")
    }

    /// The key of [`Self::ingredients`]: first 32 hex digits of their SHA-256.
    pub fn of_ingredients(canonical: &[u8]) -> Self {
        Self(Digest::of(canonical).to_hex()[..32].to_owned())
    }

    /// The 32 hex digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The repository name of the image, `azureml/azureml_<32 hex>`.
    pub fn repository(&self) -> String {
        format!("azureml/azureml_{}", self.0)
    }
}

fn ingredients(environment: &Environment) -> Value {
    let docker = &environment.docker;
    let mut packages = environment.spark.packages.clone();
    packages.sort();
    json!({
        "baseImage": docker.base_image,
        "dockerSteps": docker.base_dockerfile.as_deref().map(without_trailing_space),
        "buildContext": docker.build_context,
        "python": python(environment),
        "spark": packages,
    })
}

fn without_trailing_space(steps: &str) -> String {
    let lines: Vec<_> = steps.lines().map(str::trim_end).collect();
    lines.join("\n").trim_end().to_owned()
}

fn python(environment: &Environment) -> Value {
    let python = &environment.python;
    if python.user_managed_dependencies {
        return json!({ "userManaged": true, "interpreter": python.interpreter_path });
    }
    let spec = python.conda_dependencies.clone().unwrap_or_default();
    let mut conda = Vec::new();
    let mut pip = Vec::new();
    for dependency in spec.dependencies {
        match dependency {
            CondaDependency::Package(line) => conda.push(normal_requirement(&line)),
            CondaDependency::Pip { pip: lines } => {
                pip.extend(lines.iter().map(|line| normal_requirement(line)));
            }
        }
    }
    conda.sort();
    pip.sort();
    json!({ "channels": spec.channels, "conda": conda, "pip": pip })
}

/// Name in the normal form of PEP 503 (lower case, runs of `-_.` are one `-`),
/// the rest of the line without white space.
fn normal_requirement(line: &str) -> String {
    let line = line.trim();
    let end = line
        .find(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c)))
        .unwrap_or(line.len());
    let (name, rest) = line.split_at(end);
    let mut normal = String::new();
    for part in name.split(['-', '_', '.']).filter(|part| !part.is_empty()) {
        if !normal.is_empty() {
            normal.push('-');
        }
        normal.push_str(&part.to_ascii_lowercase());
    }
    normal.extend(rest.chars().filter(|c| !c.is_whitespace()));
    normal
}

impl fmt::Display for ImageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ImageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ImageKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let good = text.len() == 32
            && text
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        good.then(|| Self(text.to_owned())).ok_or_else(|| {
            format!("`{text:.80}` is not an image key: expected 32 lower-case hex digits")
        })
    }
}

impl Serialize for ImageKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ImageKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests;

//! What a command is about, as its user calls it: a service, an endpoint or a version.

use std::fmt;

use lusk_domain::{ServiceName, VersionName};

use super::deploy::checked_name;
use crate::{client::part, render::Trouble};

/// A service, an endpoint or one of its versions.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    name: ServiceName,
    version: Option<VersionName>,
    is_endpoint: bool,
}

impl Subject {
    /// A service. The original takes an endpoint for one in many commands, and so does
    /// the node.
    ///
    /// # Errors
    /// The text is no name.
    pub(crate) fn service(name: &str) -> anyhow::Result<Self> {
        Ok(Self {
            name: checked_name(name)?,
            version: None,
            is_endpoint: false,
        })
    }

    /// An endpoint.
    ///
    /// # Errors
    /// The text is no name.
    pub(crate) fn endpoint(name: &str) -> anyhow::Result<Self> {
        Ok(Self {
            is_endpoint: true,
            ..Self::service(name)?
        })
    }

    /// The same with its version, if one is named.
    ///
    /// # Errors
    /// The text is no name.
    pub(crate) fn with_version(self, version: Option<&str>) -> anyhow::Result<Self> {
        Ok(Self {
            version: version.map(checked_version).transpose()?,
            ..self
        })
    }

    /// Its name.
    pub(crate) fn name(&self) -> &ServiceName {
        &self.name
    }

    /// The version, if one is meant.
    pub(crate) fn version(&self) -> Option<&VersionName> {
        self.version.as_ref()
    }

    /// Its path at the admin door, or that of something below it.
    pub(crate) fn path(&self, below: &str) -> String {
        let name = part(self.name.as_str());
        match &self.version {
            Some(version) => format!(
                "/services/{name}/versions/{}{below}",
                part(version.as_str())
            ),
            None => format!("/services/{name}{below}"),
        }
    }

    /// A command about it, for people to type.
    pub(crate) fn command(&self, verb: &str) -> String {
        let group = match self.is_endpoint {
            true => "endpoint realtime",
            false => "service",
        };
        format!("lusk {group} {verb} -n {}", self.name)
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(version) = &self.version {
            write!(f, "version `{version}` of ")?;
        }
        match self.is_endpoint {
            true => write!(f, "endpoint `{}`", self.name),
            false => write!(f, "service `{}`", self.name),
        }
    }
}

/// A version name.
///
/// # Errors
/// The text is none.
pub(crate) fn checked_version(text: &str) -> anyhow::Result<VersionName> {
    text.parse()
        .map_err(|error: lusk_domain::NameError| Trouble::new(error.to_string()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_called_as_its_user_calls_it() {
        let service = Subject::service("shop").unwrap();
        assert_eq!(service.to_string(), "service `shop`");
        assert_eq!(service.command("show"), "lusk service show -n shop");
        let endpoint = Subject::endpoint("shop").unwrap();
        let version = endpoint.clone().with_version(Some("blue")).unwrap();
        assert_eq!(endpoint.path("/logs"), "/services/shop/logs");
        assert_eq!(version.path("/logs"), "/services/shop/versions/blue/logs");
        assert_eq!(version.to_string(), "version `blue` of endpoint `shop`");
        assert!(endpoint.with_version(Some("B")).is_err());
    }
}

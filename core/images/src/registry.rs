//! A registry that images are fetched from and sent to.

mod address;
mod challenge;
mod credentials;
#[cfg(test)]
mod fake;
mod ping;
mod pull;
mod push;
#[cfg(test)]
mod real;
mod retry;
mod tally;
mod transport;

use lusk_contract::{ImageError, ImageSource};
use lusk_domain::ImageKey;

use crate::disk::printable;

pub use address::RegistryAddress;
pub(crate) use credentials::Variables;
pub use ping::ping;
pub(crate) use pull::Fetched;
use retry::Fault;
pub(crate) use retry::Patience;
pub(crate) use tally::mib;
use transport::Transport;

/// Blobs that are moved at the same time.
const AT_ONCE: usize = 4;

/// What a registry is to this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Images are looked for there and sent there.
    Workspace,
    /// Images are looked for there.
    Global,
}

/// One registry.
#[derive(Debug)]
pub(crate) struct Registry {
    role: Role,
    transport: Transport,
}

impl Registry {
    pub(crate) fn new(
        address: RegistryAddress,
        role: Role,
        patience: Patience,
        variables: Variables<'_>,
    ) -> Result<Self, ImageError> {
        let auth = credentials::find(&address, role, variables)?;
        Ok(Self {
            role,
            transport: Transport::new(address, auth, patience)?,
        })
    }

    /// What it is called in messages.
    pub(crate) fn role(&self) -> &'static str {
        match self.role {
            Role::Workspace => "workspace",
            Role::Global => "global",
        }
    }

    /// Where an image from it comes from.
    pub(crate) fn source(&self) -> ImageSource {
        match self.role {
            Role::Workspace => ImageSource::Workspace,
            Role::Global => ImageSource::Global,
        }
    }

    /// Where it is.
    pub(crate) fn address(&self) -> &RegistryAddress {
        self.transport.address()
    }

    fn repository(&self, key: &ImageKey) -> String {
        self.transport.address().repository(&key.repository())
    }

    /// `host/repository:tag`, as other tools take it.
    fn reference(&self, key: &ImageKey, tag: &str) -> String {
        let host = self.transport.address().host();
        format!("{host}/{}:{tag}", self.repository(key))
    }

    /// A fault in the words of this room; `step` says what was tried.
    fn failed(&self, step: &str, fault: Fault) -> ImageError {
        let registry = self.transport.address().to_string();
        let text = printable(&fault.text);
        if fault.is_lie() {
            return ImageError::Refused(format!("registry `{registry}`: {step}: {text}"));
        }
        ImageError::Registry {
            registry,
            message: format!("{step}: {text}"),
        }
    }
}

#[cfg(test)]
mod tests;

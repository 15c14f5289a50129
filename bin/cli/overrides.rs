//! Flags that have a key in a config file take its place.

use lusk_manifest::{Override, Scalar};

/// Collects what flags put in place of keys.
#[derive(Default)]
pub(crate) struct Overrides(pub(crate) Vec<Override>);

impl Overrides {
    /// A text.
    pub(crate) fn text(&mut self, key: &str, flag: &str, value: &Option<String>) {
        if let Some(text) = value {
            self.0
                .push(Override::new(key, flag, Scalar::Text(text.clone())));
        }
    }

    /// A number; what is none stays a text, and is complained about as one.
    pub(crate) fn number(&mut self, key: &str, flag: &str, value: &Option<String>) {
        if let Some(text) = value {
            let scalar = match text.parse::<f64>() {
                Ok(_) => Scalar::Number(text.clone()),
                Err(_) => Scalar::Text(text.clone()),
            };
            self.0.push(Override::new(key, flag, scalar));
        }
    }

    /// A switch.
    pub(crate) fn flag(&mut self, key: &str, flag: &str, value: Option<bool>) {
        if let Some(value) = value {
            self.0.push(Override::new(key, flag, Scalar::Bool(value)));
        }
    }
}

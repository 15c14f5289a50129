//! Which operators a model may use, by domain and name.
//!
//! tract looks operators up by their name alone: `com.microsoft.Pad` would run
//! as if it were `ai.onnx.Pad`, and one that somebody calls `their.Gelu` as the
//! standard's. So a name counts in the domain that it was written for.

use std::collections::HashSet;

use tract_onnx::{Onnx, model::OnnxOpRegister, pb::NodeProto};

/// What the domain of the standard is called when it is not left out.
const STANDARD: &str = "ai.onnx";

const CLASSICAL: &str = "ai.onnx.ml";

/// Operators of `com.microsoft` that are computed as onnxruntime does. tract
/// has more, with answers of their own: `MatMulNBits` rounds its scales, and
/// `SkipSimplifiedLayerNormalization` drops a bias.
const MICROSOFT: [&str; 7] = [
    "BiasGelu",
    "FastGelu",
    "Gelu",
    "QuickGelu",
    "RotaryEmbedding",
    "SkipLayerNormalization",
    "Tokenizer",
];

/// Names of tract's registry that the standard does not know.
const FOREIGN: [&str; 9] = [
    "BiasGelu",
    "FastGelu",
    "GatherBlockQuantized",
    "MatMulNBits",
    "QuickGelu",
    "Rsqrt",
    "SkipLayerNormalization",
    "SkipSimplifiedLayerNormalization",
    "Tokenizer",
];

/// The operators that there are.
pub(crate) struct Operators<'a> {
    all: &'a OnnxOpRegister,
    classical: HashSet<String>,
}

impl<'a> Operators<'a> {
    /// Those in the registry, each in its domain.
    pub(crate) fn new(onnx: &'a Onnx) -> Self {
        let mut classical = OnnxOpRegister::default();
        lusk_onnx_ml::register(&mut classical);
        Self {
            all: &onnx.op_register,
            classical: classical.0.into_keys().collect(),
        }
    }

    /// The operator of a node as `domain.Name`, if there is no such operator.
    pub(crate) fn missing(&self, node: &NodeProto) -> Option<String> {
        let domain = match node.domain.as_str() {
            "" => STANDARD,
            domain => domain,
        };
        let name = node.op_type.as_str();
        let classical = self.classical.contains(name);
        let known = match domain {
            STANDARD => !classical && !FOREIGN.contains(&name),
            CLASSICAL => classical,
            "com.microsoft" => MICROSOFT.contains(&name),
            _ => false,
        };
        let found = known && self.all.0.contains_key(name);
        (!found).then(|| format!("{domain}.{name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(domain: &str, name: &str) -> Option<String> {
        let mut onnx = tract_onnx::onnx();
        lusk_onnx_ml::register(&mut onnx.op_register);
        let node = NodeProto {
            domain: domain.into(),
            op_type: name.into(),
            ..NodeProto::default()
        };
        Operators::new(&onnx).missing(&node)
    }

    #[test]
    fn a_name_counts_in_its_own_domain() {
        for (domain, name) in [
            ("", "Pad"),
            ("ai.onnx", "Pad"),
            ("ai.onnx.ml", "Scaler"),
            ("com.microsoft", "BiasGelu"),
        ] {
            assert_eq!(missing(domain, name), None, "{domain}.{name}");
        }
        for (domain, name) in [
            ("com.microsoft", "Pad"),
            ("com.microsoft", "Attention"),
            ("their.own", "Pad"),
            ("ai.onnx.ml", "Pad"),
        ] {
            let expected = Some(format!("{domain}.{name}"));
            assert_eq!(missing(domain, name), expected);
        }
        assert_eq!(missing("", "Scaler").as_deref(), Some("ai.onnx.Scaler"));
        assert_eq!(missing("", "BiasGelu").as_deref(), Some("ai.onnx.BiasGelu"));
    }

    #[test]
    fn all_names_are_in_the_registry() {
        let mut onnx = tract_onnx::onnx();
        crate::ops::register(&mut onnx.op_register);
        let known = onnx.op_register.0;
        for name in MICROSOFT.iter().chain(&FOREIGN) {
            assert!(known.contains_key(*name), "{name}");
        }
    }
}

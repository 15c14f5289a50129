//! Attributes of a node, read with their types checked.

use tract_onnx::{
    model::ParsingContext,
    pb::{NodeProto, TensorProto, tensor_proto::DataType},
    tract_hir::internal::*,
};

/// The domain of all operators here.
pub(crate) const DOMAIN: &str = "ai.onnx.ml";

/// The attributes of one node.
pub(crate) struct Attributes<'a> {
    node: &'a NodeProto,
    context: &'a ParsingContext<'a>,
    /// The version of the domain that the model imports.
    pub(crate) version: i64,
}

/// Numbers that a model gives as floats or, in newer versions, as doubles.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Numbers {
    Single(Vec<f32>),
    Double(Vec<f64>),
}

impl<'a> Attributes<'a> {
    /// The attributes of `node`, all of which must be among `known`.
    pub(crate) fn new(
        context: &'a ParsingContext<'a>,
        node: &'a NodeProto,
        version: i64,
        known: &[&str],
    ) -> TractResult<Self> {
        let mut names = node.attribute.iter().map(|attribute| &*attribute.name);
        if let Some(name) = names.find(|name| !known.contains(name)) {
            bail!("{} has no attribute `{name}`", node.op_type);
        }
        Ok(Self {
            node,
            context,
            version,
        })
    }

    /// How many inputs the node has.
    pub(crate) fn inputs(&self) -> usize {
        self.node.input.len()
    }

    /// Whether the node says anything about `name`.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.node.attribute.iter().any(|known| known.name == name)
    }

    /// A list of integers, empty if it is not there.
    pub(crate) fn ints(&self, name: &str) -> TractResult<&'a [i64]> {
        Ok(self.node.get_attr_opt_slice(name)?.unwrap_or_default())
    }

    /// A list of floats, empty if it is not there.
    pub(crate) fn floats(&self, name: &str) -> TractResult<&'a [f32]> {
        Ok(self.node.get_attr_opt_slice(name)?.unwrap_or_default())
    }

    /// A list of texts, empty if it is not there.
    pub(crate) fn texts(&self, name: &str) -> TractResult<Vec<&'a str>> {
        Ok(self.node.get_attr_opt_vec(name)?.unwrap_or_default())
    }

    /// An integer, if it is there.
    pub(crate) fn int(&self, name: &str) -> TractResult<Option<i64>> {
        self.node.get_attr_opt(name)
    }

    /// A float, if it is there.
    pub(crate) fn float(&self, name: &str) -> TractResult<Option<f32>> {
        self.node.get_attr_opt(name)
    }

    /// A text, if it is there.
    pub(crate) fn text(&self, name: &str) -> TractResult<Option<&'a str>> {
        self.node.get_attr_opt(name)
    }

    /// A tensor with at most one dimension, if it is there.
    pub(crate) fn tensor(&self, name: &str) -> TractResult<Option<Tensor>> {
        let Some(proto) = self.node.get_attr_opt::<&TensorProto>(name)? else {
            return Ok(None);
        };
        let is_text = proto.data_type == DataType::String as i32;
        ensure!(
            !is_text || proto.raw_data.is_empty(),
            "`{name}` holds texts as raw bytes"
        );
        let known = [
            DataType::Float,
            DataType::Double,
            DataType::Float16,
            DataType::Int16,
            DataType::Int32,
            DataType::Int64,
            DataType::String,
            DataType::Uint8,
        ];
        ensure!(
            known.iter().any(|kind| *kind as i32 == proto.data_type),
            "`{name}` is a tensor of the element type {}, which does not fit",
            proto.data_type
        );
        ensure!(
            proto.dims.len() <= 1,
            "`{name}` has {} dimensions, at most one fits",
            proto.dims.len()
        );
        self.context.load_tensor(proto).map(Some)
    }

    /// Numbers from `name` or from `name_as_tensor`; empty if neither is there.
    pub(crate) fn numbers(&self, name: &str) -> TractResult<Numbers> {
        let as_tensor = format!("{name}_as_tensor");
        let singles = self.floats(name)?;
        match self.tensor(&as_tensor)? {
            None => Ok(Numbers::Single(singles.to_vec())),
            Some(_) if !singles.is_empty() => {
                bail!("both `{name}` and `{as_tensor}` are given")
            }
            Some(tensor) => Numbers::of(&as_tensor, &tensor),
        }
    }
}

impl Numbers {
    /// The numbers of a tensor of floats or doubles.
    pub(crate) fn of(name: &str, tensor: &Tensor) -> TractResult<Self> {
        let view = tensor.try_as_plain_ram()?;
        let kind = tensor.datum_type();
        if kind == f32::datum_type() {
            Ok(Self::Single(view.as_slice::<f32>()?.to_vec()))
        } else if kind == f64::datum_type() {
            Ok(Self::Double(view.as_slice::<f64>()?.to_vec()))
        } else {
            bail!("`{name}` is a tensor of {kind:?}, floats or doubles are wanted")
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Single(numbers) => numbers.len(),
            Self::Double(numbers) => numbers.len(),
        }
    }

    pub(crate) fn is_double(&self) -> bool {
        matches!(self, Self::Double(_))
    }

    pub(crate) fn to_doubles(&self) -> Vec<f64> {
        match self {
            Self::Single(numbers) => numbers.iter().map(|number| f64::from(*number)).collect(),
            Self::Double(numbers) => numbers.clone(),
        }
    }
}

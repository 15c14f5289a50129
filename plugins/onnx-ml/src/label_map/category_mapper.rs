//! `CategoryMapper`: texts to integers or back, as the input is.

use std::sync::Arc;

use tract_onnx::tract_hir::internal::*;

use super::table::{FloatKeys, LookUp};
use crate::{
    attributes::Attributes,
    operator::{Kernel, Operator, Port},
    rows::single,
};

/// What stands for integers that are not in the table.
const DEFAULT_TEXT: &str = "_Unused";

/// What stands for texts that are not in the table.
const DEFAULT_INT: i64 = -1;

/// The operator.
#[derive(Debug)]
pub(crate) struct CategoryMapper {
    to_ints: LookUp<String, i64>,
    to_texts: LookUp<i64, String>,
}

impl Operator for CategoryMapper {
    const NAME: &'static str = "CategoryMapper";
    const ATTRIBUTES: &'static [&'static str] = &[
        "cats_int64s",
        "cats_strings",
        "default_int64",
        "default_string",
    ];

    fn read(attributes: &Attributes) -> TractResult<Arc<dyn Kernel>> {
        let ints = attributes.ints("cats_int64s")?;
        let texts = attributes.texts("cats_strings")?;
        ensure!(
            ints.len() == texts.len(),
            "`cats_int64s` has {} values, `cats_strings` has {}",
            ints.len(),
            texts.len()
        );
        Ok(Arc::new(Self::new(attributes, ints, &texts)?))
    }
}

impl CategoryMapper {
    /// A mapper between `ints` and `texts`, with the node's defaults.
    pub(crate) fn new(attributes: &Attributes, ints: &[i64], texts: &[&str]) -> TractResult<Self> {
        let default_int = attributes.int("default_int64")?.unwrap_or(DEFAULT_INT);
        let default_text = attributes.text("default_string")?.unwrap_or(DEFAULT_TEXT);
        let owned = || texts.iter().map(|text| String::from(*text));
        let ints = || ints.iter().copied();
        let exact = FloatKeys::ByBits;
        Ok(Self {
            to_ints: LookUp::new(owned(), ints(), default_int, exact),
            to_texts: LookUp::new(ints(), owned(), default_text.into(), exact),
        })
    }

    fn direction(&self, kind: DatumType) -> &dyn Kernel {
        if kind == String::datum_type() {
            &self.to_ints
        } else {
            &self.to_texts
        }
    }
}

impl Kernel for CategoryMapper {
    fn outputs(&self, inputs: &[Port]) -> TractResult<TVec<Port>> {
        self.direction(single(inputs)?.kind).outputs(inputs)
    }

    fn run(&self, inputs: &[&Tensor]) -> TractResult<TVec<Tensor>> {
        self.direction(inputs[0].datum_type()).run(inputs)
    }
}

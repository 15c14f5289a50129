//! `OneHotEncoder`: a one at the place of an element's category.

use std::{collections::HashMap, sync::Arc};

use tract_onnx::tract_hir::internal::*;

use crate::{
    attributes::Attributes,
    labels::Labels,
    operator::{Kernel, Operator, Port},
    rows::{NUMERIC, doubles, elements, filled, single},
};

/// The operator.
#[derive(Debug)]
pub(crate) struct OneHotEncoder {
    places: Places,
    /// Extent of the dimension that is added.
    categories: usize,
    /// Whether an unknown category is all zeros, or an error.
    zeros: bool,
}

#[derive(Debug)]
enum Places {
    Ints(HashMap<i64, usize>),
    Texts(HashMap<String, usize>),
}

impl Operator for OneHotEncoder {
    const NAME: &'static str = "OneHotEncoder";
    const ATTRIBUTES: &'static [&'static str] = &["cats_int64s", "cats_strings", "zeros"];

    fn read(attributes: &Attributes) -> TractResult<Arc<dyn Kernel>> {
        let labels = Labels::read(attributes, "cats_int64s", "cats_strings")?;
        let categories = labels.len();
        let places = match labels {
            Labels::Ints(labels) => Places::Ints(labels.into_iter().zip(0..).collect()),
            Labels::Texts(labels) => Places::Texts(labels.into_iter().zip(0..).collect()),
        };
        Ok(Arc::new(Self {
            places,
            categories,
            zeros: attributes.int("zeros")?.unwrap_or(1) != 0,
        }))
    }
}

impl OneHotEncoder {
    fn places(&self, input: &Tensor) -> TractResult<Vec<Option<usize>>> {
        let is_text = input.datum_type() == String::datum_type();
        match &self.places {
            Places::Texts(places) if is_text => {
                let texts = elements::<String>(input)?.iter();
                Ok(texts.map(|text| places.get(text).copied()).collect())
            }
            Places::Ints(places) if input.datum_type() == i64::datum_type() => {
                let ints = elements::<i64>(input)?.iter();
                Ok(ints.map(|int| places.get(int).copied()).collect())
            }
            Places::Ints(places) if !is_text => {
                let numbers = doubles(input)?;
                let place = |number: &f64| places.get(&whole(*number)?).copied();
                Ok(numbers.iter().map(place).collect())
            }
            _ => bail!(
                "the categories do not fit an input of {:?}",
                input.datum_type()
            ),
        }
    }
}

/// A number cut to an integer, unless that is not possible.
fn whole(number: f64) -> Option<i64> {
    let cut = number.trunc();
    let fits = cut >= i64::MIN as f64 && cut < i64::MAX as f64;
    fits.then_some(cut as i64)
}

impl Kernel for OneHotEncoder {
    fn outputs(&self, inputs: &[Port]) -> TractResult<TVec<Port>> {
        let input = single(inputs)?;
        let fits = match &self.places {
            Places::Ints(_) => NUMERIC.contains(&input.kind),
            Places::Texts(_) => input.kind == String::datum_type(),
        };
        ensure!(
            fits,
            "the categories do not fit an input of {:?}",
            input.kind
        );
        let mut shape = input.shape.clone();
        shape.push(self.categories.into());
        Ok(tvec![Port::new(f32::datum_type(), shape)])
    }

    fn run(&self, inputs: &[&Tensor]) -> TractResult<TVec<Tensor>> {
        let places = self.places(inputs[0])?;
        let mut shape: TVec<usize> = inputs[0].shape().into();
        shape.push(self.categories);
        let output = filled(&shape, |to: &mut [f32]| {
            let spans = to.chunks_exact_mut(self.categories);
            for (position, (span, place)) in spans.zip(places).enumerate() {
                match place {
                    Some(place) => span[place] = 1.0,
                    None => ensure!(
                        self.zeros,
                        "element {position} is of none of the {} categories",
                        self.categories
                    ),
                }
            }
            Ok(())
        })?;
        Ok(tvec![output])
    }
}

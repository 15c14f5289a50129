//! `Tile`, as long as its output takes.
//!
//! tract copies once for each repeat, also where there is nothing to copy: millions
//! of repeats that a request asks for took a minute.

use tract_onnx::{
    model::ParsingContext,
    pb::NodeProto,
    tract_core::ops::array,
    tract_hir::{internal::*, ops::array::Tile as TileInference},
};

/// Builds the operator.
pub(crate) fn tile(
    _context: &ParsingContext,
    _node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    Ok((expand(TileExpansion), vec![]))
}

#[derive(Debug, Clone)]
struct TileExpansion;

impl Expansion for TileExpansion {
    fn name(&self) -> StaticName {
        "Tile".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        solver: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        TileInference.rules(solver, inputs, outputs)
    }

    fn wire(
        &self,
        prefix: &str,
        model: &mut TypedModel,
        inputs: &[OutletId],
    ) -> TractResult<TVec<OutletId>> {
        let repeats = model.outlet_fact(inputs[1])?.konst.as_ref();
        let repeats = repeats
            .context("repeats are not known")?
            .cast_to::<TDim>()?;
        let repeats = repeats.try_as_plain_ram()?.as_slice::<TDim>()?.into();
        let tile = Tile(array::Tile::new(repeats));
        model.wire_node(prefix, tile, &inputs[..1])
    }
}

/// tract's, with copies of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Tile(array::Tile);

impl Op for Tile {
    fn name(&self) -> StaticName {
        self.0.name()
    }

    fn info(&self) -> TractResult<Vec<String>> {
        self.0.info()
    }

    op_as_typed_op!();
}

impl EvalOp for Tile {
    fn eval(&self, context: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let input = args_1!(inputs);
        let repeats = self.0.multipliers.iter();
        let repeats: TVec<usize> = repeats
            .map(|repeats| Ok(repeats.eval(context.symbols).to_usize()?))
            .collect::<TractResult<_>>()?;
        ensure!(
            repeats.len() == input.rank(),
            "{} repeats for {} axes",
            repeats.len(),
            input.rank()
        );
        let tiled = dispatch_datum!(tiled(input.datum_type())(&input, &repeats))?;
        Ok(tvec![tiled.into_tvalue()])
    }

    op_out_of_plan!();
}

impl TypedOp for Tile {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        self.0.output_facts(inputs)
    }

    fn set_symbols(
        &self,
        _source: &TypedModel,
        node: &TypedNode,
        target: &mut TypedModel,
        mapping: &HashMap<OutletId, OutletId>,
        known: &HashMap<Symbol, TDim>,
    ) -> TractResult<TVec<OutletId>> {
        let repeats = self.0.multipliers.iter();
        let repeats = repeats
            .map(|repeats| repeats.substitute_all(known))
            .collect::<TractResult<_>>()?;
        let tile = Self(array::Tile::new(repeats));
        target.wire_node(&node.name, tile, &[mapping[&node.inputs[0]]])
    }

    fn declutter(
        &self,
        model: &TypedModel,
        node: &TypedNode,
    ) -> TractResult<Option<TypedModelPatch>> {
        self.0.declutter(model, node)
    }

    as_op!();
}

fn tiled<T: Datum>(input: &Tensor, repeats: &[usize]) -> TractResult<Tensor> {
    let mut shape: TVec<usize> = input.shape().into();
    for (extent, repeats) in shape.iter_mut().zip(repeats) {
        *extent = extent.checked_mul(*repeats).context("too many elements")?;
    }
    if shape.contains(&0) {
        return Tensor::zero_dt(T::datum_type(), &shape);
    }
    let mut tiled = input.try_as_plain_ram()?.as_slice::<T>()?.to_vec();
    let mut block = 1;
    // From the last axis on, what is repeated lies together.
    for (axis, repeats) in repeats.iter().copied().enumerate().rev() {
        block *= input.shape()[axis];
        if repeats > 1 {
            let mut longer = Vec::with_capacity(tiled.len() * repeats);
            for source in tiled.chunks_exact(block) {
                let start = longer.len();
                let end = start + block * repeats;
                longer.extend_from_slice(source);
                while longer.len() < end {
                    let more = (longer.len() - start).min(end - longer.len());
                    longer.extend_from_within(start..start + more);
                }
            }
            tiled = longer;
            block *= repeats;
        }
    }
    Ok(tract_ndarray::ArrayD::from_shape_vec(&*shape, tiled)?.into_tensor())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(input: Tensor, repeats: &[usize]) -> Tensor {
        let repeats = repeats.iter().map(|repeats| repeats.to_dim()).collect();
        let tile = Tile(array::Tile::new(repeats));
        let outputs = tile.eval_out_of_plan(tvec![input.into_tvalue()]);
        outputs.unwrap().unwrap().remove(0).into_tensor()
    }

    #[test]
    fn whole_axes_are_repeated() {
        let input = tensor2(&[[1i64, 2, 3], [4, 5, 6]]);
        let expected = [[1i64, 2, 3, 1, 2, 3], [4, 5, 6, 4, 5, 6]];
        assert_eq!(run(input.clone(), &[1, 2]), tensor2(&expected));
        let expected = [
            [1i64, 2, 3],
            [4, 5, 6],
            [1, 2, 3],
            [4, 5, 6],
            [1, 2, 3],
            [4, 5, 6],
        ];
        assert_eq!(run(input.clone(), &[3, 1]), tensor2(&expected));
        assert_eq!(run(input, &[0, 2]).shape(), [0, 6]);
        let texts = ["a", "b"].map(String::from);
        let expected = ["a", "b", "a", "b"].map(String::from);
        assert_eq!(run(tensor1(&texts), &[2]), tensor1(&expected));
        assert_eq!(run(tensor0(7u8), &[]), tensor0(7u8));
    }

    #[test]
    fn copies_of_nothing_and_of_little_take_no_time() {
        let start = std::time::Instant::now();
        let nothing = Tensor::from_shape::<f32>(&[0, 1], &[]).unwrap();
        let many = i32::MAX as usize;
        assert_eq!(run(nothing.clone(), &[1, many]).shape(), [0, many]);
        assert_eq!(run(nothing, &[many, 1]).shape(), [0, 1]);
        let one = Tensor::from_shape(&[1, 1], &[1u8]).unwrap();
        assert_eq!(run(one, &[1 << 13, 1 << 13]).len(), 1 << 26);
        assert!(start.elapsed().as_secs() < 10, "{:?}", start.elapsed());
    }
}

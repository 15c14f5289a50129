//! Inputs as rows of numbers, outputs as filled tensors.

use std::borrow::Cow;

use tract_onnx::tract_hir::internal::*;

use crate::operator::Port;

/// The element types that the operators on numbers take.
pub(crate) const NUMERIC: [DatumType; 4] = [
    DatumType::F32,
    DatumType::F64,
    DatumType::I32,
    DatumType::I64,
];

/// The one input of an operator that takes numbers.
pub(crate) fn numeric(inputs: &[Port]) -> TractResult<&Port> {
    let input = single(inputs)?;
    ensure!(
        NUMERIC.contains(&input.kind),
        "an input of {:?} does not fit, {NUMERIC:?} do",
        input.kind
    );
    Ok(input)
}

/// The one input of an operator.
pub(crate) fn single(inputs: &[Port]) -> TractResult<&Port> {
    match inputs {
        [input] => Ok(input),
        _ => bail!("expected 1 input, got {}", inputs.len()),
    }
}

/// Rows and columns of a shape `[N, C]`, or of `[C]`, which is one row.
pub(crate) fn table(shape: &[TDim]) -> TractResult<(TDim, TDim)> {
    match shape {
        [columns] => Ok((1.into(), columns.clone())),
        [rows, columns] => Ok((rows.clone(), columns.clone())),
        _ => bail!("an input of {} dimensions is no table", shape.len()),
    }
}

/// Checks the width of a table as far as it is known when a model is loaded.
pub(crate) fn check_columns(
    columns: &TDim,
    fits: impl Fn(usize) -> TractResult<()>,
) -> TractResult<()> {
    columns.to_usize().map_or(Ok(()), fits)
}

/// Rows and columns of a tensor that is a table.
pub(crate) fn extents(tensor: &Tensor) -> TractResult<(usize, usize)> {
    match *tensor.shape() {
        [columns] => Ok((1, columns)),
        [rows, columns] => Ok((rows, columns)),
        _ => bail!("a tensor of shape {:?} is no table", tensor.shape()),
    }
}

/// The elements of a tensor.
pub(crate) fn elements<T: Datum>(tensor: &Tensor) -> TractResult<&[T]> {
    tensor.try_as_plain_ram()?.as_slice::<T>()
}

/// The elements of a numeric tensor as floats.
pub(crate) fn floats(tensor: &Tensor) -> TractResult<Cow<'_, [f32]>> {
    Ok(match tensor.datum_type() {
        DatumType::F32 => Cow::Borrowed(elements::<f32>(tensor)?),
        DatumType::F64 => converted::<f64, _>(tensor, |value| value as f32)?,
        DatumType::I32 => converted::<i32, _>(tensor, |value| value as f32)?,
        DatumType::I64 => converted::<i64, _>(tensor, |value| value as f32)?,
        kind => bail!("a tensor of {kind:?} holds no numbers"),
    })
}

/// The elements of a numeric tensor as doubles.
pub(crate) fn doubles(tensor: &Tensor) -> TractResult<Cow<'_, [f64]>> {
    Ok(match tensor.datum_type() {
        DatumType::F64 => Cow::Borrowed(elements::<f64>(tensor)?),
        DatumType::F32 => converted::<f32, _>(tensor, f64::from)?,
        DatumType::I32 => converted::<i32, _>(tensor, f64::from)?,
        DatumType::I64 => converted::<i64, _>(tensor, |value| value as f64)?,
        kind => bail!("a tensor of {kind:?} holds no numbers"),
    })
}

fn converted<T: Datum + Copy, U: Clone>(
    tensor: &Tensor,
    convert: impl Fn(T) -> U,
) -> TractResult<Cow<'_, [U]>> {
    let elements = elements::<T>(tensor)?.iter();
    Ok(Cow::Owned(elements.map(|value| convert(*value)).collect()))
}

/// A tensor of `shape` whose elements, zero or empty at first, `fill` sets.
pub(crate) fn filled<T: Datum>(
    shape: &[usize],
    fill: impl FnOnce(&mut [T]) -> TractResult<()>,
) -> TractResult<Tensor> {
    let mut tensor = if T::datum_type() == String::datum_type() {
        // Texts have no zero that tract would know.
        let empty = vec![T::default(); shape.iter().product()];
        tensor1(&empty).into_shape(shape)?
    } else {
        Tensor::zero_dt(T::datum_type(), shape)?
    };
    fill(tensor.try_as_plain_ram_mut()?.as_slice_mut::<T>()?)?;
    Ok(tensor)
}

/// A tensor with the shape of `like` that holds each of its elements mapped.
pub(crate) fn mapped<T: Datum, U: Datum>(
    like: &Tensor,
    map: impl Fn(&T) -> U,
) -> TractResult<Tensor> {
    let from = elements::<T>(like)?;
    filled(like.shape(), |to: &mut [U]| {
        for (to, from) in to.iter_mut().zip(from) {
            *to = map(from);
        }
        Ok(())
    })
}

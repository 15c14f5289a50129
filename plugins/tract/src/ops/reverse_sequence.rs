//! `ReverseSequence`: the start of each sequence turned around.

use tract_onnx::{model::ParsingContext, pb::NodeProto, tract_hir::internal::*};

use super::kernel::{Kernel, Port, operator};

/// Builds the operator.
pub(crate) fn reverse_sequence(
    _context: &ParsingContext,
    node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let time = node.get_attr_opt::<i64>("time_axis")?.unwrap_or(0);
    let batch = node.get_attr_opt::<i64>("batch_axis")?.unwrap_or(1);
    let time_first = match (time, batch) {
        (0, 1) => true,
        (1, 0) => false,
        _ => bail!("times along axis {time} and batches along {batch} do not fit"),
    };
    Ok(operator(ReverseSequence { time_first }))
}

#[derive(Debug)]
struct ReverseSequence {
    time_first: bool,
}

impl Kernel for ReverseSequence {
    fn name(&self) -> &'static str {
        "ReverseSequence"
    }

    fn output(&self, inputs: &[Port]) -> TractResult<Port> {
        let [data, lengths] = inputs else {
            bail!("expected 2 inputs, got {}", inputs.len());
        };
        ensure!(
            data.shape.len() >= 2 && lengths.shape.len() == 1,
            "batches of sequences and a list of lengths are needed"
        );
        Ok(Port::new(data.kind, data.shape.clone()))
    }

    fn run(&self, inputs: &[&Tensor]) -> TractResult<Tensor> {
        let shape = inputs[0].shape();
        let lengths = self.lengths(shape, inputs[1])?;
        let inner = shape[2..].iter().product::<usize>() * inputs[0].datum_type().size_of();
        let mut output = Tensor::zero_dt(inputs[0].datum_type(), shape)?;
        let from = inputs[0].try_as_plain_ram()?;
        let mut to = output.try_as_plain_ram_mut()?;
        let chunks = to.as_bytes_mut().chunks_mut(inner.max(1));
        for (place, chunk) in chunks.enumerate() {
            let (row, column) = (place / shape[1], place % shape[1]);
            let source = if self.time_first {
                turned(row, lengths[column]) * shape[1] + column
            } else {
                row * shape[1] + turned(column, lengths[row])
            };
            chunk.copy_from_slice(&from.as_bytes()[source * inner..][..inner]);
        }
        Ok(output)
    }
}

impl ReverseSequence {
    fn lengths(&self, shape: &[usize], lengths: &Tensor) -> TractResult<Vec<usize>> {
        let (times, batch) = if self.time_first {
            (shape[0], shape[1])
        } else {
            (shape[1], shape[0])
        };
        let lengths = lengths.cast_to::<i64>()?;
        let lengths = lengths.try_as_plain_ram()?;
        let lengths = lengths.as_slice::<i64>()?;
        ensure!(
            lengths.len() == batch,
            "{} lengths are given for {batch} sequences",
            lengths.len()
        );
        let checked = |length: &i64| {
            let length = usize::try_from(*length).ok();
            length
                .filter(|length| *length <= times)
                .with_context(|| format!("a sequence is longer than {times} or negative"))
        };
        lengths.iter().map(checked).collect()
    }
}

fn turned(time: usize, length: usize) -> usize {
    if time < length {
        length - 1 - time
    } else {
        time
    }
}

//! Recurrent operators that run from the end.

use tract_onnx::pb::NodeProto;

use super::body::{Body, attribute, input, needed, output, text, text_of};

/// `RNN`, `GRU` and `LSTM` with the direction `reverse`, which tract reads as
/// forward: forward over the sequence turned around, and back.
pub(crate) fn in_reverse(node: &NodeProto, body: &mut Body) -> Result<bool, String> {
    if text_of(node, "direction", "forward") != "reverse" {
        return Ok(false);
    }
    if input(node, 4).is_some() {
        return Err("in reverse with lengths of sequences is not supported".into());
    }
    if attribute(node, "layout").is_some_and(|layout| layout.i != 0) {
        return Err("in reverse with batches first is not supported".into());
    }
    let mut forward = node.clone();
    forward.input[0] = turned(body, needed(node, 0)?);
    forward.attribute.retain(|known| known.name != "direction");
    forward.attribute.push(text("direction", "forward"));
    let Some(sequence) = output(node, 0) else {
        body.push(forward);
        return Ok(true);
    };
    forward.output[0] = body.fresh("forward");
    let answer = forward.output[0].clone();
    body.push(forward);
    let back = turned(body, &answer);
    body.call_as("Identity", &[&back], vec![], sequence);
    Ok(true)
}

/// The first axis from its end to its start.
fn turned(body: &mut Body, from: &str) -> String {
    let bounds = [-1, i64::MIN + 1, 0, -1].map(|bound| body.integers(&[bound]));
    let [start, end, axis, step] = &bounds;
    body.call("Slice", &[from, start, end, axis, step], vec![])
}

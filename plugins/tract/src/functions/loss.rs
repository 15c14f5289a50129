//! Losses: how far scores are from what they should be.

use tract_onnx::pb::NodeProto;

use super::body::{Body, attribute, input, integer, needed, output, text_of};

/// `NegativeLogLikelihoodLoss`.
pub(crate) fn negative_log_likelihood(node: &NodeProto, body: &mut Body) -> Result<bool, String> {
    let scores = needed(node, 0)?;
    check_version(body)?;
    write_loss(node, body, scores)
}

/// `SoftmaxCrossEntropyLoss`, with the logarithms as a second output.
pub(crate) fn softmax_cross_entropy(node: &NodeProto, body: &mut Body) -> Result<bool, String> {
    let scores = needed(node, 0)?;
    check_version(body)?;
    let logarithms = output(node, 1).map_or_else(|| body.fresh("log_prob"), str::to_owned);
    let along_classes = vec![integer("axis", 1)];
    body.call_as("LogSoftmax", &[scores], along_classes, &logarithms);
    write_loss(node, body, &logarithms)
}

/// Before version 13 `LogSoftmax` and `Unsqueeze` meant something else.
fn check_version(body: &Body) -> Result<(), String> {
    let version = body.version();
    (version >= 13)
        .then_some(())
        .ok_or_else(|| format!("is not supported in version {version}"))
}

/// Scores are `[N, C, ...]`, classes `[N, ...]`: the class's score, negated and
/// weighted, with the ignored class weighing nothing.
fn write_loss(node: &NodeProto, body: &mut Body, scores: &str) -> Result<bool, String> {
    let (classes, weights) = (needed(node, 1)?, input(node, 2));
    let Some(loss) = output(node, 0) else {
        return Err("has no use for its loss".into());
    };
    let classes = body.unsqueeze(classes, 1);
    let zero = body.integer(0);
    let zero = body.call("CastLike", &[&zero, &classes], vec![]);
    let (classes, counts) = match attribute(node, "ignore_index") {
        Some(ignored) => {
            let ignored = body.integer(ignored.i);
            let ignored = body.call("CastLike", &[&ignored, &classes], vec![]);
            let ignored = body.call("Equal", &[&classes, &ignored], vec![]);
            // An ignored class need not exist.
            let classes = body.call("Where", &[&ignored, &zero, &classes], vec![]);
            (classes, body.call("Not", &[&ignored], vec![]))
        }
        None => {
            let counts = body.call("Equal", &[&classes, &classes], vec![]);
            (classes, counts)
        }
    };
    let counts = body.call("CastLike", &[&counts, scores], vec![]);
    let weights = match weights {
        Some(weights) => {
            let weights = body.call("Gather", &[weights, &classes], vec![]);
            body.call("Mul", &[&weights, &counts], vec![])
        }
        None => counts,
    };
    let along_classes = vec![integer("axis", 1)];
    let chosen = body.call("GatherElements", &[scores, &classes], along_classes);
    let chosen = body.call("Mul", &[&chosen, &weights], vec![]);
    let losses = body.call("Neg", &[&chosen], vec![]);
    reduce(
        text_of(node, "reduction", "mean"),
        body,
        &losses,
        &weights,
        loss,
    )
}

fn reduce(
    reduction: &str,
    body: &mut Body,
    losses: &str,
    weights: &str,
    loss: &str,
) -> Result<bool, String> {
    let whole = || vec![integer("keepdims", 0)];
    match reduction {
        "none" => {
            let axes = body.integers(&[1]);
            body.call_as("Squeeze", &[losses, &axes], vec![], loss);
        }
        "sum" => body.call_as("ReduceSum", &[losses], whole(), loss),
        "mean" => {
            let sum = body.call("ReduceSum", &[losses], whole());
            let weight = body.call("ReduceSum", &[weights], whole());
            body.call_as("Div", &[&sum, &weight], vec![], loss);
        }
        other => return Err(format!("has the unknown reduction `{other}`")),
    }
    Ok(true)
}

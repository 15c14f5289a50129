//! `Attention`: what each query makes of the values whose keys it matches.

use tract_onnx::pb::{AttributeProto, NodeProto, attribute_proto::AttributeType};

use super::body::{Body, attribute, input, integer, needed, output};
use crate::ops::attention::{HIDE_KEYS, REPEAT_HEADS, WEIGHTS};

/// Attributes that say which keys a query sees.
const BOUNDS: [&str; 3] = ["is_causal", "left_window_size", "right_window_size"];

/// Scores, hidden keys, weights, values.
pub(crate) fn attention(node: &NodeProto, body: &mut Body) -> Result<bool, String> {
    let heads = [number(node, "q_num_heads"), number(node, "kv_num_heads")];
    let (queries, keys, values) = match heads {
        [Some(q), Some(kv)] => (
            split(body, needed(node, 0)?, q),
            split(body, needed(node, 1)?, kv),
            split(body, needed(node, 2)?, kv),
        ),
        _ => (
            needed(node, 0)?.to_owned(),
            needed(node, 1)?.to_owned(),
            needed(node, 2)?.to_owned(),
        ),
    };
    let keys = with_past(body, input(node, 4), keys, output(node, 1));
    let values = with_past(body, input(node, 5), values, output(node, 2));
    let keys = body.call(REPEAT_HEADS, &[&keys, &queries], vec![]);
    let values = body.call(REPEAT_HEADS, &[&values, &queries], vec![]);

    let scores = scores(node, body, &queries, &keys);
    let capped = cap(node, body, &scores);
    let visible = hide(node, body, &capped);
    let weights = body.call(WEIGHTS, &[&visible], vec![]);
    if let Some(shown) = output(node, 3) {
        let mode = number(node, "qk_matmul_output_mode").unwrap_or_default();
        let stages = [&scores, &capped, &visible, &weights];
        let stage = usize::try_from(mode).ok().and_then(|mode| stages.get(mode));
        let stage = stage.ok_or_else(|| format!("has no output mode {mode}"))?;
        body.call_as("Identity", &[stage], vec![], shown);
    }
    let Some(answer) = output(node, 0) else {
        return Err("has no use for its answer".into());
    };
    let seen = body.call("MatMul", &[&weights, &values], vec![]);
    if heads.iter().all(Option::is_some) {
        merge(body, &seen, answer);
    } else {
        body.call_as("Identity", &[&seen], vec![], answer);
    }
    Ok(true)
}

/// `[batch, length, heads * size]` as `[batch, heads, length, size]`.
fn split(body: &mut Body, data: &str, heads: i64) -> String {
    let shape = body.integers(&[0, 0, heads, -1]);
    let split = body.call("Reshape", &[data, &shape], vec![]);
    body.call("Transpose", &[&split], vec![heads_and_lengths()])
}

/// The other way.
fn merge(body: &mut Body, data: &str, into: &str) {
    let together = body.call("Transpose", &[data], vec![heads_and_lengths()]);
    let shape = body.integers(&[0, 0, -1]);
    body.call_as("Reshape", &[&together, &shape], vec![], into);
}

fn heads_and_lengths() -> AttributeProto {
    swapped(&[0, 2, 1, 3])
}

fn swapped(axes: &[i64]) -> AttributeProto {
    AttributeProto {
        name: "perm".into(),
        r#type: AttributeType::Ints.into(),
        ints: axes.to_vec(),
        ..AttributeProto::default()
    }
}

/// What was there before, and what is new; `shown` is its name outside.
fn with_past(body: &mut Body, past: Option<&str>, new: String, shown: Option<&str>) -> String {
    let all = match past {
        Some(past) => body.call("Concat", &[past, &new], vec![integer("axis", 2)]),
        None => new,
    };
    if let Some(shown) = shown {
        body.call_as("Identity", &[&all], vec![], shown);
    }
    all
}

fn scores(node: &NodeProto, body: &mut Body, queries: &str, keys: &str) -> String {
    let scaled = match attribute(node, "scale") {
        Some(scale) => {
            let scale = body.number(scale.f, queries);
            body.call("Mul", &[queries, &scale], vec![])
        }
        None => {
            let shape = body.call("Shape", &[queries], vec![]);
            let last = body.integer(3);
            let size = body.call("Gather", &[&shape, &last], vec![]);
            let size = body.call("CastLike", &[&size, queries], vec![]);
            let root = body.call("Sqrt", &[&size], vec![]);
            body.call("Div", &[queries, &root], vec![])
        }
    };
    let keys = body.call("Transpose", &[keys], vec![swapped(&[0, 1, 3, 2])]);
    body.call("MatMul", &[&scaled, &keys], vec![])
}

fn cap(node: &NodeProto, body: &mut Body, scores: &str) -> String {
    let cap = attribute(node, "softcap").map_or(0., |cap| cap.f);
    if cap <= 0. {
        return scores.to_owned();
    }
    let cap = body.number(cap, scores);
    let part = body.call("Div", &[scores, &cap], vec![]);
    let part = body.call("Tanh", &[&part], vec![]);
    body.call("Mul", &[&part, &cap], vec![])
}

fn hide(node: &NodeProto, body: &mut Body, scores: &str) -> String {
    let bounds = node.attribute.iter();
    let bounds = bounds.filter(|attribute| BOUNDS.contains(&attribute.name.as_str()));
    let mut attributes: Vec<AttributeProto> = bounds.cloned().collect();
    let mut inputs = vec![scores];
    for (name, position) in [("has_mask", 3), ("has_past", 4), ("has_lengths", 6)] {
        if let Some(value) = input(node, position) {
            inputs.push(value);
            attributes.push(integer(name, 1));
        }
    }
    if attributes.is_empty() {
        return scores.to_owned();
    }
    body.call(HIDE_KEYS, &inputs, attributes)
}

fn number(node: &NodeProto, name: &str) -> Option<i64> {
    attribute(node, name).map(|attribute| attribute.i)
}

//! Attributes that tract believes whatever they say.
//!
//! An axis that is moved twice makes its optimiser turn in circles, and a
//! window of billions of elements is walked through element by element.

use tract_onnx::pb::{AttributeProto, NodeProto};

/// The most elements of a window. Pooling a whole image of 2048 × 2048 takes
/// four million.
const MAX_WINDOW: i64 = 1 << 22;

/// The most that a window moves or is spread along an axis.
const MAX_STEP: i64 = 1 << 16;

/// The most that is put around an image. Windows are seldom wider than 31.
const MAX_PADDING: i64 = 512;

/// What is wrong with the attributes of a node of `ai.onnx`, if anything.
pub(crate) fn check(node: &NodeProto) -> Result<(), String> {
    let wrong = |attribute: &AttributeProto| {
        Err(format!(
            "node `{}` ({}) has the impossible attribute {} = {:?}",
            node.name, node.op_type, attribute.name, attribute.ints
        ))
    };
    if node.op_type == "Scan" {
        let scanned = node.attribute.iter().find(|a| a.name == "num_scan_inputs");
        let all = node.input.len() as i64;
        if scanned.is_none_or(|scanned| !(1..=all).contains(&scanned.i)) {
            return Err(format!(
                "node `{}` (Scan) scans more inputs than it has",
                node.name
            ));
        }
    }
    for attribute in &node.attribute {
        let values = &attribute.ints;
        let each = |low, high| values.iter().all(|value| (low..=high).contains(value));
        let fits = match (node.op_type.as_str(), attribute.name.as_str()) {
            ("Transpose", "perm") => is_permutation(values),
            (_, "kernel_shape") => {
                let window = values.iter().try_fold(1i64, |a, b| a.checked_mul(*b));
                each(1, MAX_WINDOW) && window.is_some_and(|window| window <= MAX_WINDOW)
            }
            (_, "strides" | "dilations") => each(1, MAX_STEP),
            ("Conv" | "ConvTranspose" | "MaxPool" | "AveragePool" | "LpPool", "pads") => {
                each(0, MAX_PADDING)
            }
            _ => true,
        };
        if !fits {
            return wrong(attribute);
        }
    }
    Ok(())
}

fn is_permutation(axes: &[i64]) -> bool {
    let mut sorted = axes.to_vec();
    sorted.sort_unstable();
    sorted.into_iter().eq(0..axes.len() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(operator: &str, attribute: &str, values: &[i64]) -> bool {
        let node = NodeProto {
            op_type: operator.into(),
            attribute: vec![AttributeProto {
                name: attribute.into(),
                ints: values.to_vec(),
                ..AttributeProto::default()
            }],
            ..NodeProto::default()
        };
        check(&node).is_ok()
    }

    #[test]
    fn what_no_operator_can_do_is_refused() {
        assert!(fits("Transpose", "perm", &[1, 0, 2]));
        assert!(!fits("Transpose", "perm", &[1, 1]));
        assert!(!fits("Transpose", "perm", &[0, -1]));
        assert!(fits("MaxPool", "kernel_shape", &[3, 3]));
        assert!(!fits("MaxPool", "kernel_shape", &[2, 1 << 33]));
        assert!(!fits("MaxPool", "kernel_shape", &[1 << 32, 1 << 32]));
        assert!(!fits("Conv", "strides", &[0, 1]));
        assert!(!fits("Conv", "pads", &[0, -1, 0, 0]));
        // Cropping is padding by less than nothing.
        assert!(fits("Pad", "pads", &[0, -1]));
    }
}

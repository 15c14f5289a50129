//! Attributes that tract believes whatever they say.
//!
//! An axis that is moved twice makes its optimiser turn in circles, and a
//! window of billions of elements is walked through element by element.

use tract_onnx::pb::{AttributeProto, NodeProto};

/// The most elements of a window: a whole image of 512 × 512.
const MAX_WINDOW: i64 = 1 << 18;

/// The most that a window moves or is spread along an axis.
const MAX_STEP: i64 = 1 << 12;

/// The most that is put around an image. Windows are seldom wider than 31.
const MAX_PADDING: i64 = 512;

/// The most axes of a tensor.
pub(crate) const MAX_RANK: usize = 64;

/// What is wrong with the attributes of a node of `ai.onnx`, if anything.
pub(crate) fn check(node: &NodeProto) -> Result<(), String> {
    let wrong = |attribute: &AttributeProto| {
        Err(format!(
            "node `{}` ({}) has the impossible attribute {} = {}",
            node.name,
            node.op_type,
            attribute.name,
            match (&attribute.s[..], &attribute.ints[..]) {
                ([], []) => attribute.i.to_string(),
                ([], ints) => format!("{ints:?}"),
                (text, _) => String::from_utf8_lossy(text).into_owned(),
            }
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
            ("Einsum", "equation") => is_equation(&attribute.s, node.input.len()),
            (_, "axis") => is_axis(attribute.i),
            (_, "axes") => values.iter().copied().all(is_axis),
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

fn is_axis(axis: i64) -> bool {
    axis.unsigned_abs() <= MAX_RANK as u64
}

/// Whether every operand has its letters and the result only letters of theirs.
fn is_equation(equation: &[u8], operands: usize) -> bool {
    let text = String::from_utf8_lossy(equation).replace([' ', '.'], "");
    let (left, right) = text.split_once("->").unwrap_or((&text, ""));
    let letters = |side: &str| side.chars().all(|c| c.is_ascii_alphabetic());
    left.split(',').count() == operands
        && left.split(',').all(letters)
        && letters(right)
        && right.chars().all(|c| left.contains(c))
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
    fn equations_use_letters_that_they_have() {
        for good in ["ij,jk->ik", "ij, jk", "...ij,jk->...ik", "i,i->"] {
            assert!(is_equation(good.as_bytes(), 2), "{good}");
        }
        for bad in ["ij,jk->io", "ij->i", "ij,j+->i", "ij,jk->i->k", ""] {
            assert!(!is_equation(bad.as_bytes(), 2), "{bad}");
        }
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
        assert!(!fits("Squeeze", "axes", &[1 << 40]));
        // Cropping is padding by less than nothing.
        assert!(fits("Pad", "pads", &[0, -1]));
    }
}

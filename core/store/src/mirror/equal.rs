//! When two answers are the same.

use lusk_contract::MirroredAnswer;
use serde_json::{Number, Value};

/// Bytes of a body above which it is compared byte by byte and not as JSON: a parsed
/// body takes many times its length.
const PARSED_BYTES: usize = 4 << 20;

/// How far two numbers may be apart, relative to the larger one: what single
/// precision and another order of sums make of the same model.
const TOLERANCE: f64 = 1e-6;

/// Whether both answered with the same status and the same body. JSON bodies are the
/// same if their values are, in any order of keys; whole numbers must be equal, other
/// numbers within [`TOLERANCE`]. A JSON text that holds JSON, which is what
/// `json.dumps` in `run` makes, is compared by what it holds.
pub(super) fn are_same(live: &MirroredAnswer, copy: &MirroredAnswer) -> bool {
    live.status.is_some() && live.status == copy.status && are_same_bodies(&live.body, &copy.body)
}

fn are_same_bodies(one: &[u8], other: &[u8]) -> bool {
    if one == other {
        return true;
    }
    if one.len().max(other.len()) > PARSED_BYTES {
        return false;
    }
    match (parsed(one), parsed(other)) {
        (Some(one), Some(other)) => are_same_values(&one, &other),
        _ => false,
    }
}

fn parsed(body: &[u8]) -> Option<Value> {
    let value = serde_json::from_slice(body).ok()?;
    let inner = match &value {
        Value::String(text) => serde_json::from_str(text).ok(),
        _ => None,
    };
    Some(inner.unwrap_or(value))
}

// As deep as the parser lets a value be, which is 128.
fn are_same_values(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => are_same_numbers(one, other),
        (Value::Array(one), Value::Array(other)) => {
            let mut pairs = one.iter().zip(other);
            one.len() == other.len() && pairs.all(|(one, other)| are_same_values(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            let same = |(key, one)| {
                let other = other.get(key);
                other.is_some_and(|other| are_same_values(one, other))
            };
            one.len() == other.len() && one.iter().all(same)
        }
        _ => one == other,
    }
}

fn are_same_numbers(one: &Number, other: &Number) -> bool {
    if one == other {
        return true;
    }
    match (one.as_f64(), other.as_f64()) {
        (Some(a), Some(b)) if one.is_f64() || other.is_f64() => {
            (a - b).abs() <= TOLERANCE * a.abs().max(b.abs())
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_compared_as_values() {
        let cases: [(&str, &str, bool); 14] = [
            ("[1.0, 2]", "[1.0000001,2]", true),
            ("[1.0]", "[1.00001]", false),
            ("1", "1.0", true),
            // Labels and identifiers are no measurements.
            ("10000001", "10000002", false),
            (r#"{"a":1,"b":[2]}"#, r#"{"b":[2],"a":1}"#, true),
            (r#"{"a":1}"#, r#"{"a":1,"b":null}"#, false),
            (r#""[0.1, 0.2]""#, r#""[0.10000001,0.2]""#, true),
            (r#""[0.1]""#, "[0.1]", true),
            (r#""abc""#, r#""abd""#, false),
            ("[1,2]", "[1]", false),
            ("0.0", "-0.0", true),
            ("text", "text", true),
            ("text", "text ", false),
            ("", "null", false),
        ];
        for (one, other, same) in cases {
            let found = are_same_bodies(one.as_bytes(), other.as_bytes());
            assert_eq!(found, same, "{one} and {other}");
        }
    }

    #[test]
    fn no_answer_is_like_no_other() {
        let answer = |status| MirroredAnswer {
            version: "blue".parse().unwrap(),
            status,
            error: None,
            took: std::time::Duration::ZERO,
            body: bytes::Bytes::new(),
        };
        assert!(are_same(&answer(Some(200)), &answer(Some(200))));
        assert!(!are_same(&answer(Some(200)), &answer(Some(500))));
        assert!(!are_same(&answer(None), &answer(None)));
    }
}

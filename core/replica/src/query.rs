//! A GET request's query as the JSON object that plain scripts get.

use std::collections::HashSet;

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

/// `?a=1&a=2&b=x` becomes `{"a":[1,2],"b":"x"}`: each value is JSON if it can
/// be, else text, and a repeated key makes a list, as the original has it.
pub(crate) fn as_json(target: &str) -> String {
    let query = target.split_once('?').map_or("", |(_, query)| query);
    let mut seen: Map<String, Value> = Map::new();
    let mut lists: HashSet<String> = HashSet::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (key, value) = (decoded(key), value_of(&decoded(value)));
        match seen.get_mut(&key) {
            None => drop(seen.insert(key, value)),
            Some(Value::Array(list)) if lists.contains(&key) => list.push(value),
            Some(first) => {
                *first = Value::Array(vec![first.take(), value]);
                lists.insert(key);
            }
        }
    }
    Value::Object(seen).to_string()
}

fn decoded(text: &str) -> String {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
}

fn value_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_json_if_they_can_be() {
        for (target, json) in [
            ("/score", "{}"),
            ("/score?", "{}"),
            ("/score?a=1&a=2&b=x", r#"{"a":[1,2],"b":"x"}"#),
            ("/score?a=[1]&a=2&a=3", r#"{"a":[[1],2,3]}"#),
            ("/score?a=%7B%22x%22%3Atrue%7D", r#"{"a":{"x":true}}"#),
            ("/score?flag", r#"{"flag":""}"#),
            ("/score?t=a+b%20c", r#"{"t":"a b c"}"#),
        ] {
            assert_eq!(as_json(target), json, "{target}");
        }
    }
}

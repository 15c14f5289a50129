//! A pair as one line of JSON.

use lusk_contract::{MirroredAnswer, MirroredPair};
use serde_json::{Map, Value, json};

use super::equal::are_same;

/// Bytes that are kept of a body.
const BODY_BYTES: usize = 64 << 10;

/// The line with its line end. JSON has no bare line end inside.
pub(super) fn line(pair: &MirroredPair) -> Vec<u8> {
    let value = json!({
        "time": format!("{:.3}", pair.at),
        "requestId": pair.request,
        "live": answer(&pair.live),
        "mirror": answer(&pair.copy),
        "equal": are_same(&pair.live, &pair.copy),
    });
    let mut line = value.to_string().into_bytes();
    line.push(b'\n');
    line
}

fn answer(answer: &MirroredAnswer) -> Value {
    let mut value = Map::new();
    let mut put = |key: &str, part: Value| value.insert(key.to_owned(), part);
    put("version", json!(answer.version));
    put("status", json!(answer.status));
    if let Some(error) = &answer.error {
        put("error", json!(error));
    }
    put("milliseconds", json!(answer.took.as_micros() as f64 / 1e3));
    let body = &answer.body;
    let cut = &body[..body.len().min(BODY_BYTES)];
    match std::str::from_utf8(body) {
        Ok(text) => put("body", json!(text[..text.floor_char_boundary(BODY_BYTES)])),
        Err(_) => put("bodyBase64", json!(base64(cut))),
    };
    put("truncated", json!(body.len() > BODY_BYTES));
    Value::Object(value)
}

/// The standard alphabet, padded.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let byte = |at: usize| u32::from(three.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            let sextet = (bits >> (18 - 6 * at)) & 63;
            text.push(match at <= three.len() {
                true => char::from(ALPHABET[sextet as usize]),
                false => '=',
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn of(body: &[u8]) -> Value {
        answer(&MirroredAnswer {
            version: "green".parse().unwrap(),
            status: Some(200),
            error: None,
            took: Duration::from_micros(1_250),
            body: bytes::Bytes::copy_from_slice(body),
        })
    }

    #[test]
    fn an_answer_tells_what_there_was() {
        assert_eq!(
            of(b"[1]\n"),
            json!({"version": "green", "status": 200, "milliseconds": 1.25,
                   "body": "[1]\n", "truncated": false})
        );
    }

    #[test]
    fn bodies_that_are_no_text_are_base64() {
        // The examples of RFC 4648, and bytes that are no UTF-8.
        for (bytes, text) in [("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("", "")] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        assert_eq!(of(&[0xff, 0xfe, 0xfd, 0])["bodyBase64"], "//79AA==");
    }

    #[test]
    fn long_bodies_are_cut_between_characters() {
        let long = of("ä".repeat(BODY_BYTES).as_bytes());
        assert_eq!(long["truncated"], true);
        assert_eq!(long["body"].as_str().unwrap().len(), BODY_BYTES);
        let odd = of(format!("x{}", "ä".repeat(BODY_BYTES)).as_bytes());
        assert_eq!(odd["body"].as_str().unwrap().len(), BODY_BYTES - 1);
    }
}

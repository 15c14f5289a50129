//! Keys of services: made here, or given by the user.

use lusk_domain::{KeyPair, Secret};

use crate::ControlError;

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Longest key that a user may give.
const MAX_LENGTH: usize = 256;

/// A new key from the operating system's random source.
pub(crate) fn generate() -> Result<Secret, ControlError> {
    let mut key = String::with_capacity(KeyPair::GENERATED_LENGTH);
    let mut random = [0; KeyPair::GENERATED_LENGTH];
    while key.len() < KeyPair::GENERATED_LENGTH {
        getrandom::fill(&mut random).map_err(|error| {
            ControlError::Internal(format!("no random bytes for a key: {error}"))
        })?;
        let digits = random.iter().filter_map(|byte| digit(*byte));
        key.extend(digits.take(KeyPair::GENERATED_LENGTH - key.len()));
    }
    Ok(Secret::new(key))
}

/// One digit, or nothing for bytes whose remainder would favour the first ones.
fn digit(byte: u8) -> Option<char> {
    let fair = u8::MAX - (u8::MAX % 62) - 1;
    (byte <= fair).then(|| char::from(BASE62[usize::from(byte % 62)]))
}

/// The given key if it is one, else a new one.
pub(crate) fn given_or_new(given: Option<&Secret>, path: &str) -> Result<Secret, ControlError> {
    match given {
        None => generate(),
        Some(key) => {
            let text = key.reveal();
            let good = (1..=MAX_LENGTH).contains(&text.len())
                && text.bytes().all(|b| b.is_ascii_graphic());
            good.then(|| key.clone()).ok_or_else(|| {
                ControlError::invalid(
                    path,
                    format!(
                        "a key has 1 to {MAX_LENGTH} visible ASCII characters, this one {}",
                        flaw(text)
                    ),
                )
            })
        }
    }
}

/// What is wrong with a key, without telling the key.
fn flaw(text: &str) -> String {
    match text.chars().position(|c| !c.is_ascii_graphic()) {
        Some(at) => format!("has another one at position {}", at + 1),
        None => format!("has {}", text.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_digit_has_the_same_chance() {
        let mut seen = std::collections::BTreeMap::new();
        for byte in 0..=u8::MAX {
            if let Some(digit) = digit(byte) {
                *seen.entry(digit).or_insert(0) += 1;
            }
        }
        assert_eq!(seen.len(), 62);
        assert!(seen.values().all(|times| *times == 4), "{seen:?}");
    }

    #[test]
    fn generated_keys_are_32_digits_and_differ() {
        let (one, other) = (generate().unwrap(), generate().unwrap());
        assert_eq!(one.reveal().len(), 32);
        assert!(one.reveal().bytes().all(|b| b.is_ascii_alphanumeric()));
        assert_ne!(one, other);
    }

    #[test]
    fn given_keys_are_kept_or_refused_without_telling_them() {
        let kept = given_or_new(Some(&Secret::new("p~w")), "keys.primaryKey").unwrap();
        assert_eq!(kept.reveal(), "p~w");
        for bad in ["", "with space", "ключ", &"x".repeat(257)] {
            let error = given_or_new(Some(&Secret::new(bad)), "keys.primaryKey").unwrap_err();
            let text = error.to_string();
            assert!(
                text.starts_with("`keys.primaryKey`: a key has 1 to 256"),
                "{text}"
            );
            assert!(bad.is_empty() || !text.contains(bad), "{text}");
        }
    }
}

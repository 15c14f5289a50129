//! What a registry answers to who has not said who they are: `WWW-Authenticate`.

use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

/// How a registry wants to be asked.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// User name and password with each request.
    Basic,
    /// A token from elsewhere.
    Bearer {
        /// Where tokens are given out.
        realm: String,
        /// What to tell there.
        service: Option<String>,
    },
}

impl Challenge {
    /// Reads the challenges of an answer; bearer is preferred.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let all: Vec<_> = headers
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .filter_map(|value| Self::parse(value.to_str().ok()?))
            .collect();
        let is_bearer = |it: &Self| matches!(it, Self::Bearer { .. });
        let best = all.iter().position(is_bearer).unwrap_or(0);
        all.into_iter().nth(best)
    }

    fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let values = parameters(rest);
        let value = |name: &str| {
            let found = values
                .iter()
                .find(|(key, _)| key.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.clone())
        };
        Some(Self::Bearer {
            realm: value("realm")?,
            service: value("service"),
        })
    }
}

/// `name="value", name=value`
fn parameters(mut text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    while let Some((name, rest)) = text.split_once('=') {
        let name = name.trim_matches([' ', ',']).to_owned();
        let (value, rest) = match rest.strip_prefix('"') {
            Some(rest) => quoted(rest),
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                (rest[..end].trim().to_owned(), &rest[end..])
            }
        };
        found.push((name, value));
        text = rest;
    }
    found
}

/// Up to the closing quote; `\` takes the next character as it is.
fn quoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return (value, &text[at + 1..]),
            '\\' => value.extend(letters.next().map(|(_, letter)| letter)),
            letter => value.push(letter),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(values: &[&str]) -> Option<Challenge> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(WWW_AUTHENTICATE, value.parse().unwrap());
        }
        Challenge::of(&headers)
    }

    #[test]
    fn challenges_are_read() {
        let bearer = Challenge::Bearer {
            realm: "https://a.example/token".to_owned(),
            service: Some("r, \"x\"".to_owned()),
        };
        let text = r#"Bearer realm="https://a.example/token",service="r, \"x\"",scope=a"#;
        assert_eq!(of(&[text]), Some(bearer));
        assert_eq!(of(&["Basic realm=\"r\""]), Some(Challenge::Basic));
        assert_eq!(of(&["basic"]), Some(Challenge::Basic));
        let both = of(&["Basic realm=x", "bearer realm=y"]);
        assert!(matches!(both, Some(Challenge::Bearer { realm, .. }) if realm == "y"));
        assert_eq!(of(&["Bearer service=x"]), None);
        assert_eq!(of(&["Negotiate"]), None);
        assert_eq!(of(&[]), None);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = Challenge::parse(&format!("Bearer {text}"));
        }
    }
}

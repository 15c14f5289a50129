//! Where an outside replica is: the base URL of a scoring server.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize, de::Error as _};

/// Longest URL, in characters.
const MAX_LENGTH: usize = 2_000;

/// A base URL, `http://host[:port][/prefix]` or the same with `https`, written
/// in one way: scheme and host in lower case, no default port, no slash at the
/// end. Two that are equal lead to the same server by the same way.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplicaUrl {
    text: String,
    /// Where the path begins in `text`; its length when there is none.
    path: usize,
}

/// Why a text is no such URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{value}` is not the base URL of a replica: {rule}")]
pub struct ReplicaUrlError {
    /// The text that was refused, cut to 80 characters; without what may be a password.
    pub value: String,
    /// The rule in words.
    pub rule: &'static str,
}

impl ReplicaUrl {
    /// The URL as text, without a slash at the end.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether TLS is spoken there.
    pub fn is_secure(&self) -> bool {
        self.text.starts_with("https:")
    }

    /// What stands before every path: empty, or `/` and more.
    pub fn prefix(&self) -> &str {
        &self.text[self.path..]
    }
}

impl FromStr for ReplicaUrl {
    type Err = ReplicaUrlError;

    fn from_str(text: &str) -> Result<Self, ReplicaUrlError> {
        let refuse = |rule| ReplicaUrlError {
            value: shown(text),
            rule,
        };
        if text.len() > MAX_LENGTH {
            return Err(refuse("it is longer than 2000 characters"));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(refuse("only printable ASCII characters belong into it"));
        }
        let (scheme, rest) = text
            .split_once("://")
            .map(|(scheme, rest)| (scheme.to_ascii_lowercase(), rest))
            .filter(|(scheme, _)| scheme == "http" || scheme == "https")
            .ok_or_else(|| refuse("it must begin with http:// or https://"))?;
        if rest.contains(['?', '#']) {
            return Err(refuse("a base URL has neither a query nor a fragment"));
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(refuse(
                "a user name or password does not belong into it, for it is stored and shown",
            ));
        }
        let authority = authority.to_ascii_lowercase();
        let (host, port) = split_port(&authority).map_err(refuse)?;
        if !is_host(host) {
            return Err(refuse("its host is no name and no address"));
        }
        let path = path.trim_end_matches('/');
        if !is_path(path) {
            return Err(refuse(
                "its path holds an empty part, `.`, `..` or a character that must be written as %XX",
            ));
        }
        let default = if scheme == "https" { 443 } else { 80 };
        let mut url = format!("{scheme}://{host}");
        if let Some(port) = port.filter(|port| *port != default) {
            url.push_str(&format!(":{port}"));
        }
        let at = url.len();
        url.push_str(path);
        Ok(Self {
            text: url,
            path: at,
        })
    }
}

/// The text for a complaint, without what stands before an `@`.
fn shown(text: &str) -> String {
    match text.rsplit_once('@') {
        Some((_, rest)) => format!("…@{}", rest.chars().take(80).collect::<String>()),
        None => text.chars().take(80).collect(),
    }
}

fn split_port(authority: &str) -> Result<(&str, Option<u16>), &'static str> {
    let end_of_host = match authority.rfind(']') {
        Some(at) => at + 1,
        // An address that does not end has no port; it is refused as a host.
        None if authority.starts_with('[') => authority.len(),
        None => 0,
    };
    let Some(colon) = authority[end_of_host..].find(':') else {
        return Ok((authority, None));
    };
    let (host, port) = authority.split_at(end_of_host + colon);
    let digits = &port[1..];
    let port = digits.parse().ok().filter(|port| *port > 0);
    match port.filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit())) {
        Some(port) => Ok((host, Some(port))),
        None => Err("its port is not a number from 1 to 65535"),
    }
}

fn is_host(host: &str) -> bool {
    if let Some(inner) = host.strip_prefix('[') {
        let address = inner.strip_suffix(']');
        return address.is_some_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok());
    }
    !host.is_empty()
        && host.len() <= 253
        && host
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
}

fn is_path(path: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:@".contains(&byte);
    path.is_empty()
        || path[1..]
            .split('/')
            .all(|part| !part.is_empty() && part != "." && part != ".." && part.bytes().all(good))
}

impl fmt::Display for ReplicaUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for ReplicaUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl Serialize for ReplicaUrl {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for ReplicaUrl {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn url(text: &str) -> ReplicaUrl {
        text.parse().unwrap()
    }

    #[test]
    fn a_url_is_written_in_one_way() {
        for (text, written, prefix) in [
            ("http://host", "http://host", ""),
            ("HTTP://Host:80/", "http://host", ""),
            ("https://h:443//", "https://h", ""),
            ("https://h:80", "https://h:80", ""),
            ("http://[::1]:5001", "http://[::1]:5001", ""),
            (
                "http://10.0.0.1:5001/a/B%20c/",
                "http://10.0.0.1:5001/a/B%20c",
                "/a/B%20c",
            ),
        ] {
            let url = url(text);
            assert_eq!((url.as_str(), url.prefix()), (written, prefix), "{text}");
            assert_eq!(serde_json::json!(url), written);
        }
        assert!(url("https://h").is_secure());
        assert!(!url("http://h").is_secure());
    }

    #[test]
    fn what_is_no_base_url_is_refused_with_its_rule() {
        for (text, rule) in [
            ("", "begin with http://"),
            ("host:80", "begin with http://"),
            ("ftp://host", "begin with http://"),
            ("http://", "no name and no address"),
            ("http:///path", "no name and no address"),
            ("http://a b", "printable"),
            ("http://hö", "printable"),
            ("http://h:0", "port"),
            ("http://h:", "port"),
            ("http://h:65536", "port"),
            ("http://h:+1", "port"),
            ("http://[::g]", "no name and no address"),
            ("http://[::1", "no name and no address"),
            ("http://h?a=1", "query"),
            ("http://h/#x", "fragment"),
            ("http://h/a/../b", "`..`"),
            ("http://h/a//b", "empty part"),
            ("http://h/a\"b", "%XX"),
        ] {
            let error = text.parse::<ReplicaUrl>().unwrap_err();
            assert!(error.to_string().contains(rule), "{text}: {error}");
        }
        let long = format!("http://h/{}", "a".repeat(MAX_LENGTH));
        assert!(long.parse::<ReplicaUrl>().is_err());
    }

    proptest! {
        #[test]
        fn what_was_taken_is_taken_again_and_stays_as_it_is(
            text in "[hH]ttps?://([a-z0-9.:@\\[\\]-]{0,12})(/[a-z%.~/]{0,8})?"
        ) {
            if let Ok(url) = text.parse::<ReplicaUrl>() {
                let again: ReplicaUrl = url.as_str().parse().unwrap();
                prop_assert_eq!(again.prefix(), url.prefix());
                prop_assert_eq!(again, url);
            }
        }

        #[test]
        fn no_text_panics(text in ".*") {
            let _ = text.parse::<ReplicaUrl>();
        }
    }

    #[test]
    fn a_password_is_refused_and_not_repeated() {
        for text in ["http://me:secret@host/x", "http://secret@host"] {
            let error = text.parse::<ReplicaUrl>().unwrap_err().to_string();
            assert!(error.contains("…@host"), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}

//! Addresses of registries: `[http://|https://]host[:port][/prefix]`.

use std::{fmt, net::IpAddr, str::FromStr};

/// Where a registry is. TLS, unless `http://` was said of a loopback address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryAddress {
    plain: bool,
    /// With the port, if one was given.
    host: String,
    /// Path before the repositories, without slashes at its ends.
    prefix: String,
}

impl RegistryAddress {
    /// Whether it is spoken to without TLS.
    pub(crate) fn is_plain(&self) -> bool {
        self.plain
    }

    /// Host and port.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// The full name of a repository in the registry.
    pub(crate) fn repository(&self, name: &str) -> String {
        match self.prefix.as_str() {
            "" => name.to_owned(),
            prefix => format!("{prefix}/{name}"),
        }
    }
}

impl fmt::Display for RegistryAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)?;
        match self.prefix.as_str() {
            "" => Ok(()),
            prefix => write!(f, "/{prefix}"),
        }
    }
}

impl FromStr for RegistryAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // Not repeated in the message: what is before `@` may be a password.
        if text.contains('@') {
            return Err(
                "a registry address holds no user and no password; they are read from the \
                 environment or the Docker configuration"
                    .to_owned(),
            );
        }
        let refuse = |why: &str| {
            format!(
                "`{text:.200}` is not a registry address: {why}; expected \
                 `[http://|https://]host[:port][/prefix]`"
            )
        };
        let (plain, rest) = match text.split_once("://") {
            None => (false, text),
            Some(("https", rest)) => (false, rest),
            Some(("http", rest)) => (true, rest),
            Some(_) => return Err(refuse("the scheme is unknown")),
        };
        let (host, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let name = host_name(host).ok_or_else(|| refuse("the host or the port is malformed"))?;
        if plain && !is_loopback(name) {
            return Err(format!(
                "registry `{host:.200}`: plain HTTP is for loopback addresses only, content and \
                 passwords would be open to all between; leave `http://` away to use TLS"
            ));
        }
        let prefix = prefix.trim_end_matches('/');
        if !prefix.is_empty() && !prefix.split('/').all(is_component) {
            return Err(refuse(
                "a prefix is made of lower-case letters, digits, `.`, `_`, `-` and `/`",
            ));
        }
        Ok(Self {
            plain,
            host: host.to_owned(),
            prefix: prefix.to_owned(),
        })
    }
}

/// The host without its port.
fn host_name(host: &str) -> Option<&str> {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => {
            let (name, rest) = rest.split_once(']')?;
            name.parse::<std::net::Ipv6Addr>().ok()?;
            match rest {
                "" => (name, None),
                rest => (name, Some(rest.strip_prefix(':')?)),
            }
        }
        None => match host.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (host, None),
        },
    };
    if let Some(port) = port {
        port.parse::<u16>().ok().filter(|port| *port > 0)?;
    }
    let is_good = |b: u8| b.is_ascii_alphanumeric() || b".-:".contains(&b);
    (!name.is_empty() && name.bytes().all(is_good)).then_some(name)
}

fn is_loopback(name: &str) -> bool {
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// A component of a repository's name, as the distribution specification has it.
fn is_component(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    text.bytes().all(|b| plain(b) || b"._-".contains(&b))
        && text.bytes().next().is_some_and(plain)
        && text.bytes().last().is_some_and(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<RegistryAddress, String> {
        text.parse()
    }

    #[test]
    fn addresses_are_read() {
        for (text, plain, host, repository) in [
            ("registry.example", false, "registry.example", "a/b"),
            ("https://r.example:5000/", false, "r.example:5000", "a/b"),
            ("r.example/team/x", false, "r.example", "team/x/a/b"),
            ("127.0.0.1:5000", false, "127.0.0.1:5000", "a/b"),
            ("http://127.9.9.9:5000", true, "127.9.9.9:5000", "a/b"),
            ("http://localhost:5000/t", true, "localhost:5000", "t/a/b"),
            ("http://[::1]:5000", true, "[::1]:5000", "a/b"),
        ] {
            let address = parse(text).unwrap();
            assert_eq!(address.is_plain(), plain, "{text}");
            assert_eq!(address.host(), host);
            assert_eq!(address.repository("a/b"), repository);
        }
        let shown = parse("http://localhost:5000/t").unwrap().to_string();
        assert_eq!(shown, "localhost:5000/t");
    }

    #[test]
    fn plain_http_stays_on_this_machine() {
        for host in [
            "registry.example",
            "10.0.0.1:5000",
            "localhost.example",
            "0.0.0.0",
        ] {
            let refused = parse(&format!("http://{host}")).unwrap_err();
            assert!(refused.contains("loopback addresses only"), "{refused}");
        }
    }

    #[test]
    fn malformed_addresses_are_refused() {
        for text in [
            "", "http://", "ftp://a", "a:0", "a:99999", "a:b", "[::1", "[x]:1", "a b", "a/../b",
            "a/B", "a//b", "a?b", "a/b#c",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_password_is_not_repeated() {
        let refused = parse("https://me:hunter2@registry.example").unwrap_err();
        assert!(!refused.contains("hunter2"), "{refused}");
    }
}

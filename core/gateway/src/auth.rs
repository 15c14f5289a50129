//! Whether a caller may use a service.

use http::{HeaderMap, header::AUTHORIZATION};
use lusk_domain::AuthMode;
use lusk_router::Access;
use subtle::{Choice, ConstantTimeEq};

/// True when the request carries one of the service's keys, or the service takes
/// anybody. Takes the same time for a wrong key and for none, and tells nothing of how
/// much of a key was right.
pub(crate) fn is_allowed(access: &Access, headers: &HeaderMap) -> bool {
    match access.mode {
        AuthMode::None => true,
        AuthMode::Key => has_key(access, bearer(headers)),
        // No token has ever been given out, so none can be right.
        AuthMode::Token => false,
    }
}

fn has_key(access: &Access, given: &[u8]) -> bool {
    let keys = &access.keys;
    bool::from(
        is_key(keys.primary_key.reveal(), given) | is_key(keys.secondary_key.reveal(), given),
    )
}

fn is_key(key: &str, given: &[u8]) -> Choice {
    // An empty key is no key: it would open the service to everybody.
    Choice::from(u8::from(!key.is_empty())) & key.as_bytes().ct_eq(given)
}

/// The credentials of `Authorization: Bearer …`; empty when there are none.
pub(crate) fn bearer(headers: &HeaderMap) -> &[u8] {
    const SCHEME: &[u8] = b"bearer ";
    let given = headers.get(AUTHORIZATION).map_or(&[][..], |v| v.as_bytes());
    match given.split_at_checked(SCHEME.len()) {
        Some((scheme, key)) if scheme.eq_ignore_ascii_case(SCHEME) => key.trim_ascii(),
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use lusk_domain::{KeyPair, Secret};

    use super::*;

    fn access(mode: AuthMode, primary: &str, secondary: &str) -> Access {
        let keys = KeyPair {
            primary_key: Secret::new(primary),
            secondary_key: Secret::new(secondary),
        };
        Access { mode, keys }
    }

    fn allowed(access: &Access, header: Option<&'static str>) -> bool {
        let mut headers = HeaderMap::new();
        if let Some(header) = header {
            headers.insert(AUTHORIZATION, HeaderValue::from_static(header));
        }
        is_allowed(access, &headers)
    }

    #[test]
    fn either_key_opens() {
        let access = access(AuthMode::Key, "first", "second");
        for header in [
            "Bearer first",
            "Bearer second",
            "bearer first",
            "BEARER  second ",
        ] {
            assert!(allowed(&access, Some(header)), "{header}");
        }
    }

    #[test]
    fn anything_else_does_not() {
        let access = access(AuthMode::Key, "first", "second");
        assert!(!allowed(&access, None));
        for header in [
            "",
            "Bearer",
            "Bearer ",
            "Bearer third",
            "Bearer firs",
            "Bearer firstt",
            "Bearer FIRST",
            "Basic first",
            "first",
            "Bearer first second",
        ] {
            assert!(!allowed(&access, Some(header)), "{header}");
        }
    }

    #[test]
    fn an_empty_key_opens_nothing() {
        let access = access(AuthMode::Key, "", "");
        for header in [None, Some("Bearer "), Some("Bearer"), Some("")] {
            assert!(!allowed(&access, header));
        }
    }

    #[test]
    fn without_auth_everybody_may() {
        assert!(allowed(&access(AuthMode::None, "first", "second"), None));
    }

    #[test]
    fn a_key_is_no_token() {
        let access = access(AuthMode::Token, "first", "second");
        assert!(!allowed(&access, Some("Bearer first")));
    }
}

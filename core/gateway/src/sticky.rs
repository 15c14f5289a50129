//! What keeps a caller of an endpoint at one version.
//!
//! Only reads what the caller sent; which version that means is the router's decision.

use http::{HeaderMap, header::COOKIE};
use lusk_domain::{AuthMode, Sticky};
use lusk_router::EndpointRoute;

use crate::auth;

/// What names the caller, as the endpoint wants it; none where the endpoint splits
/// request by request, or the caller came without.
pub(crate) fn caller(endpoint: &EndpointRoute, headers: &HeaderMap) -> Option<Vec<u8>> {
    let name = match endpoint.sticky()? {
        Sticky::Header(name) => headers.get(name.as_str())?.as_bytes(),
        Sticky::Cookie(name) => cookie(headers, name.as_bytes())?,
        // Without auth nobody looked at what stands there: it names nobody.
        Sticky::Key if endpoint.access().mode == AuthMode::None => return None,
        Sticky::Key => auth::bearer(headers),
    };
    (!name.is_empty()).then(|| name.to_vec())
}

/// The first value of a cookie; callers of HTTP/2 may send a header for each.
fn cookie<'h>(headers: &'h HeaderMap, name: &[u8]) -> Option<&'h [u8]> {
    let lines = headers.get_all(COOKIE).iter();
    let mut pairs = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    pairs.find_map(|pair| {
        let at = pair.iter().position(|byte| *byte == b'=')?;
        let (key, value) = pair.split_at(at);
        (key.trim_ascii() == name).then(|| value[1..].trim_ascii())
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn cookies(lines: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(COOKIE, HeaderValue::from_static(line));
        }
        headers
    }

    #[test]
    fn a_cookie_is_found_among_others_by_its_whole_name() {
        for lines in [
            &["user=ann"][..],
            &["a=1; user=ann; b=2"],
            &["a=1;user=ann"],
            &["a=1", "user=ann"],
            &["xuser=bob; user =ann"],
            &["user; USER=bob; user=ann; user=bob"],
        ] {
            let headers = cookies(lines);
            assert_eq!(cookie(&headers, b"user"), Some(&b"ann"[..]), "{lines:?}");
        }
        for lines in [
            &[][..],
            &["users=ann"],
            &["ann"],
            &["a=user=ann"],
            &["=ann"],
        ] {
            assert_eq!(cookie(&cookies(lines), b"user"), None, "{lines:?}");
        }
    }

    #[test]
    fn a_value_may_hold_what_ends_a_name() {
        let headers = cookies(&["user=a=b=; c=d"]);
        assert_eq!(cookie(&headers, b"user"), Some(&b"a=b="[..]));
    }
}

//! Who may use the admin door: the holder of `admin.token`.

use axum::extract::Request;
use http::{StatusCode, header};
use subtle::ConstantTimeEq;

use super::{Admin, fault::Fault};

/// Paths that tell nothing worth a token.
const OPEN: [&str; 2] = ["/healthz", "/openapi.json"];

/// Compares the bearer token in constant time. One text for no token and a
/// wrong one.
pub(crate) fn check(admin: &Admin, request: &Request) -> Result<(), Fault> {
    if OPEN.contains(&request.uri().path()) {
        return Ok(());
    }
    let given = request
        .headers()
        .get(header::AUTHORIZATION)
        .map_or(&b""[..], |value| bearer(value.as_bytes()));
    let expected = admin.options.token.reveal().as_bytes();
    if bool::from(given.ct_eq(expected)) && !expected.is_empty() {
        return Ok(());
    }
    Err(Fault::new(
        StatusCode::UNAUTHORIZED,
        "Unauthorized",
        "the admin door takes `Authorization: Bearer <token>` with the content of `admin.token` of the data folder",
    ))
}

/// The token of an `Authorization` value; the scheme's case does not matter.
fn bearer(value: &[u8]) -> &[u8] {
    match value.split_at_checked(7) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"bearer ") => token.trim_ascii(),
        _ => b"",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_bearer_scheme_carries_a_token() {
        assert_eq!(bearer(b"Bearer abc"), b"abc");
        assert_eq!(bearer(b"bearer  abc "), b"abc");
        assert_eq!(bearer(b"Basic abc"), b"");
        assert_eq!(bearer(b"Bearer"), b"");
        assert_eq!(bearer(b""), b"");
    }
}

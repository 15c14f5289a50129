//! Answers to browsers that ask whether another site's page may read a reply
//! (`AML_CORS_ORIGINS` of a service).

use http::{
    HeaderMap, HeaderValue, Method,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
    },
};

/// True for the question that a browser asks before the request proper; it comes
/// without credentials.
pub(crate) fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    method == Method::OPTIONS
        && headers.contains_key(ORIGIN)
        && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// What the reply to one request carries.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Cors {
    allowed: Option<HeaderValue>,
    by_origin: bool,
    preflight: bool,
    asked_headers: Option<HeaderValue>,
}

impl Cors {
    /// Compares a request's origin with those that the service names, as the
    /// original's server does: `*` for all, one origin always, of several the
    /// caller's own, and the first for a caller who sends none.
    pub(crate) fn of(origins: Option<&str>, method: &Method, headers: &HeaderMap) -> Self {
        let mut named = origins
            .unwrap_or_default()
            .split(',')
            .map(str::trim)
            .filter(|origin| !origin.is_empty());
        let Some(first) = named.clone().next() else {
            return Self::default();
        };
        let any = named.clone().any(|origin| origin == "*");
        let several = named.clone().nth(1).is_some();
        let allowed = match headers.get(ORIGIN) {
            _ if any => Some("*"),
            Some(origin) if several => {
                named.find(|name| name.as_bytes().eq_ignore_ascii_case(origin.as_bytes()))
            }
            _ => Some(first),
        };
        let preflight = is_preflight(method, headers);
        Self {
            allowed: allowed.and_then(|origin| HeaderValue::from_str(origin).ok()),
            by_origin: several && !any,
            preflight,
            asked_headers: headers
                .get(ACCESS_CONTROL_REQUEST_HEADERS)
                .filter(|_| preflight)
                .cloned(),
        }
    }

    /// Adds its headers to a reply.
    pub(crate) fn add_to(self, headers: &mut HeaderMap) {
        if self.by_origin {
            headers.append(VARY, HeaderValue::from_static("Origin"));
        }
        let Some(allowed) = self.allowed else { return };
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        if !self.preflight {
            return;
        }
        let methods = HeaderValue::from_static("GET, POST");
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
        if let Some(asked) = self.asked_headers {
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(origins: Option<&str>, origin: Option<&'static str>) -> HeaderMap {
        let mut request = HeaderMap::new();
        if let Some(origin) = origin {
            request.insert(ORIGIN, HeaderValue::from_static(origin));
        }
        let mut headers = HeaderMap::new();
        Cors::of(origins, &Method::POST, &request).add_to(&mut headers);
        headers
    }

    fn allowed(origins: Option<&str>, origin: Option<&'static str>) -> Option<String> {
        let headers = reply(origins, origin);
        let value = headers.get(ACCESS_CONTROL_ALLOW_ORIGIN)?;
        Some(value.to_str().expect("text").to_owned())
    }

    #[test]
    fn unset_means_off() {
        for origins in [None, Some(""), Some(" , ")] {
            assert!(reply(origins, Some("https://a.example")).is_empty());
        }
    }

    #[test]
    fn a_lone_origin_stands_on_every_reply() {
        let origins = Some("https://a.example");
        for origin in [None, Some("https://a.example"), Some("https://b.example")] {
            assert_eq!(allowed(origins, origin).as_deref(), origins);
            assert!(!reply(origins, origin).contains_key(VARY));
        }
    }

    #[test]
    fn of_several_origins_the_callers_own_is_echoed() {
        let origins = Some("https://a.example, https://b.example");
        let b = Some("https://b.example");
        assert_eq!(allowed(origins, b).as_deref(), b);
        assert_eq!(allowed(origins, None).as_deref(), Some("https://a.example"));
        assert_eq!(allowed(origins, Some("https://c.example")), None);
        for origin in [None, b, Some("https://c.example")] {
            assert_eq!(reply(origins, origin)[VARY], "Origin");
        }
    }

    #[test]
    fn a_star_is_for_all() {
        for origins in ["*", "https://a.example,*"] {
            let headers = reply(Some(origins), Some("https://c.example"));
            assert_eq!(headers[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
            assert!(!headers.contains_key(VARY));
        }
    }

    #[test]
    fn a_preflight_is_told_methods_and_the_headers_it_asked_for() {
        let mut request = HeaderMap::new();
        request.insert(ORIGIN, HeaderValue::from_static("https://a.example"));
        request.insert(
            ACCESS_CONTROL_REQUEST_METHOD,
            HeaderValue::from_static("POST"),
        );
        let asked = HeaderValue::from_static("authorization, content-type");
        request.insert(ACCESS_CONTROL_REQUEST_HEADERS, asked.clone());
        assert!(is_preflight(&Method::OPTIONS, &request));
        assert!(!is_preflight(&Method::POST, &request));
        let mut headers = HeaderMap::new();
        Cors::of(Some("*"), &Method::OPTIONS, &request).add_to(&mut headers);
        assert_eq!(headers[ACCESS_CONTROL_ALLOW_METHODS], "GET, POST");
        assert_eq!(headers[ACCESS_CONTROL_ALLOW_HEADERS], asked);
    }
}

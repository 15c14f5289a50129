//! Headers that the scoring doors read, add and keep to themselves.

use std::{cell::Cell, time::Duration};

use http::{
    HeaderMap, HeaderName, HeaderValue, Uri,
    header::{
        AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, PROXY_AUTHENTICATE,
        PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
    },
};
use uuid::Uuid;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const MS_REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-request-id");
const CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-client-request-id");
const TRACE_ID: HeaderName = HeaderName::from_static("traceid");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const FUNCTION_FAILED: HeaderName = HeaderName::from_static("x-ms-run-function-failed");
const EXECUTION_TIME: HeaderName = HeaderName::from_static("x-ms-run-fn-exec-ms");
const SERVER_VERSION: HeaderName = HeaderName::from_static("x-ms-server-version");
const RETRIED: HeaderName = HeaderName::from_static("x-lusk-retried");
const MIRRORED: HeaderName = HeaderName::from_static("x-lusk-mirrored");
const DEPLOYMENT: HeaderName = HeaderName::from_static("azureml-model-deployment");

/// Names this server. The original writes `azmlinfsrv/<version>`; we do not claim to be
/// a program whose version and faults somebody may look up by that name.
const SERVER: HeaderValue = HeaderValue::from_static(concat!("lusk/", env!("CARGO_PKG_VERSION")));

/// Headers that are about one connection, whether `Connection` names them or not.
static HOP_BY_HOP: [HeaderName; 8] = [
    KEEP_ALIVE,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    PROXY_CONNECTION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Longest id that a request may bring; the original's limit.
const MAX_ID_LENGTH: usize = 100;

/// The ids of one request and what the reply repeats of them.
#[derive(Debug)]
pub(crate) struct Ids {
    request: HeaderValue,
    ms: HeaderValue,
    client: Option<HeaderValue>,
    trace: Option<HeaderValue>,
    too_long: Option<HeaderName>,
}

impl Ids {
    /// Reads the ids that a request brings. One that is too long counts as absent here
    /// and is named by [`Ids::too_long`].
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut too_long = None;
        let mut id = |name: HeaderName| {
            let value = headers.get(&name)?;
            if value.len() > MAX_ID_LENGTH {
                too_long = Some(name);
                return None;
            }
            Some(value.clone())
        };
        let (request, ms, client) = (id(REQUEST_ID), id(MS_REQUEST_ID), id(CLIENT_REQUEST_ID));
        let client = client.or_else(|| ms.clone());
        let request = request.unwrap_or_else(fresh);
        let ms = ms.or_else(|| client.clone());
        Self {
            ms: ms.unwrap_or_else(|| request.clone()),
            request,
            client,
            trace: headers.get(TRACE_ID).cloned(),
            too_long,
        }
    }

    /// Ids for an answer to what was no request.
    pub(crate) fn fresh() -> Self {
        Self::of(&HeaderMap::new())
    }

    /// The id header that is over [`MAX_ID_LENGTH`].
    pub(crate) fn too_long(&self) -> Option<&HeaderName> {
        self.too_long.as_ref()
    }

    /// The id for our own log.
    pub(crate) fn request(&self) -> &HeaderValue {
        &self.request
    }

    /// Adds ids and the server's name to a reply, over whatever a script set there.
    pub(crate) fn add_to(self, headers: &mut HeaderMap) {
        headers.insert(REQUEST_ID, self.request);
        headers.insert(MS_REQUEST_ID, self.ms);
        if let Some(client) = self.client {
            headers.insert(CLIENT_REQUEST_ID, client);
        }
        if let Some(trace) = self.trace {
            headers.insert(TRACE_ID, trace);
        }
        headers.insert(SERVER_VERSION, SERVER);
    }
}

fn fresh() -> HeaderValue {
    let mut buffer = Uuid::encode_buffer();
    let text = next_id().hyphenated().encode_lower(&mut buffer);
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("none"))
}

/// An id that no other request gets. Ids are no secrets, so the system's randomness is
/// asked for once in a thread and not for each of them: that is a call of the system.
fn next_id() -> Uuid {
    thread_local! {
        static STATE: Cell<(u64, u64)> = Cell::new(Uuid::new_v4().as_u64_pair());
    }
    let (high, low) = STATE.get();
    // Two counters with odd steps: the pair comes again after 2^64 ids.
    let next = (
        high.wrapping_add(0x9e37_79b9_7f4a_7c15),
        low.wrapping_add(0xd1b5_4a32_d192_ed03),
    );
    STATE.set(next);
    let mixed = (u128::from(mix(next.0)) << 64) | u128::from(mix(next.1));
    uuid::Builder::from_random_bytes(mixed.to_be_bytes()).into_uuid()
}

/// Spreads a counter over all bits; each number comes from one other (the last steps of
/// SplitMix64).
fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// Says whether the script counts as failed, spelled as Python spells it.
pub(crate) fn add_function_failed(headers: &mut HeaderMap, failed: bool) {
    let value = HeaderValue::from_static(if failed { "True" } else { "False" });
    headers.insert(FUNCTION_FAILED, value);
}

/// Says how long `run` took: milliseconds with three decimals.
pub(crate) fn add_execution_time(headers: &mut HeaderMap, time: Duration) {
    let micros = (time.as_nanos() + 500) / 1000;
    let text = format!("{}.{:03}", micros / 1000, micros % 1000);
    if let Ok(value) = HeaderValue::try_from(text) {
        headers.insert(EXECUTION_TIME, value);
    }
}

/// Says that a second replica answered.
pub(crate) fn add_retried(headers: &mut HeaderMap) {
    headers.insert(RETRIED, HeaderValue::from_static("1"));
}

/// The version that a caller of an endpoint wants; an empty wish is none.
pub(crate) fn wished_version(headers: &HeaderMap) -> Option<HeaderValue> {
    let wish = headers.get(DEPLOYMENT)?;
    (!wish.is_empty()).then(|| wish.clone())
}

/// Says which version of an endpoint answered, over whatever its script set there.
pub(crate) fn add_version(headers: &mut HeaderMap, version: HeaderValue) {
    headers.insert(DEPLOYMENT, version);
}

/// Says that nobody waits for the answer.
pub(crate) fn add_mirrored(headers: &mut HeaderMap) {
    headers.insert(MIRRORED, HeaderValue::from_static("1"));
}

/// Takes out what is between the caller and this door: the key, and headers of the
/// connection.
pub(crate) fn for_script(mut headers: HeaderMap) -> HeaderMap {
    headers.remove(AUTHORIZATION);
    headers.remove(EXPECT);
    remove_hop_by_hop(&mut headers);
    headers
}

/// How often the host is named.
pub(crate) fn hosts(headers: &HeaderMap) -> usize {
    headers.get_all(HOST).iter().count()
}

/// Makes headers of HTTP/2 what the same request would have brought with HTTP/1.1: the
/// name of the host, and one line of cookies.
pub(crate) fn as_of_http1(headers: &mut HeaderMap, uri: &Uri) {
    if let Some(authority) = uri.authority()
        && !headers.contains_key(HOST)
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        headers.insert(HOST, host);
    }
    let mut cookies = headers.get_all(COOKIE).iter();
    if let (Some(first), Some(_)) = (cookies.next(), cookies.next()) {
        let mut line = first.as_bytes().to_vec();
        for more in headers.get_all(COOKIE).iter().skip(1) {
            line.extend_from_slice(b"; ");
            line.extend_from_slice(more.as_bytes());
        }
        if let Ok(line) = HeaderValue::from_bytes(&line) {
            headers.insert(COOKIE, line);
        }
    }
}

/// Takes out of a script's headers what this door says itself.
pub(crate) fn from_script(mut headers: HeaderMap) -> HeaderMap {
    headers.remove(CONTENT_LENGTH);
    remove_hop_by_hop(&mut headers);
    headers
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    // As a rule there is none: one look at each costs less than a search for each.
    if !headers.keys().any(is_hop_by_hop) {
        return;
    }
    if let Some(connection) = headers.remove(CONNECTION) {
        for name in connection.to_str().unwrap_or_default().split(',') {
            if let Ok(name) = HeaderName::try_from(name.trim()) {
                headers.remove(name);
            }
        }
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}

fn is_hop_by_hop(name: &HeaderName) -> bool {
    *name == CONNECTION || HOP_BY_HOP.contains(name)
}

/// Bytes that the headers of a request took on the wire, line ends included.
pub(crate) fn size(headers: &HeaderMap) -> usize {
    const PUNCTUATION: usize = ": \r\n".len();
    headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + PUNCTUATION)
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                let value = HeaderValue::from_str(value).expect("a value");
                (HeaderName::from_static(name), value)
            })
            .collect()
    }

    /// The three ids of the reply; a fresh one reads `fresh`.
    fn replied(pairs: &[(&'static str, &str)]) -> [Option<String>; 3] {
        let mut reply = HeaderMap::new();
        Ids::of(&headers(pairs)).add_to(&mut reply);
        [REQUEST_ID, MS_REQUEST_ID, CLIENT_REQUEST_ID].map(|name| {
            let text = reply.get(name)?.to_str().expect("text").to_owned();
            let is_fresh = Uuid::parse_str(&text).is_ok();
            Some(if is_fresh { "fresh".to_owned() } else { text })
        })
    }

    #[test]
    fn ids_are_repeated_as_the_original_maps_them() {
        const R: &str = "x-request-id";
        const M: &str = "x-ms-request-id";
        const C: &str = "x-ms-client-request-id";
        type Row<'a> = (&'a [(&'static str, &'a str)], [Option<&'a str>; 3]);
        let rows: &[Row<'_>] = &[
            (&[], [Some("fresh"), Some("fresh"), None]),
            (&[(R, "a")], [Some("a"), Some("a"), None]),
            (&[(M, "b")], [Some("fresh"), Some("b"), Some("b")]),
            (&[(C, "c")], [Some("fresh"), Some("c"), Some("c")]),
            (
                &[(R, "a"), (M, "b"), (C, "c")],
                [Some("a"), Some("b"), Some("c")],
            ),
        ];
        for (sent, expected) in rows {
            let expected = expected.map(|text| text.map(str::to_owned));
            assert_eq!(replied(sent), expected, "{sent:?}");
        }
    }

    #[test]
    fn a_fresh_id_is_one_id() {
        let mut reply = HeaderMap::new();
        Ids::of(&HeaderMap::new()).add_to(&mut reply);
        assert_eq!(reply[REQUEST_ID], reply[MS_REQUEST_ID]);
    }

    #[test]
    fn fresh_ids_differ_in_and_between_threads() {
        let ids = || (0..1000).map(|_| next_id()).collect::<Vec<_>>();
        let other = std::thread::spawn(ids);
        let mut all = ids();
        all.extend(other.join().expect("no panic"));
        assert!(all.iter().all(|id| id.get_version_num() == 4));
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }

    #[test]
    fn an_id_of_100_characters_is_taken_and_one_more_is_named() {
        let long = "i".repeat(100);
        for name in [REQUEST_ID, MS_REQUEST_ID, CLIENT_REQUEST_ID] {
            let mut headers = HeaderMap::new();
            headers.insert(&name, HeaderValue::from_str(&long).expect("a value"));
            assert_eq!(Ids::of(&headers).too_long(), None);
            let longer = format!("{long}i");
            headers.insert(&name, HeaderValue::from_str(&longer).expect("a value"));
            assert_eq!(Ids::of(&headers).too_long(), Some(&name));
        }
    }

    #[test]
    fn a_trace_id_is_echoed() {
        let mut reply = HeaderMap::new();
        Ids::of(&headers(&[("traceid", "t-1")])).add_to(&mut reply);
        assert_eq!(reply["TraceId"], "t-1");
    }

    #[test]
    fn a_script_sees_neither_the_key_nor_headers_of_the_connection() {
        let seen = for_script(headers(&[
            ("authorization", "Bearer k"),
            ("connection", "keep-alive, X-Mine"),
            ("x-mine", "1"),
            ("keep-alive", "5"),
            ("transfer-encoding", "chunked"),
            ("te", "trailers"),
            ("expect", "100-continue"),
            ("host", "h"),
            ("content-type", "application/json"),
            ("x-other", "2"),
        ]));
        let mut names: Vec<_> = seen.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["content-type", "host", "x-other"]);
    }

    #[test]
    fn execution_time_has_three_decimals() {
        let mut reply = HeaderMap::new();
        add_execution_time(&mut reply, Duration::from_nanos(1_234_567));
        assert_eq!(reply[EXECUTION_TIME], "1.235");
        add_execution_time(&mut reply, Duration::ZERO);
        assert_eq!(reply[EXECUTION_TIME], "0.000");
    }
}

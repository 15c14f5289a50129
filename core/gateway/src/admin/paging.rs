//! Pages of long lists: `{value, nextLink}`, the last one without a link, because the
//! original's SDK follows whatever is under the key.
//!
//! The link names the last item of the page, not a count, so that items which
//! come or go between two pages neither hide nor repeat others.

use std::{fmt::Display, str::FromStr};

use http::{HeaderMap, Uri, header};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::{fault::Fault, input::Params};

/// Most items of a page, the original's bound.
const MAX_COUNT: usize = 255;

/// The parameter that names the last item of the page before.
const SKIP_TOKEN: &str = "$skipToken";

/// One page of `items`, which are sorted by `key`, and the link to the next one.
pub(crate) fn page<T, K>(
    items: Vec<T>,
    params: &Params,
    link: &Link,
    key: impl Fn(&T) -> K,
    show: impl FnMut(T) -> Value,
) -> Result<Value, Fault>
where
    K: Ord + Display + FromStr<Err: Display>,
{
    let count = count(params)?;
    let begin = match params.parsed::<K>(SKIP_TOKEN)? {
        Some(last) => items.partition_point(|item| key(item) <= last),
        None => 0,
    };
    let rest = items.len() - begin;
    let next = (rest > count).then(|| link.after(&key(&items[begin + count - 1]).to_string()));
    let value: Vec<_> = items
        .into_iter()
        .skip(begin)
        .take(count)
        .map(show)
        .collect();
    Ok(match next {
        Some(next) => json!({ "value": value, "nextLink": next }),
        None => whole(value),
    })
}

/// The only page of a list, or its last.
pub(crate) fn whole(value: Vec<Value>) -> Value {
    json!({ "value": value })
}

fn count(params: &Params) -> Result<usize, Fault> {
    match params.parsed::<usize>("count")? {
        None => Ok(MAX_COUNT),
        Some(count @ 1..=MAX_COUNT) => Ok(count),
        Some(count) => Err(Fault::bad_request(format!(
            "query parameter `count` is {count}: expected 1 to {MAX_COUNT}"
        ))),
    }
}

/// Where a list was asked for.
#[derive(Debug)]
pub(crate) struct Link {
    base: String,
    query: String,
}

impl Link {
    /// The place of a request, as its caller sees it.
    pub(crate) fn new(base: String, uri: &Uri) -> Self {
        let query: Vec<_> = uri
            .query()
            .unwrap_or_default()
            .split('&')
            .filter(|pair| {
                !pair.is_empty()
                    && !pair.starts_with("$skipToken=")
                    && !pair.starts_with("%24skipToken=")
            })
            .collect();
        Self {
            base: format!("{base}{}", uri.path()),
            query: query.join("&"),
        }
    }

    fn after(&self, last: &str) -> String {
        let Self { base, query } = self;
        let separator = if query.is_empty() { "" } else { "&" };
        let token = utf8_percent_encode(last, NON_ALPHANUMERIC);
        format!("{base}?{query}{separator}{SKIP_TOKEN}={token}")
    }
}

/// Scheme and authority under which the caller reached the door.
pub(crate) fn base_url(headers: &HeaderMap, uri: &Uri) -> String {
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .or_else(|| uri.authority().map(http::uri::Authority::as_str))
        .unwrap_or("localhost");
    format!("http://{host}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Walks all pages; the items are the numbers below `total` without `gone`
    /// once the first page was read.
    fn pages(total: u32, count: &str, gone: Option<u32>) -> Vec<Vec<u32>> {
        let mut uri: Uri = format!("/models?latest=true&count={count}")
            .parse()
            .unwrap();
        let mut pages = Vec::new();
        loop {
            let pairs: Vec<_> = uri
                .query()
                .unwrap()
                .split('&')
                .map(|pair| pair.split_once('=').unwrap())
                .collect();
            let link = Link::new("http://h:1".to_owned(), &uri);
            let items: Vec<u32> = (0..total)
                .filter(|n| pages.is_empty() || Some(*n) != gone)
                .collect();
            let page = page(items, &Params::of(&pairs), &link, |n| *n, |n| json!(n)).unwrap();
            pages.push(serde_json::from_value(page["value"].clone()).unwrap());
            match page["nextLink"].as_str() {
                Some(next) => {
                    let next = next.strip_prefix("http://h:1").unwrap();
                    assert!(next.starts_with("/models?latest=true&"));
                    uri = next.parse().unwrap();
                }
                None => {
                    assert_eq!(page.get("nextLink"), None);
                    return pages;
                }
            }
        }
    }

    #[test]
    fn pages_hold_every_item_once() {
        assert_eq!(pages(0, "20", None), [Vec::<u32>::new()]);
        assert_eq!(pages(20, "20", None).len(), 1);
        let three = pages(45, "20", None);
        assert_eq!(three.iter().map(Vec::len).collect::<Vec<_>>(), [20, 20, 5]);
        assert_eq!(three.concat(), (0..45).collect::<Vec<_>>());
    }

    #[test]
    fn an_item_that_goes_hides_no_other() {
        for gone in [3, 19, 20] {
            let seen = pages(45, "20", Some(gone)).concat();
            assert!((20..45).filter(|n| *n != gone).all(|n| seen.contains(&n)));
        }
    }

    #[test]
    fn a_page_has_bounds_and_a_token_is_checked() {
        let link = Link::new(String::new(), &Uri::from_static("/models"));
        let ask =
            |pairs: &[(&str, &str)]| page(vec![1], &Params::of(pairs), &link, |n| *n, |n| json!(n));
        assert!(
            ask(&[("count", "0")])
                .unwrap_err()
                .message
                .contains("1 to 255")
        );
        assert!(
            ask(&[("count", "256")])
                .unwrap_err()
                .message
                .contains("1 to 255")
        );
        assert!(
            ask(&[(SKIP_TOKEN, "x")])
                .unwrap_err()
                .message
                .contains("$skipToken")
        );
    }
}

//! Texts of the control room as callers get them. A version of an endpoint is a
//! service under a name that only the node itself uses; outside it is called version
//! `green` of endpoint `shop`.

use std::borrow::Cow;

use lusk_domain::{Failure, ServiceName, VersionName};

/// A text without the names that versions have inside, as far as the words before them
/// tell names of services from paths of files.
pub(crate) fn plain(text: &str) -> Cow<'_, str> {
    plain_about(text, None)
}

/// The same for what is said about one endpoint: whatever looks like a version of it
/// is one.
pub(crate) fn plain_about<'a>(text: &'a str, endpoint: Option<&str>) -> Cow<'a, str> {
    if !text.contains('/') || !text.contains('`') {
        return Cow::Borrowed(text);
    }
    let mut said = String::with_capacity(text.len());
    // Whether the words before are about services.
    let mut is_service = false;
    for (index, word) in text.split('`').enumerate() {
        let is_quoted = index % 2 == 1;
        let name = inner_name(word).filter(|(of, _)| {
            is_quoted && (is_service || endpoint.is_some_and(|it| it == of.as_str()))
        });
        match name {
            Some((of, version)) => say(&mut said, &of, &version),
            None => said.push_str(word),
        }
        if !is_quoted {
            // A list of services goes on over its commas.
            is_service = ends_in_service(word) || (is_service && word == ", ");
        }
        said.push('`');
    }
    said.pop();
    Cow::Owned(said)
}

/// Goes on after an opened quote.
fn say(said: &mut String, endpoint: &ServiceName, version: &VersionName) {
    said.pop();
    let before = said.strip_suffix("service ").unwrap_or(said).len();
    said.truncate(before);
    said.push_str(&format!("version `{version}` of endpoint `{endpoint}"));
}

/// A failure in such words.
pub(crate) fn failure(mut failure: Failure) -> Failure {
    failure.message = plain(&failure.message).into_owned();
    for detail in &mut failure.details {
        detail.message = plain(&detail.message).into_owned();
    }
    failure
}

fn ends_in_service(words: &str) -> bool {
    words.ends_with("service ") || words.ends_with("service(s) ")
}

fn inner_name(word: &str) -> Option<(ServiceName, VersionName)> {
    let (endpoint, version) = word.split_once('/')?;
    Some((endpoint.parse().ok()?, version.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_inner_name_of_a_version_is_not_said() {
        for (inside, outside) in [
            (
                "no service `shop/green`",
                "no version `green` of endpoint `shop`",
            ),
            (
                "operation 1 on service `shop/green` is still running; wait",
                "operation 1 on version `green` of endpoint `shop` is still running; wait",
            ),
            (
                "model `m:1` is used by service(s) `one`, `shop/green`, `shop/blue`; delete",
                "model `m:1` is used by service(s) `one`, version `green` of endpoint `shop`, \
                 version `blue` of endpoint `shop`; delete",
            ),
        ] {
            assert_eq!(plain(inside), outside);
        }
    }

    #[test]
    fn what_is_about_an_endpoint_names_its_versions_without_saying_so() {
        assert_eq!(
            plain_about("`shop/green` drained, `src/score` stays", Some("shop")),
            "version `green` of endpoint `shop` drained, `src/score` stays"
        );
    }

    #[test]
    fn everything_else_stays_as_it_is() {
        for text in [
            "no service `digits`",
            "file `src/score` of service `digits` is missing",
            "script `src/score`, folder `models/digits`",
            "a/b service `",
            "`",
            "",
        ] {
            assert_eq!(plain(text), text);
        }
    }
}

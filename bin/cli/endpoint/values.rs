//! Values of the flags of endpoints: shares of versions, and what can be ended with
//! `none`.

use std::{fmt::Display, str::FromStr};

use lusk_domain::{Share, VersionName};

/// `VERSION=PERCENT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    /// Which version.
    pub(crate) version: VersionName,
    /// How much.
    pub(crate) share: Share,
}

impl FromStr for Part {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || format!("`{text}` is no share: expected `VERSION=PERCENT`");
        let (version, share) = text.split_once('=').ok_or_else(expected)?;
        Ok(Self {
            version: version.parse().map_err(said)?,
            share: share.parse().map_err(said)?,
        })
    }
}

/// `blue=90 green=10`, with spaces or commas between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parts(pub(crate) Vec<Part>);

impl FromStr for Parts {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words = text.split([' ', ',', '\t', '\n']);
        let parts: Vec<Part> = words
            .filter(|word| !word.is_empty())
            .map(str::parse)
            .collect::<Result<_, _>>()?;
        match parts.is_empty() {
            true => Err("expected `VERSION=PERCENT`, e.g. `blue=90 green=10`".to_owned()),
            false => Ok(Self(parts)),
        }
    }
}

/// What ends a thing that a flag begins.
pub(crate) const NONE: &str = "none";

/// A value, or the word `none`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OrNone<T>(pub(crate) Option<T>);

impl<T> FromStr for OrNone<T>
where
    T: FromStr,
    T::Err: Display,
{
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            NONE => Ok(Self(None)),
            text => match text.parse() {
                Ok(value) => Ok(Self(Some(value))),
                Err(error) => Err(format!("{error}; `{NONE}` ends it")),
            },
        }
    }
}

fn said(error: impl Display) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use lusk_domain::Sticky;

    use super::*;

    #[test]
    fn shares_are_parted_by_spaces_or_commas() {
        let read = |text: &str| -> Vec<_> {
            let parts = text.parse::<Parts>().unwrap().0.into_iter();
            parts
                .map(|part| format!("{}: {}", part.version, part.share))
                .collect()
        };
        for text in [
            "blue=90 green=10",
            "blue=90,green=10",
            " blue=90,  green=10% ",
        ] {
            assert_eq!(read(text), ["blue: 90", "green: 10"], "{text}");
        }
        assert_eq!(read("blue=0.01"), ["blue: 0.01"]);
    }

    #[test]
    fn what_is_no_share_is_refused_by_name() {
        for (text, word) in [
            ("", "blue=90 green=10"),
            ("blue", "VERSION=PERCENT"),
            ("blue=many", "`many`"),
            ("blue=101", "`101`"),
            ("B=1", "`B`"),
        ] {
            let error = text.parse::<Parts>().unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
    }

    #[test]
    fn none_ends_a_thing() {
        assert_eq!("none".parse::<OrNone<Sticky>>(), Ok(OrNone(None)));
        assert_eq!("key".parse(), Ok(OrNone(Some(Sticky::Key))));
        let error = "ip".parse::<OrNone<Sticky>>().unwrap_err();
        assert!(
            error.contains("`ip`") && error.contains("`none`"),
            "{error}"
        );
    }
}

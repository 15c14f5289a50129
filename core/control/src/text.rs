//! Numbers as people read them in events and refusals.

/// `1 file`, `2 files`.
pub(crate) fn count(number: impl Into<u64>, noun: &str) -> String {
    match number.into() {
        1 => format!("1 {noun}"),
        number => format!("{number} {noun}s"),
    }
}

/// Bytes with a binary unit, e.g. `312 KiB`; one digit after the point below 10.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return count(bytes, "byte");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = UNITS[0];
    for larger in &UNITS[1..] {
        if value < 1023.5 {
            break;
        }
        value /= 1024.0;
        unit = larger;
    }
    if value < 9.95 {
        format!("{value:.1} {unit}")
    } else {
        format!("{value:.0} {unit}")
    }
}

/// Gigabytes (10^9 bytes, as the config files count), e.g. `0.5 GB`.
pub(crate) fn gigabytes(bytes: u64) -> String {
    format!("{} GB", rounded(bytes as f64 / 1e9))
}

/// At most two digits after the point, none that say nothing.
pub(crate) fn rounded(value: f64) -> String {
    format!("{}", (value * 100.0).round() / 100.0)
}

/// A digest cut to what a person compares, e.g. `sha256:9f2c41…`.
pub(crate) fn short_digest(digest: &str) -> String {
    let shown = digest.find(':').map_or(0, |colon| colon + 1) + 6;
    match digest.char_indices().nth(shown) {
        Some((end, _)) => format!("{}…", &digest[..end]),
        None => digest.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_two_digits_that_matter() {
        let seen: Vec<_> = [0, 1, 1023, 1024, 319_488, 1_048_000, 5_368_709_120]
            .map(size)
            .into();
        assert_eq!(
            seen,
            [
                "0 bytes",
                "1 byte",
                "1023 bytes",
                "1.0 KiB",
                "312 KiB",
                "1023 KiB",
                "5.0 GiB"
            ]
        );
    }

    #[test]
    fn digests_are_cut_after_six_digits() {
        assert_eq!(short_digest("sha256:9f2c41aabbcc"), "sha256:9f2c41…");
        assert_eq!(short_digest("none"), "none");
    }
}

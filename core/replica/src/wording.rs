//! Figures and causes in messages.

use std::time::Duration;

/// `41 ms`, `5.2 s`.
pub(crate) fn duration(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        format!("{} ms", duration.as_millis())
    } else {
        format!("{:.1} s", duration.as_secs_f64())
    }
}

/// `312 KiB`, `13.2 MiB`.
pub(crate) fn bytes(bytes: u64) -> String {
    const KIB: f64 = 1024.0;
    let figure = bytes as f64;
    if figure < KIB {
        format!("{bytes} bytes")
    } else if figure < KIB * KIB {
        format!("{:.0} KiB", figure / KIB)
    } else if figure < KIB * KIB * KIB {
        format!("{:.1} MiB", figure / KIB / KIB)
    } else {
        format!("{:.1} GiB", figure / KIB / KIB / KIB)
    }
}

/// An error and its causes in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_the_unit_that_fits() {
        assert_eq!(duration(Duration::from_millis(41)), "41 ms");
        assert_eq!(duration(Duration::from_millis(5_160)), "5.2 s");
        assert_eq!(bytes(1023), "1023 bytes");
        assert_eq!(bytes(312 << 10), "312 KiB");
        assert_eq!(bytes(211 << 16), "13.2 MiB");
        assert_eq!(bytes(3 << 30), "3.0 GiB");
    }
}

//! Quantities as Kubernetes writes them: `500m`, `0.5`, `512Mi`, `2G`.

/// Suffixes and what they multiply by. Longer ones first, so that `Mi` is not `M`.
const SUFFIXES: [(&str, f64); 15] = [
    ("Ki", 1024.0),
    ("Mi", 1_048_576.0),
    ("Gi", 1_073_741_824.0),
    ("Ti", 1_099_511_627_776.0),
    ("Pi", 1_125_899_906_842_624.0),
    ("Ei", 1_152_921_504_606_846_976.0),
    ("n", 1e-9),
    ("u", 1e-6),
    ("m", 1e-3),
    ("k", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
    ("P", 1e15),
    ("E", 1e18),
];

/// The number that a quantity is; none if it is no quantity.
pub(super) fn quantity(text: &str) -> Option<f64> {
    let (number, factor) = SUFFIXES
        .iter()
        .find_map(|(suffix, factor)| Some((text.strip_suffix(suffix)?, *factor)))
        .unwrap_or((text, 1.0));
    // `1e3` is one too; words like `inf`, which parse, are not.
    let is_plain = number.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    let value = number.parse::<f64>().ok().filter(|_| is_plain)? * factor;
    value.is_finite().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_what_kubernetes_means() {
        let cases = [
            ("500m", Some(0.5)),
            ("2", Some(2.0)),
            ("0.1", Some(0.1)),
            ("1e3", Some(1e3)),
            ("512Mi", Some(536_870_912.0)),
            ("1Gi", Some(1_073_741_824.0)),
            ("2G", Some(2e9)),
            ("100k", Some(1e5)),
            ("1E", Some(1e18)),
            ("", None),
            ("m", None),
            ("-1", None),
            ("inf", None),
            ("NaN", None),
            ("1 Gi", None),
            ("1GB", None),
            ("1e999", None),
        ];
        for (text, value) in cases {
            assert_eq!(quantity(text), value, "{text}");
        }
    }
}

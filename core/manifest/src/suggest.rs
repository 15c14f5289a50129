//! "Did you mean …?"

/// The candidate nearest to `word`, if one is near enough to be meant.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let word = squeezed(word);
    // A third of the letters may be wrong; of short words at least one.
    let most = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| {
            let distance = strsim::damerau_levenshtein(&word, &squeezed(candidate));
            (distance, candidate)
        })
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Case, dashes and underscores are what people get wrong first. Cut, because
/// the distance of two long texts takes long to compute.
fn squeezed(word: &str) -> String {
    word.chars()
        .filter(|c| !matches!(c, '-' | '_' | ' '))
        .take(64)
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::nearest;

    const KEYS: [&str; 3] = ["minReplicas", "maxReplicas", "targetUtilization"];

    #[test]
    fn a_slip_of_the_finger_finds_its_key() {
        assert_eq!(nearest("minReplica", KEYS), Some("minReplicas"));
        assert_eq!(nearest("max_replicas", KEYS), Some("maxReplicas"));
        assert_eq!(
            nearest("TARGETUTILISATION", KEYS),
            Some("targetUtilization")
        );
    }

    #[test]
    fn a_foreign_word_finds_nothing() {
        assert_eq!(nearest("location", KEYS), None);
        assert_eq!(nearest("", KEYS), None);
    }
}

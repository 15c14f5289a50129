//! What the keeper tells of its work.

/// A glance at the keeper.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutputStatus {
    /// Files that the store has not taken yet, as of the last look.
    pub pending_files: u64,
    /// Files that the store took since the process began.
    pub sent_files: u64,
    /// Bytes of those files.
    pub sent_bytes: u64,
    /// Attempts that failed since the process began.
    pub failures: u64,
    /// Why the last attempt failed; none once everything was taken.
    pub last_error: Option<String>,
}

/// The text of an error and its causes, without what follows a `?` in a URL:
/// a signature there lets whoever reads it write to the store.
pub(crate) fn safe_text(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    without_queries(&text)
}

fn without_queries(text: &str) -> String {
    let ends = |char: char| char.is_whitespace() || matches!(char, '"' | '\'' | ')' | '>' | '`');
    let mut rest = text;
    let mut safe = String::with_capacity(text.len());
    while let Some(at) = rest.find('?') {
        let (before, query) = rest.split_at(at + 1);
        let end = query.find(ends).unwrap_or(query.len());
        safe.push_str(before);
        if end > 0 {
            safe.push('…');
        }
        rest = &query[end..];
    }
    safe.push_str(rest);
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_in_a_url_is_not_told() {
        let text = "PUT (https://a.example/c/f?sv=1&sig=SECRET) failed: why? \"x?sig=SECRET\"";
        let safe = without_queries(text);
        assert!(!safe.contains("SECRET"), "{safe}");
        assert!(safe.starts_with("PUT (https://a.example/c/f?…) failed: why? "));
    }
}

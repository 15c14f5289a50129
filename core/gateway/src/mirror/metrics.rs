//! Copies on the metrics page.

use std::fmt::{self, Write};

use lusk_domain::ServiceName;

use crate::books::{Books, CopyOutcome};

/// What became of copies, by endpoint; nothing where nobody mirrors. Endpoints that do
/// not exist any more are forgotten.
pub(crate) fn write(
    page: &mut String,
    books: &Books,
    exists: impl Fn(&ServiceName) -> bool,
) -> fmt::Result {
    let copies = books.copies(exists);
    if copies.is_empty() {
        return Ok(());
    }
    let name = "lusk_mirror_requests_total";
    let help = "Copies for mirrored versions: answered, over the bounds, without an answer.";
    writeln!(page, "# HELP {name} {help}\n# TYPE {name} counter")?;
    for (endpoint, counts) in copies {
        for (outcome, count) in CopyOutcome::ALL.iter().zip(counts) {
            let outcome = outcome.name();
            writeln!(
                page,
                "{name}{{endpoint=\"{endpoint}\",outcome=\"{outcome}\"}} {count}"
            )?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_that_mirror_are_on_the_page_and_others_are_not() {
        let books = Books::default();
        let mut page = String::new();
        write(&mut page, &books, |_| true).unwrap();
        assert_eq!(page, "");
        for (endpoint, outcome) in [
            ("shop", CopyOutcome::Sent),
            ("shop", CopyOutcome::Sent),
            ("shop", CopyOutcome::Dropped),
            ("gone", CopyOutcome::Failed),
        ] {
            books.count_copy(&endpoint.parse().unwrap(), outcome);
        }
        write(&mut page, &books, |endpoint| endpoint.as_str() == "shop").unwrap();
        let lines: Vec<_> = page.lines().skip(2).collect();
        assert_eq!(
            lines,
            [
                r#"lusk_mirror_requests_total{endpoint="shop",outcome="sent"} 2"#,
                r#"lusk_mirror_requests_total{endpoint="shop",outcome="dropped"} 1"#,
                r#"lusk_mirror_requests_total{endpoint="shop",outcome="failed"} 0"#,
            ]
        );
    }
}

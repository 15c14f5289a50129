//! `lusk image scan`: an image's packages against a database that the user has.
//! Nothing is looked up in a network; the matching is [`lusk_images::scan`].

use std::fs;

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::{
    cli::{Format, ImageScanArgs},
    commands::{Session, environment::directory::pretty, model::plain},
    render::{self, Column, Trouble},
};

const COLUMNS: [Column; 6] = [
    Column::new("Package", |found| plain(&found["package"])),
    Column::new("Version", |found| plain(&found["version"])),
    Column::new("Advisory", |found| plain(&found["id"])),
    Column::new("Severity", |found| plain(&found["severity"])),
    Column::new("Fixed in", |found| super::joined(&found["fixed"])),
    Column::new("Summary", |found| plain(&found["summary"])),
];

/// Scans and prints what was found.
///
/// # Errors
/// [`render::Verdict`] when something was found; an image that is not there, a
/// database that cannot be read.
pub(super) async fn run(session: &Session, args: &ImageScanArgs) -> anyhow::Result<()> {
    let key = super::key(session, &args.image).await?;
    let sbom = session.client().get(&super::path(&key, "/sbom")).await?;
    if let Some(file) = &args.sbom {
        let path = session.at(file);
        fs::write(&path, pretty(&sbom)?).with_context(|| format!("writing {}", path.display()))?;
    }
    let database = session.at(&args.osv);
    let report = tokio::task::spawn_blocking(move || lusk_images::scan(&sbom, &database)).await?;
    let report = report.map_err(|error| match error {
        lusk_images::ScanError::Database { .. } => Trouble::new(error.to_string())
            .with_help("--osv takes a folder or a file of advisories in the OSV format"),
        other => Trouble::new(other.to_string()),
    })?;
    let report = json!(report);
    print(session, &report)?;
    match report["findings"].as_array() {
        Some(findings) if !findings.is_empty() => Err(render::Verdict.into()),
        _ => Ok(()),
    }
}

fn print(session: &Session, report: &Value) -> anyhow::Result<()> {
    match session.format {
        Format::Table | Format::Tsv => {
            render::data(session.format, &report["findings"], &COLUMNS)?;
            session.progress.say(&conclusion(report));
            Ok(())
        }
        _ => render::data(session.format, report, &[]),
    }
}

fn conclusion(report: &Value) -> String {
    let findings = report["findings"].as_array().map_or(0, Vec::len);
    let unreadable = match report["unreadable"].as_u64() {
        None | Some(0) => String::new(),
        Some(number) => {
            let entries = render::count(number, "entry", "entries");
            format!(", {entries} of the database could not be read")
        }
    };
    let number = |key: &str| report[key].as_u64().unwrap_or_default();
    format!(
        "{findings} found in {} against {}{unreadable}",
        render::count(number("components"), "package", "packages"),
        render::count(number("advisoriesRead"), "advisory", "advisories")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_conclusion_counts_what_was_read() {
        let report =
            json!({"components": 3, "advisoriesRead": 20, "unreadable": 1, "findings": [{}]});
        assert_eq!(
            conclusion(&report),
            "1 found in 3 packages against 20 advisories, 1 entry of the database could not be read"
        );
        let one = json!({"components": 1, "advisoriesRead": 1, "findings": []});
        assert_eq!(conclusion(&one), "0 found in 1 package against 1 advisory");
    }
}

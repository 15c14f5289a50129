//! What people and programs read: data on stdout in the format they asked
//! for, complaints on stderr as `error:`, `cause:` and `help:`.

use std::{
    fmt,
    io::{self, IsTerminal as _, Write as _},
};

use comfy_table::{Table, presets::NOTHING};
use lusk_manifest::{ManifestError, Notice};
use saphyr::{LoadableYamlNode as _, Yaml, YamlEmitter};
use serde_json::Value;

use crate::{cli::Format, client::Refusal};

/// Exit code of a command that failed.
pub(crate) const FAILED: u8 = 1;

/// Exit code of a command that was misused; clap uses the same.
pub(crate) const MISUSED: u8 = 2;

/// A failure with what led to it and the way out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Trouble {
    message: String,
    causes: Vec<String>,
    help: Option<String>,
    is_misuse: bool,
}

impl Trouble {
    /// A failure.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            ..Self::default()
        }
    }

    /// A command line that makes no sense.
    pub(crate) fn misuse(message: impl Into<String>) -> Self {
        Self {
            is_misuse: true,
            ..Self::new(message)
        }
    }

    /// The same with the way out.
    #[must_use]
    pub(crate) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same with what led to it, outermost first.
    #[must_use]
    pub(crate) fn with_causes(mut self, causes: Vec<String>) -> Self {
        self.causes = causes;
        self
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Trouble {}

/// A command did what it was asked for, and what it found is bad: it has been
/// printed as data, and the exit code says it once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verdict;

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("something was found")
    }
}

impl std::error::Error for Verdict {}

/// The exit code that goes with an error.
pub(crate) fn exit_code(error: &anyhow::Error) -> u8 {
    let is_misuse = error
        .downcast_ref::<Trouble>()
        .is_some_and(|trouble| trouble.is_misuse);
    if is_misuse { MISUSED } else { FAILED }
}

/// Prints an error on stderr.
pub(crate) fn error(error: &anyhow::Error) {
    if error.is::<Verdict>() {
        return;
    }
    let paint = Paint::of(&io::stderr());
    tell(&error_text(error, paint));
}

/// Prints a warning on stderr.
pub(crate) fn warning(message: &str, help: Option<&str>) {
    tell(&warning_text(message, help, Paint::of(&io::stderr())));
}

/// Prints what was odd about the config files.
pub(crate) fn notices(notices: &[Notice]) {
    for notice in notices {
        warning(&notice.to_string(), notice.help.as_deref());
    }
}

/// Prints a line of talk on stderr.
pub(crate) fn talk(line: &str) {
    tell(&format!("{line}\n"));
}

fn tell(text: &str) {
    // Nobody is left to tell when stderr is gone.
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

fn error_text(error: &anyhow::Error, paint: Paint) -> String {
    if let Some(manifest) = error.downcast_ref::<ManifestError>() {
        return manifest_text(manifest, paint);
    }
    let mut text = String::new();
    let mut chain = error.chain();
    if let Some(first) = chain.next() {
        text += &labelled(paint.red("error:"), &first.to_string());
    }
    let mut help = None;
    for cause in error.chain() {
        if let Some(trouble) = cause.downcast_ref::<Trouble>() {
            help = help.or_else(|| trouble.help.clone());
        }
        if let Some(refusal) = cause.downcast_ref::<Refusal>() {
            help = help.or_else(|| refusal.help());
        }
    }
    let causes = chain.map(ToString::to_string).chain(inner_causes(error));
    for cause in causes {
        text += &labelled(paint.red("cause:"), &cause);
    }
    if let Some(help) = help {
        text += &labelled(paint.bold("  help:"), &help);
    }
    text
}

/// Causes that came as text.
fn inner_causes(error: &anyhow::Error) -> Vec<String> {
    let last = error.root_cause();
    if let Some(trouble) = last.downcast_ref::<Trouble>() {
        return trouble.causes.clone();
    }
    let refusal = last.downcast_ref::<Refusal>();
    refusal
        .map(|refusal| refusal.causes.clone())
        .unwrap_or_default()
}

fn manifest_text(error: &ManifestError, paint: Paint) -> String {
    let mut text = String::new();
    for notice in &error.notices {
        text += &warning_text(&notice.to_string(), notice.help.as_deref(), paint);
    }
    for problem in &error.problems {
        text += &labelled(paint.red("error:"), &problem.to_string());
        if let Some(help) = &problem.help {
            text += &labelled(paint.bold("  help:"), help);
        }
    }
    text
}

fn warning_text(message: &str, help: Option<&str>, paint: Paint) -> String {
    let mut text = labelled(paint.yellow("warning:"), message);
    if let Some(help) = help {
        text += &labelled(paint.bold("   help:"), help);
    }
    text
}

/// A label and a text; further lines of the text are set in.
fn labelled(label: String, text: &str) -> String {
    let text = text.trim_end().replace('\n', "\n    ");
    format!("{label} {text}\n")
}

/// Colours, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Paint(bool);

impl Paint {
    fn of(stream: &impl io::IsTerminal) -> Self {
        let is_unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self(stream.is_terminal() && !is_unwanted)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.0 {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }

    fn red(self, text: &str) -> String {
        self.paint("1;31", text)
    }

    fn yellow(self, text: &str) -> String {
        self.paint("1;33", text)
    }

    fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }
}

/// Whether people look at stderr.
pub(crate) fn is_watched() -> bool {
    io::stderr().is_terminal()
}

/// One column of a table: its title and where its text comes from.
pub(crate) struct Column {
    title: &'static str,
    text: fn(&Value) -> String,
}

impl Column {
    /// A column.
    pub(crate) const fn new(title: &'static str, text: fn(&Value) -> String) -> Self {
        Self { title, text }
    }
}

/// Prints data on stdout: a list as rows, one object as lines of its columns.
///
/// # Errors
/// Stdout cannot be written.
pub(crate) fn data(format: Format, value: &Value, columns: &[Column]) -> anyhow::Result<()> {
    print(&data_text(format, value, columns)?)
}

/// Prints a text on stdout, or as a JSON string in the formats for programs.
///
/// # Errors
/// Stdout cannot be written.
pub(crate) fn text(format: Format, text: &str) -> anyhow::Result<()> {
    match format {
        Format::Table | Format::Tsv => print(text),
        _ => print(&data_text(format, &Value::String(text.to_owned()), &[])?),
    }
}

/// Prints bytes on stdout as they are.
///
/// # Errors
/// Stdout cannot be written.
pub(crate) fn bytes(bytes: &[u8]) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    let written = out.write_all(bytes).and_then(|()| out.flush());
    match written {
        // The reader has seen enough, as `head` does.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(anyhow::Error::new(error).context("writing to stdout")),
        Ok(()) => Ok(()),
    }
}

fn print(text: &str) -> anyhow::Result<()> {
    let end = if text.is_empty() || text.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    bytes(format!("{text}{end}").as_bytes())
}

/// Data as [`data`] prints it.
///
/// # Errors
/// It cannot be written as that format.
pub(crate) fn data_text(
    format: Format,
    value: &Value,
    columns: &[Column],
) -> anyhow::Result<String> {
    Ok(match format {
        Format::None => String::new(),
        Format::Json | Format::Jsonc => serde_json::to_string_pretty(value)?,
        Format::Yaml | Format::Yamlc => yaml(value)?,
        Format::Tsv => tsv(value, columns),
        Format::Table => table(value, columns),
    })
}

/// A tree as YAML.
///
/// # Errors
/// It cannot be written.
pub(crate) fn yaml(value: &Value) -> anyhow::Result<String> {
    let json = value.to_string();
    // JSON is YAML, so the emitter's own tree is read from it.
    let documents = Yaml::load_from_str(&json)?;
    let mut text = String::new();
    if let Some(document) = documents.first() {
        YamlEmitter::new(&mut text).dump(document)?;
    }
    Ok(text
        .strip_prefix("---\n")
        .map(str::to_owned)
        .unwrap_or(text))
}

fn rows(value: &Value) -> &[Value] {
    match value {
        Value::Array(items) => items,
        one => std::slice::from_ref(one),
    }
}

fn tsv(value: &Value, columns: &[Column]) -> String {
    let mut text = String::new();
    for row in rows(value) {
        let cells: Vec<_> = columns
            .iter()
            .map(|column| (column.text)(row).replace(['\t', '\n', '\r'], " "))
            .collect();
        text += &cells.join("\t");
        text.push('\n');
    }
    text
}

fn table(value: &Value, columns: &[Column]) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING);
    match value {
        Value::Array(items) if items.is_empty() => return String::new(),
        Value::Array(items) => {
            table.set_header(columns.iter().map(|column| column.title));
            for item in items {
                table.add_row(columns.iter().map(|column| (column.text)(item)));
            }
        }
        one => {
            for column in columns {
                let text = (column.text)(one);
                if !text.is_empty() {
                    table.add_row([column.title.to_owned(), text]);
                }
            }
        }
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt()
}

/// A number with its noun.
pub(crate) fn count(number: u64, one: &str, many: &str) -> String {
    let noun = if number == 1 { one } else { many };
    format!("{number} {noun}")
}

/// A size for people: powers of 1,024.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let digits = usize::from(value < 9.95);
    format!("{value:.digits$} {}", UNITS[unit])
}

#[cfg(test)]
mod tests;

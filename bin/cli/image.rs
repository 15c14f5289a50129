//! `lusk image …`.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand};

/// What can be done with images.
#[derive(Debug, Subcommand)]
pub(crate) enum ImageCommand {
    /// List the images of the node: sizes, hits, where they came from
    #[command(after_help = "Examples:\n  lusk image list\n  lusk image list -o json")]
    List,
    /// Show packages and layers of an image
    #[command(after_help = "Examples:
  lusk image show 0123456789abcdef0123456789abcdef
  lusk image show -e sklearn --ev 2
  lusk image show -n digits -o json")]
    Show(ImageArgs),
    /// Find the image of an environment, or build it
    Build(ImageBuildArgs),
    /// Send an image to the workspace's registry
    #[command(after_help = "Examples:
  lusk image push -e sklearn
  lusk image push azureml/azureml_0123456789abcdef0123456789abcdef")]
    Push(ImageArgs),
    /// Fetch an image from the workspace's registry, else the global one
    #[command(after_help = "Examples:
  lusk image pull --ed ./env
  lusk image pull 0123456789abcdef0123456789abcdef")]
    Pull(ImageArgs),
    /// Remove images that no service uses
    Prune(ImagePruneArgs),
    /// Write an image, or a service with all it needs, to one file
    Export(ImageExportArgs),
    /// Take such a file in
    Import(ImageImportArgs),
    /// Look an image's packages up in a database of vulnerabilities
    Scan(ImageScanArgs),
}

/// Which image.
#[derive(Debug, Clone, Default, Args)]
#[group(id = "image", required = true, multiple = false)]
pub(crate) struct ImageChoice {
    /// Its key: 32 hex digits, or `azureml/azureml_<key>`
    #[arg(value_name = "KEY")]
    pub(crate) key: Option<String>,
    /// The image of this registered environment
    #[arg(short, long, value_name = "NAME")]
    pub(crate) environment_name: Option<String>,
    /// The image of the environment in this folder
    #[arg(long, visible_alias = "ed", value_name = "DIR")]
    pub(crate) environment_directory: Option<PathBuf>,
    /// The image of this service
    #[arg(short = 'n', long = "name", value_name = "SERVICE")]
    pub(crate) service: Option<String>,
}

/// Which image, with the version of its environment.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ImageArgs {
    /// Which image.
    #[command(flatten)]
    pub(crate) choice: ImageChoice,
    /// Version of the registered environment [default: the newest]
    #[arg(
        long,
        visible_alias = "ev",
        value_name = "VERSION",
        requires = "environment_name"
    )]
    pub(crate) environment_version: Option<String>,
}

/// Flags of `image build`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  lusk image build -e sklearn
  lusk image build --ed ./env --rebuild             look unpinned packages up anew
  lusk image build -e sklearn --rt process")]
pub(crate) struct ImageBuildArgs {
    /// Which image.
    #[command(flatten)]
    pub(crate) image: ImageArgs,
    /// What it is for: python (the sandbox) or process [default: the packages tell it]
    #[arg(long, visible_alias = "rt", value_name = "RUNTIME", value_parser = ["python", "process"])]
    pub(crate) runtime: Option<String>,
    /// Build it even if it is there
    #[arg(long)]
    pub(crate) rebuild: bool,
}

/// Flags of `image prune`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  lusk image prune
  lusk image prune --unused-for 7d")]
pub(crate) struct ImagePruneArgs {
    /// Only images that nobody asked for in this time: 90s, 30m, 12h, 7d or 2w
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "0s")]
    pub(crate) unused_for: Duration,
}

/// Flags of `image export`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  lusk image export -n digits --file digits.lusk    the service: definition, models, script, image
  lusk image export 0123456789abcdef0123456789abcdef --file image.lusk
then, on a box without a network:
  lusk image import digits.lusk")]
pub(crate) struct ImageExportArgs {
    /// Which image; with --name the whole service.
    #[command(flatten)]
    pub(crate) image: ImageArgs,
    /// File to write
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Replace the file if it is there
    #[arg(long)]
    pub(crate) overwrite: bool,
}

/// Flags of `image import`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  lusk image import digits.lusk
  lusk image import digits.lusk --name digits-copy
  lusk image import digits.lusk --no-deploy         images and models, no service")]
pub(crate) struct ImageImportArgs {
    /// File that `image export` wrote
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Name of the service [default: the one it had]
    #[arg(short, long, value_name = "SERVICE", conflicts_with = "no_deploy")]
    pub(crate) name: Option<String>,
    /// Replace a service of this name
    #[arg(long, conflicts_with = "no_deploy")]
    pub(crate) overwrite: bool,
    /// Take images and models in, make no service
    #[arg(long)]
    pub(crate) no_deploy: bool,
}

/// Flags of `image scan`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  lusk image scan -n digits --osv ./osv/PyPI
  lusk image scan -e sklearn --osv all.json --sbom sbom.json -o json
Exit codes: 0 nothing found, 1 vulnerabilities found or failed, 2 wrong use.
Databases: folders or files in the OSV format, of https://osv.dev for example.")]
pub(crate) struct ImageScanArgs {
    /// Which image.
    #[command(flatten)]
    pub(crate) image: ImageArgs,
    /// Advisories in the OSV format: a folder or a file
    #[arg(long, value_name = "PATH")]
    pub(crate) osv: PathBuf,
    /// Write the image's packages to this file too, as CycloneDX
    #[arg(long, value_name = "FILE")]
    pub(crate) sbom: Option<PathBuf>,
}

/// A number with a unit.
fn time(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no time; expected a number and s, m, h, d or w, e.g. 7d");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    let unit = match &text[digits.len()..] {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 604_800,
        _ => return Err(wrong()),
    };
    let seconds = number.checked_mul(unit).ok_or_else(wrong)?;
    Ok(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit() {
        assert_eq!(time("7d"), Ok(Duration::from_secs(7 * 86_400)));
        assert_eq!(time("90s"), Ok(Duration::from_secs(90)));
        for wrong in ["", "7", "d", "7x", "-1d", "99999999999999999999w", "7 d"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }
}

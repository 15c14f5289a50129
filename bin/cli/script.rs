//! Flags of an entry script and its environment.

use std::path::PathBuf;

use clap::Args;
use lusk_domain::EnvironmentRef;
use lusk_manifest::Override;

use super::overrides::Overrides;

/// Which script, in which environment.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Script and environment")]
pub(crate) struct ScriptArgs {
    /// Inference config: JSON or YAML
    #[arg(long, visible_alias = "ic", value_name = "FILE")]
    pub(crate) inference_config_file: Option<PathBuf>,
    /// Entry script: .py, .js, .mjs, .wasm or .wat
    #[arg(long, visible_alias = "es", value_name = "PATH")]
    pub(crate) entry_script: Option<String>,
    /// Folder that is deployed whole; the script's path starts there
    #[arg(long, visible_alias = "sd", value_name = "DIR")]
    pub(crate) source_directory: Option<String>,
    /// Folder with azureml_environment.json
    #[arg(long, visible_alias = "ed", value_name = "DIR")]
    pub(crate) environment_directory: Option<PathBuf>,
    /// A registered environment, in place of the config's
    #[arg(
        short,
        long,
        value_name = "NAME",
        conflicts_with = "environment_directory"
    )]
    pub(crate) environment_name: Option<String>,
    /// Version of the registered environment [default: the newest]
    #[arg(
        long,
        visible_alias = "ev",
        value_name = "VERSION",
        requires = "environment_name"
    )]
    pub(crate) environment_version: Option<String>,
    /// What runs the script: python (the sandbox), process, javascript or wasm
    /// [default: script and environment tell it]
    #[arg(long, visible_alias = "rt", value_name = "RUNTIME")]
    pub(crate) runtime: Option<String>,
    /// Port on which the script of a local service waits for a debugger; 0: none
    #[arg(long, value_name = "PORT")]
    pub(crate) debug_port: Option<u16>,
    /// Deprecated: conda definition
    #[arg(
        long,
        visible_alias = "cf",
        value_name = "FILE",
        hide_short_help = true
    )]
    pub(crate) conda_file: Option<String>,
    /// Deprecated: file with Dockerfile lines
    #[arg(
        long,
        visible_alias = "ds",
        value_name = "FILE",
        hide_short_help = true
    )]
    pub(crate) extra_docker_file_steps: Option<String>,
    /// Deprecated: base image
    #[arg(
        long,
        visible_alias = "bi",
        value_name = "IMAGE",
        hide_short_help = true
    )]
    pub(crate) base_image: Option<String>,
    /// Deprecated: registry of the base image
    #[arg(
        long,
        visible_alias = "ir",
        value_name = "HOST",
        hide_short_help = true
    )]
    pub(crate) base_image_registry: Option<String>,
    /// Deprecated: base image with GPU support
    #[arg(long, visible_alias = "eg", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", value_parser = clap::builder::BoolishValueParser::new(), hide_short_help = true)]
    pub(crate) enable_gpu: Option<bool>,
    /// Deprecated: CUDA version
    #[arg(
        long,
        visible_alias = "cv",
        value_name = "VERSION",
        hide_short_help = true
    )]
    pub(crate) cuda_version: Option<String>,
    /// Accepted as in `az ml`, without effect
    #[arg(
        long,
        visible_alias = "pi",
        value_name = "FILE",
        hide_short_help = true
    )]
    pub(crate) profile_input: Option<String>,
}

impl ScriptArgs {
    /// The registered environment that the flags name.
    pub(crate) fn environment_reference(&self) -> Option<EnvironmentRef> {
        Some(EnvironmentRef {
            name: self.environment_name.clone()?,
            version: self.environment_version.clone(),
        })
    }

    /// Whether anything asks for an entry script.
    pub(crate) fn is_given(&self) -> bool {
        self.inference_config_file.is_some()
            || self.environment_directory.is_some()
            || self.environment_name.is_some()
            || self.debug_port.is_some()
            || !self.overrides().is_empty()
    }

    /// What the flags put in place of the inference config's keys.
    pub(crate) fn overrides(&self) -> Vec<Override> {
        let mut found = Overrides::default();
        found.text("entryScript", "--entry-script", &self.entry_script);
        found.text(
            "sourceDirectory",
            "--source-directory",
            &self.source_directory,
        );
        found.text("condaFile", "--conda-file", &self.conda_file);
        found.text("runtime", "--runtime", &self.runtime);
        found.text(
            "extraDockerfileSteps",
            "--extra-docker-file-steps",
            &self.extra_docker_file_steps,
        );
        found.text("baseImage", "--base-image", &self.base_image);
        found.text(
            "baseImageRegistry",
            "--base-image-registry",
            &self.base_image_registry,
        );
        found.flag("enableGpu", "--enable-gpu", self.enable_gpu);
        found.text("cudaVersion", "--cuda-version", &self.cuda_version);
        found.0
    }
}

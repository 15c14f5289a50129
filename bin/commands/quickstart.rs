//! `lusk quickstart`: the whole way on one example, with the commands it stands for.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::{Args, Parser as _};
use lusk_domain::Model;
use serde_json::Value;

use super::up::{StopSignals, UpArgs};
use crate::{
    cli::{Cli, GlobalArgs},
    client::{Call, Client},
    render,
    wire::Node,
};

/// Name of the model and of the service that the example makes.
const NAME: &str = "digits";

/// Where a checkout of lusk keeps the example.
const IN_CHECKOUT: &str = "examples/digits";

/// The example, for a binary that is far from its checkout.
const CARRIED: [(&str, &[u8]); 5] = [
    ("score.py", include_bytes!("../../examples/digits/score.py")),
    (
        "inferenceconfig.json",
        include_bytes!("../../examples/digits/inferenceconfig.json"),
    ),
    (
        "deploymentconfig.json",
        include_bytes!("../../examples/digits/deploymentconfig.json"),
    ),
    (
        "digit-seven.json",
        include_bytes!("../../examples/digits/digit-seven.json"),
    ),
    (
        "model/digits.onnx",
        include_bytes!("../../examples/digits/model/digits.onnx"),
    ),
];

/// Flags of `lusk quickstart`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  lusk quickstart
  lusk quickstart --exit
  lusk quickstart --ephemeral --listen 127.0.0.1:0 --admin 127.0.0.1:0 --exit")]
pub(crate) struct QuickstartArgs {
    /// Stop after the score instead of serving on
    #[arg(long)]
    pub(crate) exit: bool,
    /// The node's own flags
    #[command(flatten)]
    pub(crate) up: UpArgs,
}

/// Starts a node, registers, deploys and scores the digits example, and serves on.
///
/// # Errors
/// Any step of the way.
pub(crate) async fn run(args: &QuickstartArgs, global: &GlobalArgs) -> anyhow::Result<()> {
    let node = Node::start(args.up.node_options(global)?).await?;
    render::talk(&format!(
        "a node serves on {}, its data is in {}",
        node.scoring_url(),
        node.data().display()
    ));
    let told = show_the_way(&node, global).await;
    if told.is_ok() && !args.exit {
        render::talk("serving on; Ctrl-C stops the node");
        StopSignals::listen()?.told().await;
    }
    node.stop().await?;
    told
}

async fn show_the_way(node: &Node, global: &GlobalArgs) -> anyhow::Result<()> {
    let carried;
    let example = if Path::new(IN_CHECKOUT).is_dir() {
        PathBuf::from(IN_CHECKOUT)
    } else {
        carried = unpack()?;
        carried.path().to_owned()
    };
    let commands = Commands {
        node,
        global,
        example: &example,
    };
    let client = commands.client()?;
    let model = match registered(&client, &example).await? {
        Some(id) => {
            render::talk(&format!("model {id} is registered already"));
            id
        }
        None => {
            commands
                .run(&["model", "register", "-n", NAME, "-p", "model/digits.onnx"])
                .await?;
            registered(&client, &example)
                .await?
                .context("the model was registered but is not listed")?
        }
    };
    commands
        .run(&[
            "model",
            "deploy",
            "-n",
            NAME,
            "-m",
            &model,
            "--ic",
            "inferenceconfig.json",
            "--dc",
            "deploymentconfig.json",
            "--overwrite",
        ])
        .await?;
    score(node, &client, &example).await
}

fn unpack() -> anyhow::Result<tempfile::TempDir> {
    let folder = tempfile::tempdir().context("making a folder for the example")?;
    std::fs::create_dir(folder.path().join("model"))?;
    for (name, content) in CARRIED {
        std::fs::write(folder.path().join(name), content)
            .with_context(|| format!("writing the example's {name}"))?;
    }
    Ok(folder)
}

/// Runs commands as a user would type them, against the node of this process.
struct Commands<'a> {
    node: &'a Node,
    global: &'a GlobalArgs,
    example: &'a Path,
}

impl Commands<'_> {
    fn cli(&self, words: &[&str]) -> anyhow::Result<Cli> {
        let data = self.node.data().as_os_str();
        let mut line = vec![
            "lusk".as_ref(),
            "--data".as_ref(),
            data,
            "--path".as_ref(),
            self.example.as_os_str(),
            "-w".as_ref(),
            self.global.workspace_name.as_ref(),
        ];
        line.extend(words.iter().map(OsStr::new));
        Cli::try_parse_from(line).context("reading a command of the example")
    }

    async fn run(&self, words: &[&str]) -> anyhow::Result<()> {
        render::talk(&format!("$ lusk {}", words.join(" ")));
        // Boxed: this is a command that runs commands.
        Box::pin(super::run(self.cli(words)?)).await
    }

    fn client(&self) -> anyhow::Result<Client> {
        Client::find(&self.cli(&["model", "list"])?.global)
    }
}

/// Id of the newest model of the name, if it holds just the example's file.
async fn registered(client: &Client, example: &Path) -> anyhow::Result<Option<String>> {
    let content =
        std::fs::read(example.join("model/digits.onnx")).context("reading the example's model")?;
    let digest = lusk_domain::Digest::of(&content);
    let newest = client.list("/models?name=digits&latest=true").await?;
    Ok(newest
        .into_iter()
        .filter_map(|value| serde_json::from_value::<Model>(value).ok())
        .find(|model| model.draft.files.iter().all(|file| file.digest == digest))
        .map(|model| model.id.to_string()))
}

/// Scores the digit over HTTP, with the key, and says how to do it again.
async fn score(node: &Node, client: &Client, example: &Path) -> anyhow::Result<()> {
    let body =
        std::fs::read(example.join("digit-seven.json")).context("reading the example's digit")?;
    let keys = client
        .send(
            http::Method::POST,
            &format!("/services/{NAME}/listkeys"),
            None,
        )
        .await?
        .body;
    let key = keys
        .get("primaryKey")
        .and_then(Value::as_str)
        .context("the service has no key")?;
    let uri = format!("{}/api/v1/service/{NAME}/score", node.scoring_url());
    let ca = std::env::var_os("LUSK_CA").map(PathBuf::from);
    let call = Call {
        key: Some(key),
        ca: ca.as_deref(),
        version: None,
    };
    let scored = client.score(&uri, call, body).await?;
    let answer = String::from_utf8_lossy(&scored.body);
    anyhow::ensure!(
        scored.status.is_success(),
        "scoring the digit at {uri} gave {}: {answer}",
        scored.status
    );
    println(&answer);
    println(&format!(
        "curl -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' -d @{}/digit-seven.json {uri}",
        example.display()
    ));
    Ok(())
}

#[allow(
    clippy::print_stdout,
    reason = "the answer and the way to repeat it are the command's output"
)]
fn println(line: &str) {
    println!("{line}");
}

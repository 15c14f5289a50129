//! `lusk doctor`: what is wrong with this machine, its data folder and what the
//! node talks to, one line each with the way out.
//!
//! Every check stands for itself and is bounded in time; all run at once.
//! Nothing is kept: what a check writes to try something is gone when it ends.

mod backends;
mod clock;
mod disk;
mod doors;
mod finding;
mod folder;
mod limits;
mod machine;
mod node;
mod outputs;
mod registries;
mod sandbox;
mod tools;

use std::{path::PathBuf, time::Duration};

use futures::future::{FutureExt as _, LocalBoxFuture, join_all};
use serde_json::Value;
use tokio::time::{Instant, timeout};

use super::model::plain;
use crate::{
    cli::{DoctorArgs, Format, GlobalArgs},
    progress::Progress,
    render::{self, Column, Verdict},
    wire,
};
use finding::Finding;

/// Longest time that a check may take.
const LIMIT: Duration = Duration::from_secs(5);

/// A check by its name, which programs know.
struct Check {
    name: &'static str,
    finding: LocalBoxFuture<'static, Finding>,
}

impl Check {
    fn new(name: &'static str, finding: impl Future<Output = Finding> + 'static) -> Self {
        Self {
            name,
            finding: finding.boxed_local(),
        }
    }

    /// One that blocks.
    fn blocking(name: &'static str, look: impl FnOnce() -> Finding + Send + 'static) -> Self {
        Self::new(name, async {
            match tokio::task::spawn_blocking(look).await {
                Ok(finding) => finding,
                Err(error) => Finding::failed(
                    format!("the check itself failed: {error}"),
                    "report this as a bug of lusk",
                ),
            }
        })
    }

    async fn made(self, limit: Duration) -> Value {
        let begun = Instant::now();
        let finding = timeout(limit, self.finding).await.unwrap_or_else(|_| {
            Finding::failed(
                format!("no answer within {} s", limit.as_secs()),
                "look whether the disk, the network or the machine is overloaded",
            )
        });
        finding.json(self.name, begun.elapsed())
    }
}

/// Runs the command.
///
/// # Errors
/// [`Verdict`] when a check failed; no data folder is known.
pub(crate) async fn run(args: &DoctorArgs, global: &GlobalArgs) -> anyhow::Result<()> {
    // Who speaks TLS needs one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let data = wire::data_path(global.data.clone())?;
    let findings: Vec<_> = checks(args, global, data)
        .into_iter()
        .map(|check| check.made(LIMIT))
        .collect();
    let findings = join_all(findings).await;
    let count = |state: &str| findings.iter().filter(|it| it["state"] == state).count();
    let (failed, warnings) = (count("failed"), count("warning"));
    let all = findings.len();
    render::data(global.output, &Value::Array(findings), &COLUMNS)?;
    if global.output == Format::Table {
        Progress::new(global.only_show_errors).say(&conclusion(all, failed, warnings));
    }
    if failed > 0 {
        return Err(Verdict.into());
    }
    Ok(())
}

/// All checks, in the order that people read them in.
fn checks(args: &DoctorArgs, global: &GlobalArgs, data: PathBuf) -> Vec<Check> {
    let at = || data.clone();
    let (folder, device, file_system, lock) = (at(), at(), at(), at());
    let (ports, files, clock, outputs) = (at(), at(), at(), at());
    let node = node::found(global.clone(), at());
    let doors = [("scoring", args.listen), ("admin", args.admin)];
    let is_open = args.insecure_admin;
    let kept = args.outputs.clone();
    vec![
        Check::blocking("folder", move || folder::check(&folder)),
        Check::blocking("disk", move || disk::space(&device)),
        Check::blocking("fileSystem", move || disk::file_system(&file_system)),
        Check::blocking("lock", move || node::lock(&lock)),
        Check::new("node", node),
        Check::blocking("ports", move || doors::check(&ports, doors, is_open)),
        Check::blocking("openFiles", move || limits::open_files(&files)),
        Check::blocking("clock", move || clock::check(&clock)),
        Check::new("registry", registries::workspace(args.registry.clone())),
        Check::new(
            "globalRegistry",
            registries::global(args.global_registry.clone()),
        ),
        Check::new("outputs", outputs::check(kept, outputs)),
        Check::new("pythonTools", tools::check(LIMIT)),
        Check::blocking("backends", || backends::check(&wire::backends(None))),
        Check::blocking("sandbox", move || sandbox::check(&data)),
        Check::blocking("machine", || machine::check(wire::capacity())),
    ]
}

const COLUMNS: [Column; 4] = [
    Column::new("State", |finding| plain(&finding["state"])),
    Column::new("Check", |finding| plain(&finding["check"])),
    Column::new("Found", |finding| plain(&finding["text"])),
    Column::new("Remedy", |finding| plain(&finding["remedy"])),
];

fn conclusion(all: usize, failed: usize, warnings: usize) -> String {
    let plural = if warnings == 1 { "" } else { "s" };
    match (failed, warnings) {
        (0, 0) => format!("all {all} checks are ok"),
        (0, _) => format!("nothing failed, {warnings} warning{plural} in {all} checks"),
        _ => format!("{failed} failed, {warnings} warning{plural} in {all} checks"),
    }
}

#[cfg(test)]
mod tests;

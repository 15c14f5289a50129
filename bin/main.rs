//! The `lusk` binary: parse, start logging, run one command, say how it ended.

mod cli;
mod client;
mod commands;
mod hosts;
mod machine;
mod progress;
mod render;
mod wire;

use std::{io::IsTerminal as _, process::ExitCode};

use tracing_subscriber::EnvFilter;

use crate::cli::{Cli, Command};

fn main() -> ExitCode {
    let cli = cli::parse();
    start_logging(&cli);
    let outcome = runtime(&cli).map_err(Into::into).and_then(|runtime| {
        let outcome = runtime.block_on(commands::run(cli));
        // What still blocks (a script's compiler, say) must not hold up the end.
        runtime.shutdown_background();
        outcome
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            render::error(&error);
            ExitCode::from(render::exit_code(&error))
        }
    }
}

/// A node uses all cores; a client command needs one thread.
fn runtime(cli: &Cli) -> std::io::Result<tokio::runtime::Runtime> {
    match cli.command {
        Command::Up(_) | Command::Quickstart(_) => tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build(),
        _ => tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build(),
    }
}

/// Logs go to stderr; `LUSK_LOG` takes a `tracing` filter.
fn start_logging(cli: &Cli) {
    let default = match cli.command {
        Command::Up(_) if !cli.global.only_show_errors => "info",
        _ => cli.global.log_filter(),
    };
    let filter = EnvFilter::try_from_env("LUSK_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colour)
        .init();
}

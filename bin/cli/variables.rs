//! The command line of this process, and the variables that stand in for its flags:
//! an empty one counts as not set, and a refused value says which one it is from.

use std::{
    env,
    ffi::{OsStr, OsString},
};

use clap::{
    Arg, ArgMatches, Command, CommandFactory as _, Error, FromArgMatches as _,
    builder::Resettable,
    error::{ContextKind, ContextValue, ErrorKind},
    parser::ValueSource,
};

use super::Cli;

/// Reads what this process was started with; ends it when that makes no sense.
pub(crate) fn parse() -> Cli {
    let words: Vec<_> = env::args_os().collect();
    read(&words).unwrap_or_else(|error| error.exit())
}

fn read(words: &[OsString]) -> Result<Cli, Error> {
    let mut command = without_empty(Cli::command());
    let parsed = command
        .try_get_matches_from_mut(words)
        .and_then(|mut matches| {
            refuse_data_of_ephemeral(&mut command, &matches)?;
            Cli::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command))
        });
    parsed.map_err(|error| with_variable(error, &command, words))
}

/// The command without the variables that are set to nothing.
fn without_empty(command: Command) -> Command {
    let is_empty = |arg: &Arg| {
        let value = arg.get_env().and_then(env::var_os);
        value.is_some_and(|value| value.is_empty())
    };
    command
        .mut_args(|arg| match is_empty(&arg) {
            true => arg.env(Resettable::Reset),
            false => arg,
        })
        .mut_subcommands(without_empty)
}

/// A temporary data folder and a named one cannot both be meant. A variable may
/// name one all the same: it is there for other commands.
fn refuse_data_of_ephemeral(command: &mut Command, matches: &ArgMatches) -> Result<(), Error> {
    let Some((_, given)) = matches.subcommand() else {
        return Ok(());
    };
    let is_ephemeral = matches!(given.try_get_one::<bool>("ephemeral"), Ok(Some(true)));
    if is_ephemeral && given.value_source("data") == Some(ValueSource::CommandLine) {
        return Err(command.error(
            ErrorKind::ArgumentConflict,
            "--ephemeral takes a temporary data folder, so --data would not be used; \
             leave one of them out",
        ));
    }
    Ok(())
}

/// The error with the name of the variable that its value is from, if it is from one.
fn with_variable(mut error: Error, command: &Command, words: &[OsString]) -> Error {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        _ => None,
    };
    let (Some(flag), Some(value)) = (
        text(ContextKind::InvalidArg),
        text(ContextKind::InvalidValue),
    ) else {
        return error;
    };
    let long = flag.split(' ').next().and_then(|it| it.strip_prefix("--"));
    let is_from = |arg: &&Arg| {
        arg.get_long() == long
            && !is_in(arg, words)
            && arg.get_env().and_then(env::var_os).as_deref() == Some(OsStr::new(&value))
    };
    if let Some(name) = all_args(command).find(is_from).and_then(Arg::get_env) {
        let named = format!("{} ({flag})", name.to_string_lossy());
        error.insert(ContextKind::InvalidArg, ContextValue::String(named));
    }
    error
}

/// The arguments of a command and of those below it.
fn all_args(command: &Command) -> Box<dyn Iterator<Item = &Arg> + '_> {
    let below = command.get_subcommands().flat_map(all_args);
    Box::new(command.get_arguments().chain(below))
}

/// Whether the command line has the flag.
fn is_in(arg: &Arg, words: &[OsString]) -> bool {
    let aliases = arg.get_all_aliases().unwrap_or_default();
    let longs: Vec<_> = arg.get_long().into_iter().chain(aliases).collect();
    words.iter().map(|word| word.to_string_lossy()).any(|word| {
        if let Some(long) = word.strip_prefix("--") {
            let name = long.split_once('=').map_or(long, |(name, _)| name);
            return longs.contains(&name);
        }
        let short = word.strip_prefix('-').and_then(|it| it.chars().next());
        short.is_some() && short == arg.get_short()
    })
}

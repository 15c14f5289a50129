//! Records of registered environments. None is ever removed or changed.

use jiff::Timestamp;
use lusk_contract::RecordError;
use lusk_domain::{Environment, EnvironmentName, RegisteredEnvironment};

use crate::db::{Change, Table};

const ENVIRONMENTS: &[u8] = b"e/";

/// Names never hold a zero byte; numbers count registrations of a name.
fn key(name: &EnvironmentName, number: u32) -> Vec<u8> {
    [name_prefix(name), number.to_be_bytes().to_vec()].concat()
}

fn name_prefix(name: &EnvironmentName) -> Vec<u8> {
    [ENVIRONMENTS, name.as_str().as_bytes(), b"\0"].concat()
}

pub(crate) fn register(
    table: &Table,
    change: &mut Change,
    name: &EnvironmentName,
    mut environment: Environment,
) -> Result<RegisteredEnvironment, RecordError> {
    let before: Vec<RegisteredEnvironment> = table.list(&name_prefix(name))?;
    let asked = environment.version.take();
    environment.name = Some(name.to_string());
    let same_as = |one: &RegisteredEnvironment| {
        let version = Some(one.version.clone());
        one.environment
            == Environment {
                version,
                ..environment.clone()
            }
    };
    let there = match &asked {
        Some(version) => before.iter().find(|one| one.version == *version),
        None => before.last().filter(|one| same_as(one)),
    };
    if let Some(there) = there {
        return match same_as(there) {
            true => Ok(there.clone()),
            false => Err(RecordError::EnvironmentExists {
                name: name.clone(),
                version: there.version.clone(),
            }),
        };
    }
    let version = asked.unwrap_or_else(|| next_version(&before));
    environment.version = Some(version.clone());
    let registered = RegisteredEnvironment {
        name: name.clone(),
        version,
        created_time: Timestamp::now(),
        environment,
    };
    change.put(key(name, before.len() as u32), &registered)?;
    Ok(registered)
}

/// One above the highest version that is a number.
fn next_version(before: &[RegisteredEnvironment]) -> String {
    let numbers = before
        .iter()
        .filter_map(|one| one.version.parse::<u64>().ok());
    numbers
        .max()
        .map_or(1, |last| last.saturating_add(1))
        .to_string()
}

pub(crate) fn get(
    table: &Table,
    name: &EnvironmentName,
    version: Option<&str>,
) -> Result<Option<RegisteredEnvironment>, RecordError> {
    let all: Vec<RegisteredEnvironment> = table.list(&name_prefix(name))?;
    let is_it = |one: &RegisteredEnvironment| version.is_none_or(|version| one.version == version);
    Ok(all.into_iter().rev().find(is_it))
}

pub(crate) fn list(table: &Table) -> Result<Vec<RegisteredEnvironment>, RecordError> {
    table.list(ENVIRONMENTS)
}

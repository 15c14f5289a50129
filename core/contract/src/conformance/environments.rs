//! Promises of [`Records`](crate::Records) about registered environments.

use std::collections::BTreeSet;

use futures::future::join_all;
use lusk_domain::{Environment, EnvironmentName, PythonSection};

use crate::{RecordError, Records};

/// Runs every check against `records`, which hold no environment.
pub async fn suite(records: &dyn Records) {
    versions_count_up_and_stay(records).await;
    the_same_definition_is_not_registered_twice(records).await;
    a_version_never_gets_another_definition(records).await;
    concurrent_registrations_get_versions_of_their_own(records).await;
    they_are_listed_by_name_in_their_order(records).await;
}

fn name(text: &str) -> EnvironmentName {
    text.parse().expect("a good name")
}

/// An environment that differs from others by `interpreter`.
fn environment(interpreter: &str) -> Environment {
    Environment {
        python: PythonSection {
            interpreter_path: interpreter.to_owned(),
            ..PythonSection::default()
        },
        ..Environment::default()
    }
}

async fn register(records: &dyn Records, of: &str, environment: Environment) -> String {
    let registered = records
        .register_environment(&name(of), environment)
        .await
        .expect("registered");
    assert_eq!(registered.environment.name.as_deref(), Some(of));
    assert_eq!(
        registered.environment.version,
        Some(registered.version.clone())
    );
    registered.version
}

async fn versions_count_up_and_stay(records: &dyn Records) {
    assert_eq!(register(records, "counted", environment("a")).await, "1");
    assert_eq!(register(records, "counted", environment("b")).await, "2");
    let first = records.environment(&name("counted"), Some("1")).await;
    let first = first.expect("read").expect("there");
    assert_eq!(first.environment.python.interpreter_path, "a");
    let newest = records.environment(&name("counted"), None).await;
    assert_eq!(newest.expect("read").expect("there").version, "2");
    let unknown = records.environment(&name("counted"), Some("3")).await;
    assert_eq!(unknown.expect("read"), None);
}

async fn the_same_definition_is_not_registered_twice(records: &dyn Records) {
    assert_eq!(register(records, "same", environment("a")).await, "1");
    assert_eq!(register(records, "same", environment("a")).await, "1");
    let mut named = environment("a");
    named.version = Some("1".to_owned());
    assert_eq!(register(records, "same", named).await, "1");
}

async fn a_version_never_gets_another_definition(records: &dyn Records) {
    let mut given = environment("a");
    given.version = Some("2026-03".to_owned());
    assert_eq!(register(records, "given", given).await, "2026-03");
    let mut other = environment("b");
    other.version = Some("2026-03".to_owned());
    let refused = records.register_environment(&name("given"), other).await;
    assert!(
        matches!(refused, Err(RecordError::EnvironmentExists { .. })),
        "{refused:?}"
    );
    assert_eq!(register(records, "given", environment("c")).await, "1");
}

async fn concurrent_registrations_get_versions_of_their_own(records: &dyn Records) {
    let all = (0..20).map(|number| register(records, "crowd", environment(&number.to_string())));
    let versions: BTreeSet<_> = join_all(all).await.into_iter().collect();
    assert_eq!(versions.len(), 20);
}

async fn they_are_listed_by_name_in_their_order(records: &dyn Records) {
    register(records, "listed", environment("z")).await;
    register(records, "listed", environment("a")).await;
    let all = records.environments().await.expect("a list");
    assert!(all.is_sorted_by(|one, next| one.name <= next.name));
    let listed = all.iter().filter(|one| one.name == name("listed"));
    let versions: Vec<_> = listed.map(|one| one.version.as_str()).collect();
    assert_eq!(versions, ["1", "2"]);
}

use proptest::prelude::*;

use super::*;
use crate::{CondaSpec, SparkPackage};

fn environment(channels: &[&str], conda: &[&str], pip: &[&str]) -> Environment {
    let mut environment = Environment::default();
    let owned = |items: &[&str]| {
        items
            .iter()
            .map(|item| (*item).to_owned())
            .collect::<Vec<_>>()
    };
    let mut dependencies: Vec<_> = owned(conda)
        .into_iter()
        .map(CondaDependency::Package)
        .collect();
    dependencies.push(CondaDependency::Pip { pip: owned(pip) });
    environment.python.conda_dependencies = Some(CondaSpec {
        name: Some("name".to_owned()),
        channels: owned(channels),
        dependencies,
    });
    environment
}

fn key(environment: &Environment) -> ImageKey {
    ImageKey::of(environment)
}

#[test]
fn a_key_is_32_hex_digits_and_names_a_repository() {
    let key = key(&Environment::default());
    assert_eq!(key.as_str().len(), 32);
    assert_eq!(key.repository(), format!("azureml/azureml_{key}"));
    assert_eq!(key.to_string().parse::<ImageKey>().unwrap(), key);
    assert!("x".repeat(32).parse::<ImageKey>().is_err());
    assert!("A".repeat(32).parse::<ImageKey>().is_err());
    assert!("é".repeat(60).parse::<ImageKey>().is_err());
}

#[test]
fn names_versions_and_variables_are_not_in_the_key() {
    let base = environment(&["c"], &["python=3.10"], &["numpy"]);
    let mut other = base.clone();
    other.name = Some("another".to_owned());
    other.version = Some("7".to_owned());
    other
        .environment_variables
        .insert("A".to_owned(), "1".to_owned());
    if let Some(conda) = &mut other.python.conda_dependencies {
        conda.name = Some("renamed".to_owned());
    }
    assert_eq!(key(&base), key(&other));
}

#[test]
fn spelling_of_a_package_does_not_matter() {
    let one = environment(
        &["c"],
        &["Python = 3.10"],
        &["scikit_learn==1.0", "Flask[async] >=2"],
    );
    let two = environment(
        &["c"],
        &["python=3.10"],
        &["flask[async]>=2", "scikit-learn==1.0"],
    );
    assert_eq!(key(&one), key(&two));
}

#[test]
fn channel_order_matters() {
    let one = environment(&["a", "b"], &["python"], &[]);
    let two = environment(&["b", "a"], &["python"], &[]);
    assert_ne!(key(&one), key(&two));
}

#[test]
fn a_conda_and_a_pip_package_of_one_name_differ() {
    let conda = environment(&[], &["numpy"], &[]);
    let pip = environment(&[], &[], &["numpy"]);
    assert_ne!(key(&conda), key(&pip));
}

#[test]
fn trailing_space_in_docker_steps_does_not_matter() {
    let with = |steps: &str| {
        let mut environment = Environment::default();
        environment.docker.base_dockerfile = Some(steps.to_owned());
        key(&environment)
    };
    assert_eq!(with("FROM x\nRUN a"), with("FROM x  \r\nRUN a\n\n"));
    assert_ne!(with("FROM x\nRUN a"), with("FROM x\nRUN  a"));
}

#[test]
fn base_image_and_spark_packages_are_in_the_key() {
    let base = Environment::default();
    let mut image = base.clone();
    image.docker.base_image = Some("x".to_owned());
    assert_ne!(key(&base), key(&image));
    let package = |name: &str| SparkPackage {
        group: name.to_owned(),
        artifact: "a".to_owned(),
        version: "1".to_owned(),
    };
    let with = |packages: Vec<SparkPackage>| {
        let mut environment = base.clone();
        environment.spark.packages = packages;
        key(&environment)
    };
    assert_ne!(key(&base), with(vec![package("g")]));
    assert_eq!(
        with(vec![package("g"), package("h")]),
        with(vec![package("h"), package("g")])
    );
}

#[test]
fn conda_does_not_count_when_the_user_manages_python() {
    let with = |pip: &str, interpreter: &str| {
        let mut environment = environment(&[], &[], &[pip]);
        environment.python.user_managed_dependencies = true;
        environment.python.interpreter_path = interpreter.to_owned();
        key(&environment)
    };
    assert_eq!(with("numpy", "python"), with("scipy", "python"));
    assert_ne!(with("numpy", "python"), with("numpy", "python3"));
}

fn packages() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec("[a-z][a-z0-9]{0,6}(=[0-9]{1,2})?", 0..6)
}

proptest! {
    #[test]
    fn order_and_spacing_do_not_matter(
        conda in packages(),
        pip in packages(),
        seed in any::<prop::sample::Index>(),
    ) {
        let refs = |items: &[String]| -> Vec<String> { items.to_vec() };
        let mut turned = (refs(&conda), refs(&pip));
        for list in [&mut turned.0, &mut turned.1] {
            if !list.is_empty() {
                let by = seed.index(list.len());
                list.rotate_left(by);
                for item in list.iter_mut() {
                    *item = format!("  {} ", item.to_uppercase().replace('=', " = "));
                }
            }
        }
        // Upper case is undone in names; versions hold digits alone here.
        let key_of = |conda: &[String], pip: &[String]| {
            let conda: Vec<_> = conda.iter().map(String::as_str).collect();
            let pip: Vec<_> = pip.iter().map(String::as_str).collect();
            key(&environment(&["c"], &conda, &pip))
        };
        prop_assert_eq!(key_of(&conda, &pip), key_of(&turned.0, &turned.1));
    }

    #[test]
    fn one_more_package_is_another_key(pip in packages(), more in "z[a-z]{7,9}") {
        let list: Vec<_> = pip.iter().map(String::as_str).collect();
        let mut longer = list.clone();
        longer.push(&more);
        prop_assert_ne!(
            key(&environment(&[], &[], &list)),
            key(&environment(&[], &[], &longer))
        );
    }
}

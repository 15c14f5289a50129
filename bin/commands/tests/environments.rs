//! `lusk environment …` and what deployments make of names.

use super::*;

fn registered() -> Value {
    json!({
        "name": "sk", "version": "2", "createdTime": "2026-01-02T03:04:05.000000Z",
        "imageId": "azureml/azureml_0123456789abcdef0123456789abcdef",
        "environmentVariables": {"A": "1"},
        "python": {"condaDependencies": {"name": null, "channels": [], "dependencies": ["python=3.10"]}},
    })
}

#[tokio::test]
async fn a_scaffold_needs_no_node_and_can_be_registered() {
    let folder = tempfile::tempdir().unwrap();
    let words = [
        "environment",
        "scaffold",
        "-n",
        "sk",
        "-d",
        "env",
        "-t",
        "t.json",
    ];
    let door = Door::open(vec![(201, registered())]).await;
    door.run(folder.path(), &words).await.unwrap();
    assert!(door.seen().is_empty());
    let told: Value =
        serde_json::from_slice(&fs::read(folder.path().join("t.json")).unwrap()).unwrap();
    assert_eq!(
        told["files"],
        json!(["azureml_environment.json", "conda_dependencies.yml"])
    );
    let error = door.run(folder.path(), &words).await.unwrap_err();
    assert!(error.to_string().ends_with("is there already"), "{error}");

    let words = ["environment", "register", "-d", "env", "-t", "r.json"];
    door.run(folder.path(), &words).await.unwrap();
    assert_eq!(door.lines(), ["POST /workspaces/local/environments"]);
    let sent = door.seen()[0].json();
    assert_eq!(sent["name"], "sk");
    let dependencies = &sent["python"]["condaDependencies"]["dependencies"];
    assert_eq!(dependencies, &json!([{"pip": ["azureml-defaults"]}]));
    let told: Value =
        serde_json::from_slice(&fs::read(folder.path().join("r.json")).unwrap()).unwrap();
    assert_eq!(told, registered());
}

#[tokio::test]
async fn names_of_curated_environments_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let door = Door::open(Vec::new()).await;
    let words = ["environment", "scaffold", "-n", "AzureML-x", "-d", "env"];
    let error = door.run(folder.path(), &words).await.unwrap_err();
    assert_eq!(render::exit_code(&error), render::FAILED);
    assert!(!folder.path().join("env").exists());
}

#[tokio::test]
async fn a_download_can_be_registered_again() {
    let folder = tempfile::tempdir().unwrap();
    let door = Door::open(vec![
        (200, registered()),
        (200, registered()),
        (201, registered()),
    ])
    .await;
    let words = [
        "environment",
        "download",
        "-n",
        "sk",
        "-v",
        "2",
        "-d",
        "out",
    ];
    door.run(folder.path(), &words).await.unwrap();
    let error = door.run(folder.path(), &words).await.unwrap_err();
    assert!(error.to_string().ends_with("is there already"), "{error}");
    let words = ["environment", "register", "-d", "out"];
    door.run(folder.path(), &words).await.unwrap();
    let lines = door.lines();
    assert_eq!(lines[0], "GET /workspaces/local/environments/sk/versions/2");
    let sent = door.seen()[2].json();
    assert_eq!(
        (
            &sent["name"],
            &sent["version"],
            &sent["environmentVariables"]["A"]
        ),
        (&json!("sk"), &json!("2"), &json!("1"))
    );
    let dependencies = &sent["python"]["condaDependencies"]["dependencies"];
    assert_eq!(dependencies, &json!(["python=3.10"]));
}

#[tokio::test]
async fn lists_and_versions_have_their_own_paths() {
    let folder = tempfile::tempdir().unwrap();
    let page = json!({"value": [registered()], "nextLink": null});
    let door = Door::open(vec![(200, page.clone()), (200, page), (200, registered())]).await;
    for words in [
        &["environment", "list"][..],
        &["environment", "list", "-n", "sk"],
        &["environment", "show", "-n", "sk"],
    ] {
        door.run(folder.path(), words).await.unwrap();
    }
    assert_eq!(
        door.lines(),
        [
            "GET /workspaces/local/environments",
            "GET /workspaces/local/environments/sk/versions",
            "GET /workspaces/local/environments/sk",
        ]
    );
}

#[tokio::test]
async fn a_deployment_names_its_environment_runtime_and_debugger() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("score.py"), "def init(): pass").unwrap();
    let door = Door::open(vec![
        (200, Value::Null),
        (202, ended("Running")),
        (200, ended("Succeeded")),
        (200, json!({"name": "digits", "state": "Healthy"})),
    ])
    .await;
    let words = [
        "model",
        "deploy",
        "-n",
        "digits",
        "--es",
        "score.py",
        "-e",
        "sk",
        "--ev",
        "2",
        "--rt",
        "process",
        "--debug-port",
        "5678",
        "--cp",
        "local",
    ];
    door.run(folder.path(), &words).await.unwrap();
    let image = door.seen()[1].json()["environmentImageRequest"].clone();
    assert_eq!(
        image["environmentReference"],
        json!({"name": "sk", "version": "2"})
    );
    assert_eq!(image["environment"], Value::Null);
    assert_eq!(
        (&image["runtime"], &image["debugPort"]),
        (&json!("process"), &json!(5678))
    );
}

#[test]
fn an_environment_is_named_in_one_way() {
    let parse = |words: &str| {
        let words = format!("lusk model deploy -n s --es s.py {words}");
        Cli::try_parse_from(words.split(' '))
    };
    assert!(parse("-e sk").is_ok());
    assert!(parse("-e sk --ed env").is_err());
    assert!(parse("--ev 2").is_err());
    assert!(parse("--debug-port 65536").is_err());
}

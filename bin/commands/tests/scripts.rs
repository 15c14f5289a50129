//! Scripts of services that are there: what a change sends, and what it leaves.

use super::*;

/// A service whose script came with the folder `src`.
fn service() -> Value {
    json!({"name": "debug", "state": "Healthy", "computeType": "LOCAL",
        "environmentImageRequest": {"driverProgram": "score.py", "sourceDirectory": "src",
            "runtime": "process", "environment": {"name": "sk"}}})
}

/// A project with the folder, and another script beside it.
fn project() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("src")).unwrap();
    for file in ["src/score.py", "src/helper.py", "lone.py"] {
        fs::write(folder.path().join(file), "").unwrap();
    }
    folder
}

#[tokio::test]
async fn a_reload_sends_the_script_and_its_folder_and_no_more() {
    let folder = project();
    let answers = [
        (200, service()),
        (200, Value::Null),
        (202, ended("Running")),
        (200, ended("Succeeded")),
        (200, service()),
    ];
    let door = Door::open(answers.to_vec()).await;
    let words = ["service", "reload", "-n", "debug", "--es", "score.py"];
    door.run(folder.path(), &words).await.unwrap();
    let sent = &door.seen()[2];
    assert_eq!(sent.line, "POST /workspaces/local/services/debug/reload");
    let sent = sent.json();
    let keys: Vec<_> = sent.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["assets", "driverProgram", "sourceDirectory"]);
    assert_eq!(sent["sourceDirectory"], "src");
    assert_eq!(sent["assets"][0]["files"], 2);
}

#[tokio::test]
async fn an_update_of_the_environment_needs_no_script() {
    let folder = project();
    let answers = [
        (200, service()),
        (202, ended("Running")),
        (200, ended("Succeeded")),
        (200, service()),
    ];
    let door = Door::open(answers.to_vec()).await;
    let words = ["service", "update", "-n", "debug", "-e", "torch"];
    door.run(folder.path(), &words).await.unwrap();
    let image = json!({"environmentReference": {"name": "torch", "version": null}});
    assert_eq!(
        door.seen()[1].json(),
        json!([{"op": "replace", "path": "/environmentImageRequest", "value": image}])
    );
}

#[tokio::test]
async fn a_script_outside_the_folder_it_came_with_is_asked_about() {
    let folder = project();
    let door = Door::open(vec![(200, service())]).await;
    let words = ["service", "update", "-n", "debug", "--es", "lone.py"];
    let error = door.run(folder.path(), &words).await.unwrap_err();
    let said = error.to_string();
    assert!(
        said.contains("was deployed with the folder `src`"),
        "{said}"
    );
    assert_eq!(door.lines().len(), 1);
}

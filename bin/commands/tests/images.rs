//! `lusk image …`.

use super::*;

const KEY: &str = "0123456789abcdef0123456789abcdef";

/// Answers of lines are texts that begin as JSON does not.
fn lines_of(lines: &[Value]) -> Value {
    let lines: Vec<_> = lines.iter().map(ToString::to_string).collect();
    Value::String(format!("{}\n", lines.join("\n")))
}

#[tokio::test]
async fn an_image_is_found_by_all_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let environment = folder.path().join("env");
    fs::create_dir(&environment).unwrap();
    fs::write(
        environment.join("azureml_environment.json"),
        r#"{"name": "e"}"#,
    )
    .unwrap();
    let key = lusk_domain::ImageKey::of(&lusk_domain::Environment::default());
    let image = json!({"imageId": format!("azureml/azureml_{KEY}")});
    let shown = json!({"images": []});
    for (words, before, path) in [
        (vec![KEY], None, KEY),
        (vec!["-e", "sk", "--ev", "2"], Some(image.clone()), KEY),
        (vec!["-n", "digits"], Some(image), KEY),
        (vec!["--ed", "env"], None, key.as_str()),
    ] {
        let answers = before.into_iter().chain([shown.clone()]);
        let door = Door::open(answers.map(|answer| (200, answer)).collect()).await;
        let mut line = vec!["image", "show"];
        line.extend(words);
        door.run(folder.path(), &line).await.unwrap();
        let last = door.lines().pop().unwrap();
        assert_eq!(last, format!("GET /workspaces/local/images/{path}"));
    }
}

#[tokio::test]
async fn a_service_without_an_image_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let service = json!({"imageId": null, "runtime": "wasm"});
    let door = Door::open(vec![(200, service)]).await;
    let error = door
        .run(folder.path(), &["image", "push", "-n", "digits"])
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "service `digits` has no image: its runtime is `wasm`"
    );
}

#[tokio::test]
async fn a_build_ends_with_its_result_or_its_error() {
    let folder = tempfile::tempdir().unwrap();
    let event = json!({"event": {"step": "image", "outcome": "done", "text": "built"}});
    let result = json!({"result": {"key": KEY}});
    let refused = json!({"error": {"statusCode": 400, "message": "no such package",
        "details": [{"code": "BuildLog", "message": "uv: x"}]}});
    let door = Door::open(vec![
        (200, lines_of(&[event.clone(), result])),
        (200, lines_of(&[event.clone(), refused])),
        (200, lines_of(&[event])),
    ])
    .await;
    let words = ["image", "build", "-e", "sk", "--rebuild", "--rt", "process"];
    door.run(folder.path(), &words).await.unwrap();
    assert_eq!(
        door.seen()[0].json(),
        json!({"environmentReference": {"name": "sk", "version": null},
               "rebuild": true, "runtime": "process"})
    );
    let error = door.run(folder.path(), &words).await.unwrap_err();
    assert_eq!(error.to_string(), "no such package");
    assert_eq!(render::exit_code(&error), render::FAILED);
    let error = door.run(folder.path(), &words).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the node broke off in the middle of its work"
    );
    let error = door
        .run(folder.path(), &["image", "build", KEY])
        .await
        .unwrap_err();
    assert_eq!(render::exit_code(&error), render::MISUSED);
}

#[tokio::test]
async fn an_image_that_is_nowhere_is_said_to_be_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let absent = json!({"statusCode": 404, "message": format!("no image `{KEY}` on this node")});
    let line = lines_of(&[json!({"error": absent})]);
    let door = Door::open(vec![(200, line), (404, absent)]).await;
    let pulled = door.run(folder.path(), &["image", "pull", KEY]).await;
    assert_eq!(
        pulled.unwrap_err().to_string(),
        format!("no registry of this node holds image `{KEY}`")
    );
    let shown = door.run(folder.path(), &["image", "show", KEY]).await;
    let error = shown.unwrap_err();
    assert!(error.is::<render::Trouble>(), "{error}");
}

#[tokio::test]
async fn pruning_tells_the_time() {
    let folder = tempfile::tempdir().unwrap();
    let door = Door::open(vec![(200, json!({"images": [], "bytes": 0}))]).await;
    let words = ["image", "prune", "--unused-for", "7d"];
    door.run(folder.path(), &words).await.unwrap();
    assert_eq!(door.seen()[0].json(), json!({"unusedForSeconds": 604_800}));
}

/// A node's answers to an export of service `digits`, in their order.
fn exported() -> Vec<(u16, Value)> {
    let model = json!({"id": "m:3", "name": "m", "kvTags": {"a": "b"}, "files": [
        {"path": "weights", "digest": Digest::of(br#"{"w":1}"#), "size": 7}]});
    let snapshot = Digest::of(br#"{"s":1}"#);
    let service = json!({
        "name": "digits", "computeType": "AKS", "numReplicas": 2,
        "imageId": format!("azureml/azureml_{KEY}"),
        "environmentImageRequest": {"driverProgram": "score.py", "modelIds": ["m:3"],
            "assets": [{"id": "snapshot", "url": format!("lusk://blobs/{snapshot}"), "bytes": 7}]},
    });
    let mut blobs = [
        (Digest::of(br#"{"w":1}"#), json!({"w": 1})),
        (snapshot, json!({"s": 1})),
    ];
    blobs.sort_by_key(|(digest, _)| *digest);
    let mut answers = vec![(200, service), (200, model)];
    answers.extend(blobs.map(|(_, content)| (200, content)));
    answers.push((200, json!({"the": "image"})));
    answers
}

#[tokio::test]
async fn a_service_goes_out_whole_and_comes_in_on_another_node() {
    let folder = tempfile::tempdir().unwrap();
    let door = Door::open(exported()).await;
    let words = ["image", "export", "-n", "digits", "--file", "d.tar"];
    door.run(folder.path(), &words).await.unwrap();
    assert!(door.lines()[4].ends_with(&format!("/images/{KEY}/export")));
    let error = door.run(folder.path(), &words).await.unwrap_err();
    assert!(error.to_string().ends_with("is there already"), "{error}");

    let other = json!({"id": "m:1", "name": "m", "files": []});
    let node = Door::open(vec![
        (200, json!({"valid": true, "error": null})),
        (200, json!({"value": [{"imageId": "i", "variant": "v"}]})),
        (404, Value::Null),
        (201, json!({})),
        (200, Value::Null),
        (200, json!({"value": [other], "nextLink": null})),
        (201, json!({"id": "m:2"})),
        (202, ended("Running")),
        (200, ended("Succeeded")),
        (200, json!({"name": "copy"})),
    ])
    .await;
    let words = ["image", "import", "d.tar", "--name", "copy"];
    node.run(folder.path(), &words).await.unwrap();
    let seen = node.seen();
    assert_eq!(seen[1].line, "POST /workspaces/local/images/import");
    assert_eq!(seen[1].body, r#"{"the":"image"}"#);
    assert_eq!(seen[3].body.len(), 7);
    assert_eq!(seen[6].json()["kvTags"], json!({"a": "b"}));
    let created = seen[7].json();
    assert_eq!(
        (
            &created["name"],
            &created["overwrite"],
            &created["numReplicas"]
        ),
        (&json!("copy"), &json!(false), &json!(2))
    );
    assert_eq!(
        created["environmentImageRequest"]["modelIds"],
        json!(["m:2"])
    );
}

#[tokio::test]
async fn a_service_that_would_be_refused_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let door = Door::open(exported()).await;
    let words = ["image", "export", "-n", "digits", "--file", "d.tar"];
    door.run(folder.path(), &words).await.unwrap();
    let verdict = json!({"valid": false, "error": {"statusCode": 409, "message": "it exists"}});
    let node = Door::open(vec![(200, verdict)]).await;
    let words = ["image", "import", "d.tar", "--overwrite"];
    let error = node.run(folder.path(), &words).await.unwrap_err();
    assert!(format!("{error:#}").ends_with("nothing was taken in: it exists"));
    let asked = node.seen()[0].json();
    assert_eq!(asked["overwrite"], true);
    assert_eq!(asked["environmentImageRequest"].get("modelIds"), None);
}

#[tokio::test]
async fn a_model_of_the_same_content_is_used_again() {
    let folder = tempfile::tempdir().unwrap();
    let door = Door::open(exported()).await;
    let words = ["image", "export", "-n", "digits", "--file", "d.tar"];
    door.run(folder.path(), &words).await.unwrap();
    let same = json!({"id": "m:7", "name": "m", "files": [
        {"path": "weights", "digest": Digest::of(br#"{"w":1}"#), "size": 7}]});
    let node = Door::open(vec![
        (200, json!({"value": []})),
        (200, Value::Null),
        (200, Value::Null),
        (200, json!({"value": [same], "nextLink": null})),
    ])
    .await;
    let words = ["image", "import", "d.tar", "--no-deploy"];
    node.run(folder.path(), &words).await.unwrap();
    assert_eq!(node.lines().len(), 4);
}

#[tokio::test]
async fn a_damaged_file_is_refused_before_the_node_hears_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let door = Door::open(exported()).await;
    let words = ["image", "export", "-n", "digits", "--file", "d.tar"];
    door.run(folder.path(), &words).await.unwrap();
    let path = folder.path().join("d.tar");
    let whole = fs::read(&path).unwrap();
    let node = Door::open(Vec::new()).await;
    fs::write(&path, &whole[..whole.len() - 600]).unwrap();
    let words = ["image", "import", "d.tar"];
    let error = node.run(folder.path(), &words).await.unwrap_err();
    assert!(error.to_string().contains("is damaged"), "{error}");
    assert!(node.seen().is_empty());
}

#[tokio::test]
async fn a_scan_says_by_its_exit_code_what_it_found() {
    let folder = tempfile::tempdir().unwrap();
    let sbom = json!({"bomFormat": "CycloneDX", "specVersion": "1.5", "components": [
        {"type": "library", "name": "pillow", "version": "9.0.0", "purl": "pkg:pypi/pillow@9.0.0"}]});
    let advisory = json!({"id": "GHSA-1", "modified": "2024-01-01T00:00:00Z",
        "affected": [{"package": {"ecosystem": "PyPI", "name": "pillow"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "10.0"}]}]}]});
    fs::create_dir(folder.path().join("osv")).unwrap();
    fs::write(folder.path().join("osv/a.json"), advisory.to_string()).unwrap();
    fs::create_dir(folder.path().join("none")).unwrap();
    let other = advisory.to_string().replace("pillow", "other");
    fs::write(folder.path().join("none/a.json"), other).unwrap();
    let door = Door::open(vec![(200, sbom.clone()); 3]).await;
    let scan = |osv| ["image", "scan", KEY, "--osv", osv, "--sbom", "sbom.json"];
    let error = door.run(folder.path(), &scan("osv")).await.unwrap_err();
    assert!(error.is::<render::Verdict>(), "{error:#}");
    assert_eq!(render::exit_code(&error), render::FAILED);
    let written = fs::read(folder.path().join("sbom.json")).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&written).unwrap(), sbom);
    door.run(folder.path(), &scan("none")).await.unwrap();
    let error = door.run(folder.path(), &scan("absent")).await.unwrap_err();
    assert_eq!(render::exit_code(&error), render::FAILED, "{error:#}");
}

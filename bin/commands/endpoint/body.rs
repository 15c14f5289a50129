//! A version as the wire has it when it is made.

use lusk_domain::ReplicaUrl;
use lusk_manifest::{DeployedVersion, Deployment};
use serde_json::{Map, Value, json};

use crate::{
    cli::DeployArgs,
    commands::deploy::{common, settings},
};

/// What all versions have in common, so that it stands at the endpoint.
const OF_ALL: [&str; 4] = [
    "authEnabled",
    "aadAuthEnabled",
    "appInsightsEnabled",
    "namespace",
];

/// A version: how it runs and what it claims of the traffic.
pub(crate) fn version(
    deployment: &Deployment,
    remote: &[ReplicaUrl],
    image: Value,
) -> Map<String, Value> {
    let none = DeployedVersion::default();
    let version = deployment.version.as_ref().unwrap_or(&none);
    let mut body = settings(&deployment.settings);
    let fields = [
        ("computeType", json!("AKS")),
        ("environmentImageRequest", image),
        (
            "trafficPercentile",
            json!(version.share.unwrap_or_default()),
        ),
    ];
    body.extend(fields.map(|(key, value)| (key.to_owned(), value)));
    let remote = match remote {
        [] => deployment.remote.as_deref(),
        given => Some(given),
    };
    if let Some(urls) = remote {
        body.insert("remoteReplicas".to_owned(), json!(urls));
    }
    if let Some(rule) = version.abort_if {
        body.insert("abortIf".to_owned(), json!(rule.to_string()));
    }
    body
}

/// A new endpoint with its first version. Without a name that is called like the
/// endpoint, as in the original.
pub(crate) fn endpoint(
    args: &DeployArgs,
    deployment: &Deployment,
    description: Option<&str>,
    image: Value,
) -> Value {
    let given = deployment.version.as_ref();
    let first = given.and_then(|version| version.name.as_ref());
    let first = first.map_or(args.name.as_str(), |name| name.as_str());
    let mut version = version(deployment, &args.remote, image);
    let mut body = common(args, deployment, description);
    body.insert("computeType".to_owned(), json!("AKSENDPOINT"));
    for key in OF_ALL {
        if let Some(value) = version.remove(key) {
            body.insert(key.to_owned(), value);
        }
    }
    body.insert("versions".to_owned(), json!({ first: version }));
    Value::Object(body)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command, ModelCommand};

    fn body(line: &str) -> Value {
        let words = ["lusk", "model", "deploy", "-n", "shop"].into_iter();
        let cli = Cli::try_parse_from(words.chain(line.split_whitespace())).unwrap();
        let Command::Model(ModelCommand::Deploy(args)) = cli.command else {
            panic!("{line}");
        };
        let read = lusk_manifest::deployment(None, &args.overrides()).unwrap();
        endpoint(&args, &read.value, args.description.as_deref(), json!({}))
    }

    #[test]
    fn what_versions_share_stands_at_the_endpoint() {
        let body = body(
            "--cp aksendpoint --vn blue --tp 20 --ae false --ai --namespace team-a --nr 2 --md \
             --kp mine --tag a=b --description text --overwrite --ct edge",
        );
        assert_eq!(
            body,
            json!({
                "name": "shop", "computeType": "AKSENDPOINT", "computeName": "edge",
                "description": "text", "kvTags": {"a": "b"}, "properties": {},
                "keys": {"primaryKey": "mine", "secondaryKey": null}, "overwrite": true,
                "authEnabled": false, "appInsightsEnabled": true, "namespace": "team-a",
                "versions": {"blue": {
                    "computeType": "AKS", "environmentImageRequest": {},
                    "trafficPercentile": 20.0, "numReplicas": 2,
                    "dataCollection": {"storageEnabled": true},
                }},
            })
        );
    }

    #[test]
    fn a_version_without_a_name_is_called_like_its_endpoint() {
        let body = body("--cp AksEndpoint --remote http://127.0.0.1:1");
        let version = &body["versions"]["shop"];
        assert_eq!(version["trafficPercentile"], 0.0);
        assert_eq!(version["remoteReplicas"], json!(["http://127.0.0.1:1"]));
        assert_eq!(version.get("abortIf"), None);
    }
}

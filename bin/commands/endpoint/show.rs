//! An endpoint for people and for programs.

use serde_json::{Map, Value};

use super::table::{self, rows};
use crate::{
    cli::{Format, ServiceListArgs},
    commands::{
        Session,
        model::{labels, plain, seconds},
        service::{self, auth},
    },
    render::{self, Column},
};

/// The keys of the original's `serialize()` for endpoints, as far as they are known.
const SERIALIZED: [&str; 19] = [
    "name",
    "description",
    "tags",
    "properties",
    "state",
    "createdTime",
    "updatedTime",
    "error",
    "computeType",
    "workspaceName",
    "imageId",
    "imageDigest",
    "imageDetails",
    "scoringUri",
    "createdBy",
    "appInsightsEnabled",
    "authEnabled",
    "computeName",
    "aadAuthEnabled",
];

/// What the original's endpoints do not have.
const OURS: [&str; 4] = [
    "sticky",
    "mirrorTraffic",
    "mirrorKeepsAnswers",
    "rolledBack",
];

/// Of a version too.
const RULE: &str = "abortIf";

/// The endpoint as programs get it, its versions as services.
pub(crate) fn serialized(endpoint: &Value) -> Value {
    let keys = SERIALIZED.into_iter().chain(OURS);
    let mut object: Map<_, _> = keys
        .map(|key| (key.to_owned(), endpoint[key].clone()))
        .collect();
    let versions = endpoint["versions"].as_object();
    let versions: Map<_, _> = versions
        .into_iter()
        .flatten()
        .map(|(name, version)| (name.clone(), of_version(version)))
        .collect();
    object.insert("versions".to_owned(), Value::Object(versions));
    Value::Object(object)
}

fn of_version(version: &Value) -> Value {
    let mut object = service::serialized(version);
    if object["versionType"].is_null() {
        object["versionType"] = version["type"].clone();
    }
    for key in [RULE, table::EFFECTIVE] {
        object[key] = version[key].clone();
    }
    object
}

/// Prints one endpoint: everything for people, the known keys for programs.
pub(crate) fn print(session: &Session, endpoint: &Value) -> anyhow::Result<()> {
    match session.format {
        Format::Table => render::text(session.format, &text(endpoint)?),
        Format::Tsv => render::data(session.format, endpoint, &COLUMNS),
        _ => render::data(session.format, &serialized(endpoint), &COLUMNS),
    }
}

/// Prints who gets how much of an endpoint that was changed.
pub(super) fn traffic(session: &Session, endpoint: &Value) -> anyhow::Result<()> {
    match session.format {
        Format::Table | Format::Tsv => {
            let texts = table::texts(endpoint);
            render::data(session.format, &texts, &table::COLUMNS)
        }
        _ => print(session, endpoint),
    }
}

fn text(endpoint: &Value) -> anyhow::Result<String> {
    let block = render::data_text(Format::Table, endpoint, &COLUMNS)?;
    let texts = table::texts(endpoint);
    let versions = render::data_text(Format::Table, &texts, &table::COLUMNS)?;
    let mut text = format!("{block}\n\n{versions}\n");
    for row in rows(endpoint) {
        let error = &row.version["error"]["message"];
        if let Some(message) = error.as_str() {
            text += &format!("\n{}: {message}", row.name);
        }
    }
    Ok(text)
}

const COLUMNS: [Column; 14] = [
    Column::new("Name", |endpoint| plain(&endpoint["name"])),
    Column::new("State", |endpoint| plain(&endpoint["state"])),
    Column::new("Error", |endpoint| plain(&endpoint["error"]["message"])),
    Column::new("Description", |endpoint| plain(&endpoint["description"])),
    Column::new("Type", |endpoint| plain(&endpoint["computeType"])),
    Column::new("Scoring URI", |endpoint| plain(&endpoint["scoringUri"])),
    Column::new("Auth", auth),
    Column::new("Callers stay by", |endpoint| plain(&endpoint["sticky"])),
    Column::new("Copies", copies),
    Column::new("Aborts", aborts),
    Column::new("Rolled back", rolled_back),
    Column::new("Tags", |endpoint| labels(&endpoint["tags"])),
    Column::new("Properties", |endpoint| labels(&endpoint["properties"])),
    Column::new("Updated", |endpoint| seconds(&endpoint["updatedTime"])),
];

/// `25 % to green, answers kept`.
fn copies(endpoint: &Value) -> String {
    let mirror = endpoint["mirrorTraffic"].as_object();
    let parts: Vec<_> = mirror
        .into_iter()
        .flatten()
        .filter_map(|(version, share)| Some(format!("{} % to {version}", share.as_f64()?)))
        .collect();
    let kept = match endpoint["mirrorKeepsAnswers"] == true && !parts.is_empty() {
        true => ", answers kept",
        false => "",
    };
    parts.join(", ") + kept
}

/// `green if error_rate>1%`.
fn aborts(endpoint: &Value) -> String {
    let rows = rows(endpoint);
    let rules = rows.iter().filter_map(|row| {
        let rule = row.version[RULE].as_str()?;
        Some(format!("{} if {rule}", row.name))
    });
    rules.collect::<Vec<_>>().join(", ")
}

/// What a rule did last.
fn rolled_back(endpoint: &Value) -> String {
    let last = &endpoint["rolledBack"];
    match last["version"].as_str() {
        Some(version) => format!(
            "{version}, {}: {}",
            seconds(&last["time"]),
            plain(&last["reason"])
        ),
        None => String::new(),
    }
}

const LIST: [Column; 5] = [
    Column::new("Name", |endpoint| plain(&endpoint["name"])),
    Column::new("State", |endpoint| plain(&endpoint["state"])),
    Column::new("Type", |endpoint| plain(&endpoint["computeType"])),
    Column::new("Traffic", |endpoint| {
        let briefs: Vec<_> = rows(endpoint).iter().map(table::Row::brief).collect();
        briefs.join(", ")
    }),
    Column::new("Scoring URI", |endpoint| plain(&endpoint["scoringUri"])),
];

/// Lists endpoints.
///
/// # Errors
/// No answer, or a filter that is none.
pub(super) async fn list(session: &Session, args: &ServiceListArgs) -> anyhow::Result<()> {
    let found = service::found(session, args).await?;
    if found.is_empty() {
        session.progress.say("no endpoints");
    }
    let found = found.iter().map(service::serialized).collect();
    render::data(session.format, &Value::Array(found), &LIST)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn endpoint() -> Value {
        let version = |share: Value, rest: Value| {
            let mut version = json!({
                "computeType": "AKS", "state": "Healthy", "trafficPercentile": share,
                "deploymentStatus": {"availableReplicas": 1, "desiredReplicas": 2},
                "modelDetails": [{"id": "digits:1"}], "versionType": "Treatment",
            });
            for (key, value) in rest.as_object().unwrap() {
                version[key] = value.clone();
            }
            version
        };
        json!({
            "name": "shop", "computeType": "AKSENDPOINT", "state": "Healthy",
            "scoringUri": "http://h/api/v1/endpoint/shop/score", "authEnabled": true,
            "sticky": "header:x-user", "mirrorTraffic": {"shadow": 12.5},
            "mirrorKeepsAnswers": true, "tags": {"a": "b"},
            "versions": {
                "blue": version(json!(20), json!({"isDefault": true, "effectiveTrafficPercentile": 89.75, "type": "Control", "versionType": "Control"})),
                "green": version(json!(10.25), json!({"abortIf": "error_rate>1%", "effectiveTrafficPercentile": 10.25})),
                "late": version(Value::Null, json!({
                    "state": "Failed", "error": {"message": "init() raised"},
                    "deploymentStatus": null,
                })),
                "shadow": version(json!(0), json!({"effectiveTrafficPercentile": 0})),
            },
        })
    }

    #[test]
    fn people_see_the_endpoint_and_who_gets_how_much() {
        insta::assert_snapshot!(text(&endpoint()).unwrap(), @r"
        Name             shop
        State            Healthy
        Type             AKSENDPOINT
        Scoring URI      http://h/api/v1/endpoint/shop/score
        Auth             key
        Callers stay by  header:x-user
        Copies           12.5 % to shadow, answers kept
        Aborts           green if error_rate>1%
        Tags             a=b

        Version  State    Role       Default  Share    Gets     Replicas  Models    Scoring URI
        blue     Healthy  control    yes      20 %     89.75 %  1 of 2    digits:1
        green    Healthy  treatment           10.25 %  10.25 %  1 of 2    digits:1
        late     Failed   —                   —        —                  digits:1
        shadow   Healthy  treatment           0 %      0 %      1 of 2    digits:1

        late: init() raised
        ");
    }

    #[test]
    fn without_a_control_nobody_is_under_trial() {
        let mut endpoint = endpoint();
        endpoint["versions"]["blue"]["versionType"] = json!("Treatment");
        endpoint["versions"]["blue"]["type"] = Value::Null;
        let texts = table::texts(&endpoint);
        let roles: Vec<_> = texts
            .as_array()
            .unwrap()
            .iter()
            .map(|row| &row["role"])
            .collect();
        assert_eq!(roles, ["—", "—", "—", "—"]);
    }

    #[test]
    fn programs_get_the_versions_as_services() {
        let object = serialized(&endpoint());
        assert_eq!(object["mirrorTraffic"], json!({"shadow": 12.5}));
        let green = object["versions"]["green"].as_object().unwrap();
        assert_eq!(green["abortIf"], "error_rate>1%");
        assert_eq!(green["trafficPercentile"], 10.25);
        assert!(green.contains_key("livenessProbeRequirements"));
        assert!(!green.contains_key("environmentImageRequest"));
    }
}

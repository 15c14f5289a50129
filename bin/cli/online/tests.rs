use clap::Parser as _;

use super::*;
use crate::cli::Cli;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(std::iter::once("lusk").chain(line.split_whitespace()))
}

#[test]
fn the_words_of_v2_are_understood() {
    for line in [
        "online-endpoint create -f endpoint.yml -n shop --set tags.a=b --no-wait",
        "online-endpoint create --file endpoint.yml --name shop",
        "online-endpoint create -n shop --set tags.a=b",
        "online-endpoint update -n shop --set traffic.blue=30 --set traffic.green=70",
        "online-endpoint update -n shop --traffic blue=90 green=10",
        "online-endpoint update --name shop --mirror-traffic green=10",
        "online-endpoint update -f endpoint.yml --set description=x",
        "online-endpoint show -n shop",
        "online-endpoint list -o json",
        "online-endpoint delete --name shop --yes --no-wait",
        "online-endpoint invoke --name shop --request-file r.json --deployment-name blue",
        "online-endpoint invoke -n shop -r r.json -d blue",
        "online-endpoint get-credentials --name shop",
        "online-deployment create --file blue.yml --all-traffic --endpoint-name shop --name blue",
        "online-deployment create -f blue.yml -e shop -n blue --set instance_count=2",
        "online-deployment update -f blue.yml --no-wait",
        "online-deployment show -e shop -n blue",
        "online-deployment list --endpoint-name shop",
        "online-deployment create -f blue.yml --endpoint shop",
        "online-deployment update -f blue.yml --endpoint shop",
        "online-deployment show --endpoint shop -n blue",
        "online-deployment list --endpoint shop",
        "online-deployment delete --endpoint shop -n blue",
        "online-deployment get-logs --endpoint shop -n blue",
        "online-deployment delete -e shop -n blue -y",
        "online-deployment get-logs -e shop -n blue --lines 100",
    ] {
        assert!(parse(line).is_ok(), "{line}: {}", parse(line).unwrap_err());
    }
    for line in [
        "online-endpoint create",
        "online-endpoint create --set description=x",
        "online-endpoint update -n shop",
        "online-endpoint update --set description=x",
        "online-endpoint update --traffic blue=100",
        "online-endpoint update -n shop --traffic blue",
        "online-deployment create -n blue",
        "online-deployment create -f blue.yml --set instance_count",
        "online-deployment show -n blue",
    ] {
        assert!(parse(line).is_err(), "{line}");
    }
}

#[test]
fn a_set_value_is_what_yaml_would_take_it_for() {
    for (text, value) in [
        ("a.b=1.5", Scalar::Number("1.5".to_owned())),
        ("a=true", Scalar::Bool(true)),
        ("a=500m", Scalar::Text("500m".to_owned())),
        ("a=b=c", Scalar::Text("b=c".to_owned())),
        ("a=inf", Scalar::Text("inf".to_owned())),
        ("a=", Scalar::Text(String::new())),
    ] {
        let found: Assignment = text.parse().unwrap();
        assert_eq!(found.0.value, value, "{text}");
    }
    assert!("=x".parse::<Assignment>().is_err());
}

#[test]
fn the_help_has_examples() {
    use clap::CommandFactory as _;
    let mut cli = Cli::command();
    for group in ["online-endpoint", "online-deployment"] {
        let group = cli.find_subcommand_mut(group).unwrap();
        for command in group.get_subcommands_mut() {
            let help = command.render_help().to_string();
            assert!(help.contains("Example"), "{help}");
        }
    }
}

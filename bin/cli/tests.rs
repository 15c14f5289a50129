use clap::{CommandFactory as _, error::ErrorKind};

use super::*;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(std::iter::once("lusk").chain(line.split_whitespace()))
}

fn deploy(line: &str) -> DeployArgs {
    match parse(&format!("model deploy -n digits {line}"))
        .unwrap()
        .command
    {
        Command::Model(ModelCommand::Deploy(args)) => *args,
        other => panic!("{other:?}"),
    }
}

/// `key value flag` of every override.
fn overrides(line: &str) -> Vec<String> {
    let args = deploy(line);
    args.overrides()
        .into_iter()
        .chain(args.script.overrides())
        .map(|given| {
            let value = match given.value {
                lusk_manifest::Scalar::Bool(value) => value.to_string(),
                lusk_manifest::Scalar::Number(text) => text,
                lusk_manifest::Scalar::Text(text) => format!("\"{text}\""),
            };
            format!("{} {value} {}", given.key, given.flag)
        })
        .collect()
}

#[test]
fn the_definition_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn the_words_of_az_ml_are_understood() {
    for line in [
        "model register -n m -p f -d text --tag a=b --tag c=d --property e=f --model-framework Onnx --model-framework-version 1 --cc 0.5 --gb 1 --gc 0 --sample-input-dataset-id i --sample-output-dataset-id o --experiment-name e -r run -f run.json -t out.json",
        "model register --name m --model-path f --asset-path a",
        "model list -n m -l --tag a --property b=c --run-id r --dataset-id d",
        "model show -i m:1",
        "model show -n m --version 2",
        "model show --run-id r",
        "model update -i m:1 --add-tag a=b --remove-tag c --add-property d=e --description x --cc 1 --gb 1 --gc 1",
        "model delete -i m:1",
        "model download -i m:1 -t dir --overwrite",
        "model deploy -n s -m m:1 -m m:2 -f meta.json --ic i.json --dc d.json --ct edge --cp aks --overwrite --no-wait --description d --tag a=b --property c=d",
        "model deploy -n s -e env --ev 1 --rt process --debug-port 5678 --cp local",
        "model deploy -n s --ed dir --es score.py --sd src --cf conda.yml --rt python --ds steps --bi image --ir host --eg true --cv 10.0 --pi p",
        "model deploy -n s --cc 1 --ccl 2 --gb 1 --gbl 2 --gc 0 --nr 1 --as true --mi 1 --ma 2 --ar 1 --at 70 --rm 1 --mr 500 --tm 60000",
        "model deploy -n s --ps 1 --id 2 --ts 3 --st 4 --ft 5 --ae true --token-auth-enabled false --kp a --ks b --ai --md",
        "model deploy -n s --vn v --tp 10 --namespace ns --po 8890 --lo x --dn y --se false --sp c --sk k --sc n --vnet-name v --subnet-name s --vault-base-url u --key-name k --key-version 1",
        "service list -c AKS --model-id m:1 --model-name m --tag a --property b --image-digest d",
        "service show -n s",
        "service delete --name s",
        "service get-keys -n s",
        "service regen-key -n s -k Primary -s value",
        "service get-logs -n s -l 10 -i",
        "service get-logs -n s --num_lines 10",
        "service run -n s -d {}",
        "service run -n s --input-data @f",
        "service update -n s -m m:2 --ic i.json --dc d.json --nr 2 --add-tag a=b --remove-tag c --add-property d=e -d text --is-migration --compute-target x --no-wait",
        "service update -n s -e env --ev 2 --es score.js --rt javascript",
        "service update -n s --remote http://a --remote http://b --nr 2",
        "service reload -n s --ic i.json",
        "model deploy -n e -m m:1 --cp aksendpoint --vn blue --tp 12.5",
        "endpoint realtime create-version -n e --vn v -m m:2 -f meta.json --ic i.json --dc d.json --tp 10 --is-default --cvt -d text --add-tag a=b --add-property c=d --no-wait",
        "endpoint realtime create-version -n e --version-name v -e env --ev 1 --es score.py --sd src --cf c --rt wasm",
        "endpoint realtime create-version -n e --vn v --cc 1 --ccl 2 --gb 1 --gbl 2 --gc 0 --nr 1 --as true --mi 1 --ma 2 --ar 1 --at 70 --rm 1 --mr 500 --tm 60000 --ps 1 --id 2 --ts 3 --st 4 --ft 5 --md",
        "endpoint realtime create-version -n e --vn v --remote http://a --abort-if p99>250ms",
        "endpoint realtime update-version -n e --vn v --traffic-percentile 40 --is-default true --is-control-version-type true --nr 2 --remove-tag a",
        "endpoint realtime update-version -n e --vn v --is-default false --cvt false --no-abort-if",
        "endpoint realtime delete-version -n e --vn v --no-wait",
        "endpoint realtime update -n e --ae true --token-auth-enabled false --ai -d text --add-tag a=b --remove-tag c --add-property d=e",
        "endpoint realtime update -n e --tag a=b --traffic blue=90,green=10 --sticky cookie:Session --mirror green=5 --mirror-keep-answers false",
        "endpoint realtime delete -n e",
        "endpoint realtime list -c AKSENDPOINT --tag a --property b --model-name m",
        "endpoint realtime show -n e -o json",
        "endpoint realtime get-keys -n e",
        "endpoint realtime regen-key -n e -k Primary -s value",
        "endpoint realtime get-access-token -n e",
        "endpoint realtime get-logs -n e -l 10 -i --vn v",
        "endpoint realtime run -n e --vn v -d {}",
        "endpoint realtime mirror-log -n e",
        "endpoint realtime promote -n e --vn v",
        "endpoint realtime rollback -n e",
        "endpoint realtime rollback -n e --vn v",
        "environment scaffold -n e -d dir -t out.json",
        "environment register -d dir -t out.json",
        "environment list -t out.json",
        "environment show -n e -v 2",
        "environment download -n e -d dir -v 2 --overwrite",
        "image list -o json",
        "image build -e e --ev 2 --rebuild --rt process",
        "image push azureml/azureml_0123456789abcdef0123456789abcdef",
        "image pull --ed dir",
        "image prune --unused-for 7d",
        "image export -n s --file f",
        "image import f --name s --overwrite",
        "image scan -n s --osv dir --sbom f",
        "capacity --rps 20 --latency-ms 1.5 --utilization 60 --max-concurrent 2 --cc 0.5 --gb 1",
        "capacity --rps 20 -n s -o json",
        "doctor --listen 127.0.0.1:0 --admin 127.0.0.1:0 --registry r.example/x --global-registry g.example --outputs az://box",
        "service show -n s -o json -g group -w local --subscription-id id --path . --debug --verbose --only-show-errors",
    ] {
        assert!(parse(line).is_ok(), "{line}: {}", parse(line).unwrap_err());
    }
}

#[test]
fn every_output_format_of_az_is_accepted() {
    for format in ["json", "jsonc", "none", "table", "tsv", "yaml", "yamlc"] {
        assert!(
            parse(&format!("model list -o {format}")).is_ok(),
            "{format}"
        );
    }
    assert!(parse("model list -o xml").is_err());
}

#[test]
fn misuse_is_told_apart_from_failure() {
    for (line, kind) in [
        ("model register -p f", ErrorKind::MissingRequiredArgument),
        ("model show", ErrorKind::MissingRequiredArgument),
        ("model show -i m:1 -n m", ErrorKind::ArgumentConflict),
        (
            "model register -n m -p f --tag novalue",
            ErrorKind::ValueValidation,
        ),
        (
            "model register -n m -p f --tag =v",
            ErrorKind::ValueValidation,
        ),
        ("capacity --rps 20", ErrorKind::MissingRequiredArgument),
        (
            "capacity --rps 20 --latency-ms 1 --utilization 0",
            ErrorKind::ValueValidation,
        ),
        ("service lisst", ErrorKind::InvalidSubcommand),
        (
            "endpoint realtime create-version -n e",
            ErrorKind::MissingRequiredArgument,
        ),
        (
            "endpoint realtime create-version -n e --vn v --ae",
            ErrorKind::UnknownArgument,
        ),
        (
            "endpoint realtime update-version -n e --vn v --abort-if p50>1s --no-abort-if",
            ErrorKind::ArgumentConflict,
        ),
        (
            "endpoint realtime update -n e --sticky ip",
            ErrorKind::ValueValidation,
        ),
        (
            "endpoint realtime update -n e --traffic blue",
            ErrorKind::ValueValidation,
        ),
        (
            "endpoint realtime promote -n e",
            ErrorKind::MissingRequiredArgument,
        ),
        ("service show -n s --nosuch", ErrorKind::UnknownArgument),
    ] {
        let error = parse(line).unwrap_err();
        assert_eq!((error.kind(), error.exit_code()), (kind, 2), "{line}");
    }
}

#[test]
fn flags_stand_for_keys_of_the_config_files() {
    let found = overrides(
        "--cc 0.5 --gc 1 --nr -1 --as --ae False --md yes --tm soon --kp k --po 80 --es score.py --eg",
    );
    insta::assert_snapshot!(found.join("\n"), @r#"
    containerResourceRequirements.cpu 0.5 --cpu-cores
    gpuCores 1 --gpu-cores
    numReplicas -1 --num-replicas
    scoringTimeoutMs "soon" --scoring-timeout-ms
    autoScaler.autoscaleEnabled true --autoscale-enabled
    dataCollection.storageEnabled true --collect-model-data
    authEnabled false --auth-enabled
    keys.primaryKey "k" --primary-key
    port 80 --port
    entryScript "score.py" --entry-script
    enableGpu true --enable-gpu
    "#);
}

#[test]
fn a_switch_needs_no_value() {
    assert_eq!(
        overrides("--ai --overwrite"),
        ["appInsightsEnabled true --enable-app-insights"]
    );
    assert!(parse("model deploy -n s --ae maybe").is_err());
}

#[test]
fn without_script_flags_a_deployment_has_no_code() {
    assert!(!deploy("-m m:1 --nr 2").script.is_given());
    assert!(deploy("--ic i.json").script.is_given());
    assert!(deploy("--es s.py").script.is_given());
    assert!(deploy("-e env").script.is_given());
}

#[test]
fn labels_are_read_at_the_first_equals_sign() {
    let labels = ["a=b=c".parse().unwrap(), "d".parse().unwrap()];
    assert_eq!(Label::filter(&labels).unwrap(), "a=b=c,d");
    assert_eq!(Label::map(&labels)["a"], "b=c");
    assert_eq!(Label::filter(&[]), None);
}

/// Every command that a user finds has an example in its help.
#[test]
fn every_command_has_an_example() {
    fn check(command: &clap::Command, path: &str) {
        let path = format!("{path} {}", command.get_name());
        let subcommands: Vec<_> = command.get_subcommands().collect();
        if subcommands.is_empty() {
            let help = command.get_after_help().map(ToString::to_string);
            assert!(help.is_some_and(|help| help.contains("lusk ")), "{path}");
        }
        for subcommand in subcommands {
            check(subcommand, &path);
        }
    }
    for group in ["endpoint", "environment", "image", "model", "service"] {
        let command = Cli::command();
        check(command.find_subcommand(group).unwrap(), "lusk");
    }
}

/// The help of a command, its own flags only: the defaults of the others are from the
/// environment of the test.
fn help_of(words: &[&str]) -> String {
    let mut command = Cli::command().term_width(100);
    command.build();
    let mut found = &mut command;
    for word in words {
        found = found.find_subcommand_mut(word).unwrap();
    }
    let help = found.render_help().to_string();
    help.split("Global options:").next().unwrap().to_owned()
}

#[test]
fn help_of_a_change_of_an_endpoint() {
    insta::assert_snapshot!(help_of(&["endpoint", "realtime", "update"]), @r#"
    Change what all versions have in common: keys, traffic, copies, labels

    Usage: lusk endpoint realtime update [OPTIONS] --name <NAME>

    Options:
      -n, --name <NAME>                   The endpoint
      -d, --description <DESCRIPTION>     Free text
          --tag <KEY=VALUE>               A tag; all tags there are now are replaced (repeatable)
          --add-tag <KEY=VALUE>           A tag to add or replace (repeatable)
          --remove-tag <KEY>              A tag to remove (repeatable)
          --add-property <KEY=VALUE>      A property to add, cannot change later (repeatable) [alias:
                                          --property]
          --no-wait                       Do not wait for the end
          --auth-enabled [<BOOL>]         Key auth [alias: --ae] [possible values: true, false]
          --enable-app-insights [<BOOL>]  Telemetry [alias: --ai] [possible values: true, false]
          --token-auth-enabled [<BOOL>]   Token auth [possible values: true, false]
      -h, --help                          Print help (see more with '--help')

    Traffic:
          --traffic <VERSION=PERCENT>...  Shares of all versions in one step: those not named get none
                                          of their own; example: --traffic "blue=90 green=10"
          --sticky <WHAT>                 What keeps a caller at one version: header:NAME, cookie:NAME
                                          or key; `none` splits request by request. An endpoint has two
                                          keys: with `key` all callers with one of them get the same
                                          version
          --mirror <VERSION=PERCENT>      A version that gets copies of so many percent of the requests,
                                          at most 50, whose answers nobody waits for; `none` ends that.
                                          A body that is too large to be collected is passed on as it
                                          comes and not copied; example: --mirror green=25
          --mirror-keep-answers [<BOOL>]  Keep the answers to copies beside the live ones, for
                                          `mirror-log` [possible values: true, false]
    "#);
}

#[test]
fn help_of_the_commands_for_endpoints() {
    insta::assert_snapshot!(help_of(&["endpoint", "realtime"]), @r"
    Endpoints that answer at once: versions behind one URL, each with its part of the traffic

    Usage: lusk endpoint realtime [OPTIONS] <COMMAND>

    Commands:
      create-version    Add a version to an endpoint
      update-version    Change a version, or its part of the traffic, without losing a request
      delete-version    Delete a version; its share goes to the default
      update            Change what all versions have in common: keys, traffic, copies, labels
      delete            Delete an endpoint with all its versions; models stay
      list              List endpoints
      show              Show an endpoint and who gets how much of its traffic
      get-keys          Print both keys, which are those of all versions
      regen-key         Replace one key
      get-access-token  Print a token, of an endpoint that takes tokens
      get-logs          Print what the entry scripts wrote
      run               Send a request to an endpoint and print the reply
      compare           Compare versions: errors and latency, with what is sure of the differences
      mirror-log        Print answers to copies beside the live ones
      promote           Make a version the default and the control, with the traffic of the default
      rollback          Take all traffic from a version, or from all but the control
      help              Print this message or the help of the given subcommand(s)

    Options:
      -h, --help  Print help (see more with '--help')
    ");
}

#[test]
fn help_of_a_versions_part_of_the_traffic() {
    let help = help_of(&["endpoint", "realtime", "update-version"]);
    let traffic = help.split("Traffic:").last().unwrap();
    insta::assert_snapshot!(traffic, @r#"

    --traffic-percentile <PERCENT>
        Share of the traffic that is the version's own, 0 to 100 with two decimals; what no
        version claims goes to the default besides [alias: --tp]
    --is-default [<BOOL>]
        Make it the default. With false nothing happens, as in `az ml`: a version stops being the
        default only when another one becomes it [possible values: true, false]
    --is-control-version-type [<BOOL>]
        Make it the control, which the others are compared with. With false nothing happens, as in
        `az ml`: another control takes its place [alias: --cvt] [possible values: true, false]
    --abort-if <RULE>
        Roll the version back by itself when it does badly: a part of failed requests or a
        latency; `none` ends that; example: --abort-if "error_rate>1%", --abort-if "p99>250ms"
    --no-abort-if
        The same as `--abort-if none`
    "#);
}

#[test]
fn help_of_model_deploy() {
    let help = help_of(&["model", "deploy"]);
    insta::assert_snapshot!(help, @r"
    Deploy models as a service, with an entry script or without

    Usage: lusk model deploy [OPTIONS] --name <NAME>

    Options:
      -n, --name <NAME>                 Name of the service, or of the endpoint
      -m, --model <MODEL>               A model as `name:version`, or a file or folder to register first
                                        (repeatable)
      -f, --model-metadata-file <FILE>  A file that `model register -t` wrote (repeatable)
          --remote <URL>                Base URL of an outside replica: a running scoring server that
                                        answers in place of a script (repeatable)
          --deploy-config-file <FILE>   Deployment config: JSON or YAML [alias: --dc]
          --compute-target <NAME>       Name of the compute target [alias: --ct]
          --compute-type <TYPE>         Compute type: aks, aksendpoint, aci or local [alias: --cp]
          --overwrite                   Replace a service of this name, or a version of the endpoint
          --no-wait                     Do not wait until the service is healthy
          --description <DESCRIPTION>   Free text
          --tag <KEY=VALUE>             A tag (repeatable)
          --property <KEY=VALUE>        A property, cannot change later (repeatable)
      -h, --help                        Print help (see more with '--help')

    Script and environment:
          --inference-config-file <FILE>   Inference config: JSON or YAML [alias: --ic]
          --entry-script <PATH>            Entry script: .py, .js, .mjs, .wasm or .wat [alias: --es]
          --source-directory <DIR>         Folder that is deployed whole; the script's path starts there
                                           [alias: --sd]
          --environment-directory <DIR>    Folder with azureml_environment.json [alias: --ed]
      -e, --environment-name <NAME>        A registered environment, in place of the config's
          --environment-version <VERSION>  Version of the registered environment [default: the newest]
                                           [alias: --ev]
          --runtime <RUNTIME>              What runs the script: python (the sandbox), process,
                                           javascript or wasm [default: script and environment tell it]
                                           [alias: --rt]
          --debug-port <PORT>              Port on which the script of a local service waits for a
                                           debugger; 0: none

    Settings:
          --cpu-cores <CORES>
              Cores reserved for a replica [alias: --cc]
          --cpu-cores-limit <CORES>
              Most cores of a replica [alias: --ccl]
          --memory-gb <GB>
              Gigabytes of memory reserved for a replica [alias: --gb]
          --memory-gb-limit <GB>
              Most gigabytes of memory of a replica [alias: --gbl]
          --gpu-cores <GPUS>
              GPUs of a replica [alias: --gc]
          --num-replicas <N>
              Fixed number of replicas [alias: --nr]
          --autoscale-min-replicas <N>
              Fewest replicas [alias: --mi]
          --autoscale-max-replicas <N>
              Most replicas [alias: --ma]
          --autoscale-refresh-seconds <SECONDS>
              Seconds between scaling decisions [alias: --ar]
          --autoscale-target-utilization <PERCENT>
              Percent of slots that should be busy [alias: --at]
          --replica-max-concurrent-requests <N>
              Requests that a replica runs at a time [alias: --rm]
          --max-request-wait-time <MS>
              Milliseconds that a request may wait for a replica [alias: --mr]
          --scoring-timeout-ms <MS>
              Milliseconds that a request may take [alias: --tm]
          --period-seconds <SECONDS>
              Seconds between liveness probes [alias: --ps]
          --initial-delay-seconds <SECONDS>
              Seconds before the first failed probe counts [alias: --id]
          --timeout-seconds <SECONDS>
              Seconds until a probe counts as failed [alias: --ts]
          --success-threshold <N>
              Successful probes that make a replica healthy [alias: --st]
          --failure-threshold <N>
              Failed probes that make a replica dead [alias: --ft]
          --autoscale-enabled [<BOOL>]
              Scale by load [alias: --as] [possible values: true, false]
          --collect-model-data [<BOOL>]
              Model data collection [alias: --md] [possible values: true, false]
          --auth-enabled [<BOOL>]
              Key auth [alias: --ae] [possible values: true, false]
          --enable-app-insights [<BOOL>]
              Telemetry [alias: --ai] [possible values: true, false]
          --token-auth-enabled [<BOOL>]
              Token auth [possible values: true, false]

    Keys and place:
          --primary-key <KEY>             The first key [default: a random one] [alias: --kp]
          --secondary-key <KEY>           The second key [default: a random one] [alias: --ks]
          --namespace <NAME>              Namespace on a cluster
          --port <PORT>                   Port of a local service [default: a free one] [alias: --po]
          --version-name <NAME>           Name of an endpoint's first version, for --compute-type
                                          aksendpoint [default: the endpoint's name]; example: --vn blue
                                          [alias: --vn]
          --traffic-percentile <PERCENT>  Share of an endpoint's traffic that is this version's own, 0
                                          to 100 with two decimals [default: 0]; the first version is
                                          the default and gets the rest besides [alias: --tp]
    ");
}

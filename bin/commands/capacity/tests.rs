use clap::Parser as _;

use super::*;
use crate::cli::{Cli, Command};

fn args(words: &str) -> CapacityArgs {
    let line = format!("lusk capacity {words}");
    match Cli::try_parse_from(line.split_whitespace())
        .unwrap()
        .command
    {
        Command::Capacity(args) => args,
        other => panic!("{other:?}"),
    }
}

fn sized(words: &str) -> Value {
    Wish::of(&args(words), None).unwrap().sized().unwrap()
}

#[test]
fn the_guides_example_is_answered() {
    let sized = sized("--rps 20 --latency-ms 10000");
    insta::assert_snapshot!(sentence(&sized), @"286 replicas for 20 requests per second of 10000 ms at 70 % utilization, 1 at a time each");
    insta::assert_snapshot!(render::data_text(Format::Table, &sized["table"], &COLUMNS).unwrap(), @r"
    Utilization  Replicas  Slots  Headroom  Up to req/s  Cores  Memory GB
    50 %         400       400    50 %      40
    60 %         334       334    40.1 %    33.4
    70 %         286       286    30.1 %    28.6
    80 %         250       250    20 %      25
    90 %         223       223    10.3 %    22.3
    ");
}

#[test]
fn programs_get_stable_keys() {
    let sized = sized("--rps 200 --latency-ms 35 --max-concurrent 2 --cpu 0.5 --memory-gb 1.5");
    assert_eq!(
        sized["answer"],
        json!({
            "utilization": 70,
            "concurrentRequests": 10.0,
            "replicas": 5,
            "slots": 10,
            "headroomPercent": 30.0,
            "maxRequestsPerSecond": 285.714286,
            "totalCpu": 2.5,
            "totalMemoryInGB": 7.5,
        })
    );
    assert_eq!(sized["table"].as_array().unwrap().len(), 5);
    let mut keys: Vec<_> = sized.as_object().unwrap().keys().cloned().collect();
    keys.sort_unstable();
    insta::assert_snapshot!(
        keys.join(" "),
        @"answer busySlots cpu maxConcurrentRequestsPerContainer memoryInGB millisecondsPerRequest requestsPerSecond service table"
    );
}

#[test]
fn what_all_replicas_need_is_told() {
    let sized = sized("--rps 200 --latency-ms 35 --max-concurrent 2 --cpu 0.5 --memory-gb 1.5");
    insta::assert_snapshot!(sentence(&sized), @"5 replicas for 200 requests per second of 35 ms at 70 % utilization, 2 at a time each; together 2.5 cores and 7.5 GB of memory");
}

#[test]
fn flags_come_before_the_service_and_that_before_defaults() {
    let measured = Measured {
        name: "digits".to_owned(),
        utilization: 60,
        max_concurrent: 4,
        cpu: 0.2,
        memory_gb: 0.5,
        ..Measured::default()
    };
    let given = args("--rps 10 --latency-ms 100 -n digits --max-concurrent 2 --cpu 1");
    let wish = Wish::of(&given, Some(measured.clone())).unwrap();
    assert_eq!((wish.utilization, wish.max_concurrent), (60, 2));
    assert_eq!((wish.cpu, wish.memory_gb), (Some(1.0), Some(0.5)));
    let unknown = Wish::of(&args("--rps 10 -n digits"), Some(measured));
    assert!(unknown.unwrap_err().to_string().contains("`digits`"));
    let plain = Wish::of(&args("--rps 10 --latency-ms 100"), None).unwrap();
    assert_eq!((plain.utilization, plain.max_concurrent), (70, 1));
}

#[test]
fn numbers_that_make_no_sense_are_misuse() {
    for words in [
        "--rps 10 --latency-ms 1 --cpu 0",
        "--rps 10 --latency-ms 1 --memory-gb NaN",
    ] {
        let error = Wish::of(&args(words), None).unwrap_err();
        assert_eq!(render::exit_code(&error), render::MISUSED);
    }
    let endless = Wish::of(&args("--rps inf --latency-ms 1"), None).unwrap();
    assert!(endless.sized().is_err());
}

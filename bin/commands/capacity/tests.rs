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
    insta::assert_snapshot!(render::data_text(Format::Table, &sized["table"], columns(&sized["answer"])).unwrap(), @r"
    Utilization  Replicas  Slots  Headroom  Up to req/s
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
        @"answer busySlots cpu maxConcurrentRequestsPerContainer memoryInGB millisecondsPerRequest requestsPerSecond service table warnings"
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
fn numbers_out_of_range_are_misuse_and_the_range_is_told() {
    for (words, bounds) in [
        ("--rps 10 --latency-ms 1 --cpu 0", "0.001 to 100000 cores"),
        ("--rps 10 --latency-ms 1 --cpu -1", "0.001 to 100000 cores"),
        (
            "--rps 10 --latency-ms 1 --memory-gb NaN",
            "0.001 to 1000000 GB",
        ),
        ("--rps 10 --latency-ms -2", "0.000001 to 86400000 ms"),
        ("--rps 10 --latency-ms 1e-300", "0.000001 to 86400000 ms"),
        ("--rps -1 --latency-ms 1", "--rps is -1.0, it must be"),
        ("--rps inf --latency-ms 1", "--rps is inf, it must be"),
        ("--rps 1e300 --latency-ms 1", "--rps is 1e300, it must be"),
    ] {
        let error = Wish::of(&args(words), None).unwrap_err();
        assert_eq!(render::exit_code(&error), render::MISUSED);
        let text = error.to_string();
        assert!(text.contains(bounds), "{words}: {text}");
        assert!(text.len() < 100, "{text}");
    }
}

#[test]
fn the_utilization_asked_for_is_in_the_table_once() {
    let rows = |words: &str| -> Vec<u64> {
        let sized = sized(&format!("--rps 20 --latency-ms 10000 {words}"));
        let table = sized["table"].as_array().unwrap();
        let row = |row: &Value| row["utilization"].as_u64().unwrap();
        table.iter().map(row).collect()
    };
    assert_eq!(rows("--utilization 33"), [33, 50, 60, 70, 80, 90]);
    assert_eq!(rows("--utilization 60"), [50, 60, 70, 80, 90]);
}

#[test]
fn an_answer_over_the_bounds_of_the_service_or_its_node_says_so() {
    let given = args("--rps 20 --latency-ms 10000 -n digits");
    let service = Measured {
        name: "digits".to_owned(),
        utilization: 70,
        max_concurrent: 1,
        cpu: 0.1,
        memory_gb: 0.5,
        most: Some(10),
        ..Measured::default()
    };
    let told = |most: u64, is_fixed: bool, cores: f64| {
        let service = Measured {
            most: Some(most),
            is_fixed,
            ..service.clone()
        };
        let mut wish = Wish::of(&given, Some(service)).unwrap();
        let bytes = 1_000_000_000_000;
        wish.node = Some(Capacity { cores, bytes });
        sentence(&wish.sized().unwrap())
    };
    let scales = told(285, false, 2.0);
    assert!(scales.contains("scales up to 285;"), "{scales}");
    assert!(scales.contains("--ma 286"), "{scales}");
    assert!(scales.contains("need 28.6 cores"), "{scales}");
    let fixed = told(285, true, 29.0);
    assert!(fixed.contains("does not scale"), "{fixed}");
    assert!(!fixed.contains("this node"), "{fixed}");
    assert!(!told(286, false, 29.0).contains("But "));
}

#[test]
fn columns_without_numbers_are_left_out() {
    let count = |words: &str| {
        let sized = sized(&format!("--rps 20 --latency-ms 10 {words}"));
        columns(&sized["answer"]).len()
    };
    assert_eq!((count(""), count("--cpu 1"), count("--gb 1")), (5, 6, 7));
}

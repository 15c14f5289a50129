use clap::Parser as _;

use super::*;
use crate::cli::{Cli, Command};

/// The change that the flags of `model update` mean, or why they mean none.
fn change(flags: &str) -> Result<(BTreeMap<String, String>, Vec<String>), String> {
    let words = format!("lusk model update -i m:1 {flags}");
    let args = match Cli::try_parse_from(words.split(' ')).unwrap().command {
        Command::Model(ModelCommand::Update(args)) => args,
        other => panic!("{other:?}"),
    };
    let tags = with_batching(Label::map(&args.add_tags), &args.batching);
    let removed = removed_tags(&args).map_err(|it| it.to_string())?;
    Ok((tags.map_err(|it| it.to_string())?, removed))
}

#[test]
fn flags_of_batches_that_contradict_a_tag_are_refused() {
    for (flags, words) in [
        (
            "--max-batch-size 8 --add-tag maxBatchSize=9",
            "`--max-batch-size 8` contradicts the tag `maxBatchSize=9`",
        ),
        (
            "--max-batch-delay-ms 8 --add-tag maxBatchDelayMs=9",
            "`--max-batch-delay-ms 8` contradicts the tag `maxBatchDelayMs=9`",
        ),
        (
            "--no-batches --add-tag maxBatchSize=4",
            "`--no-batches` contradicts `--add-tag maxBatchSize=4`",
        ),
        (
            "--remove-tag maxBatchSize --max-batch-size 4",
            "`--max-batch-size 4` contradicts `--remove-tag maxBatchSize`",
        ),
    ] {
        assert_eq!(change(flags), Err(words.to_owned()));
    }
}

#[test]
fn flags_that_say_the_same_go_together() {
    let (tags, removed) = change("--max-batch-size 8 --add-tag maxBatchSize=8").unwrap();
    assert_eq!(tags[BatchSettings::SIZE_TAG], "8");
    assert!(removed.is_empty());
    let (tags, removed) = change("--no-batches --remove-tag maxBatchSize").unwrap();
    assert!(tags.is_empty());
    assert!(removed.contains(&"maxBatchDelayMs".to_owned()));
}

#[test]
fn a_negative_number_is_read_as_a_value() {
    let (tags, _) = change("--max-batch-size -1 --max-batch-delay-ms -2").unwrap();
    let refused = BatchSettings::from_tags(&tags).unwrap_err().to_string();
    assert!(refused.contains("`-2`: expected a whole number from 0"));
}

use std::sync::mpsc;

use lusk_contract::{BatchCounts, Loading, Session, TensorType};
use lusk_domain::RuntimeKind;
use proptest::prelude::*;
use tokio::task::JoinHandle;

use super::*;
use crate::testing::{Bench, MemoryLog, signature};

const MS: Duration = Duration::from_millis(1);

/// What [`Manner::MixesRare`] looks for.
const RARE: f32 = 50.5;

/// What a [`Recorder`] does to its inputs of shape `[rows, 2]`.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Manner {
    /// Doubles each number; fails on a negative one, panics on NaN.
    Doubles,
    /// Adds up over all rows: other answers in a batch than alone.
    Mixes,
    /// Takes the mean of all rows from each: equal rows do not show it.
    Centres,
    /// Doubles, unless a number is [`RARE`]: then it adds 1 to all.
    MixesRare,
    /// Answers zeros, whatever it got.
    Zeros,
    /// Answers one row, whatever it got.
    OneRow,
    /// Fails on more than one row.
    OnlySingles,
}

/// A session that keeps the rows of each computation, and may be held up.
#[derive(Debug)]
struct Recorder {
    signature: Signature,
    manner: Manner,
    runs: Mutex<Vec<usize>>,
    /// Each computation takes a word from here before it begins, if it is set.
    gate: Option<Mutex<mpsc::Receiver<()>>>,
}

impl Session for Recorder {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn loading(&self) -> Loading {
        Loading::default()
    }

    fn infer(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, BackendError> {
        let rows = inputs[0].shape()[0];
        self.runs.lock().unwrap().push(rows);
        if let Some(gate) = &self.gate {
            gate.lock().unwrap().recv().unwrap();
        }
        let numbers = numbers(&inputs[0]);
        let failed = |reason: &str| {
            Err(BackendError::Failed {
                model: "m".to_owned(),
                reason: reason.to_owned(),
            })
        };
        assert!(!numbers.iter().any(|it| it.is_nan()), "a panic on NaN");
        if numbers.iter().any(|it| *it < 0.0) {
            return failed("a negative number");
        }
        let sum: f32 = numbers.iter().sum();
        Ok(vec![match self.manner {
            Manner::OnlySingles if rows > 1 => return failed("one row only"),
            Manner::Doubles | Manner::OnlySingles => {
                tensor(&numbers.iter().map(|it| it * 2.0).collect::<Vec<_>>())
            }
            Manner::Mixes => tensor(&vec![sum; rows * 2]),
            Manner::Centres => {
                let mean = sum / numbers.len() as f32;
                tensor(&numbers.iter().map(|it| it - mean).collect::<Vec<_>>())
            }
            Manner::MixesRare => {
                let more = if numbers.contains(&RARE) { 1.0 } else { 0.0 };
                let number = |it: &f32| it * 2.0 + more;
                tensor(&numbers.iter().map(number).collect::<Vec<_>>())
            }
            Manner::Zeros => tensor(&vec![0.0; rows * 2]),
            Manner::OneRow => tensor(&[sum, sum]),
        }])
    }
}

fn tensor(numbers: &[f32]) -> Tensor {
    let data: Vec<u8> = numbers.iter().flat_map(|it| it.to_le_bytes()).collect();
    Tensor::new(TensorType::F32, vec![numbers.len() / 2, 2], data.into()).unwrap()
}

fn numbers(tensor: &Tensor) -> Vec<f32> {
    let (chunks, _) = tensor.data().as_chunks::<4>();
    chunks.iter().map(|it| f32::from_le_bytes(*it)).collect()
}

/// A batcher over a recorder, with the crowd that its callers belong to.
struct Stage {
    session: Arc<TimedSession>,
    recorder: Arc<Recorder>,
    batcher: Arc<Batcher>,
    crowd: Arc<Crowd>,
    log: Arc<MemoryLog>,
    book: BatchBook,
}

/// Lets the tests look into a session that a `TimedSession` owns.
#[derive(Debug)]
struct Shared(Arc<Recorder>);

impl Session for Shared {
    fn signature(&self) -> &Signature {
        self.0.signature()
    }

    fn loading(&self) -> Loading {
        self.0.loading()
    }

    fn infer(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, BackendError> {
        self.0.infer(inputs)
    }
}

impl Stage {
    /// Up to 8 rows, 5 ms; nothing left to compare.
    fn new(manner: Manner) -> Self {
        let stage = Self::unchecked(manner, None);
        stage.batcher.trust.grant();
        stage
    }

    fn unchecked(manner: Manner, gate: Option<mpsc::Receiver<()>>) -> Self {
        let recorder = Arc::new(Recorder {
            signature: signature(),
            manner,
            runs: Mutex::default(),
            gate: gate.map(Mutex::new),
        });
        let bench = Bench::new();
        let revision = bench.revision(RuntimeKind::None, "");
        let settings = BatchSettings {
            max_rows: 8,
            max_delay: 5 * MS,
        };
        let (crowd, book) = (Arc::default(), BatchBook::default());
        let batcher = Batcher::new(
            &revision,
            "m:1".to_owned(),
            settings,
            Arc::clone(&crowd),
            &book,
        );
        let session = TimedSession::new(
            Arc::new(Shared(Arc::clone(&recorder))),
            "cpu".to_owned(),
            "fake",
        );
        Self {
            session: Arc::new(session.joined_by(Some(Arc::clone(&batcher)))),
            recorder,
            batcher,
            crowd,
            log: bench.log,
            book,
        }
    }

    /// A request that computes `numbers`, on its way.
    fn call(&self, numbers: &[f32]) -> JoinHandle<Outcome> {
        let running = Crowd::enter(&self.crowd);
        let (session, inputs) = (Arc::clone(&self.session), vec![tensor(numbers)]);
        tokio::spawn(async move {
            let outcome = session.infer(inputs, ()).await;
            drop(running);
            outcome
        })
    }

    fn runs(&self) -> Vec<usize> {
        self.recorder.runs.lock().unwrap().clone()
    }

    fn counts(&self) -> BatchCounts {
        self.batcher.tally.counts()
    }

    fn closed(&self, why: Closed) -> u64 {
        self.counts().by_reason[why.index()]
    }

    /// Ends when `calls` wait in the open batch.
    async fn until_waiting(&self, calls: usize) {
        while self.batcher.report().waiting != calls {
            yield_now().await;
        }
    }
}

async fn answer_of(call: JoinHandle<Outcome>) -> Vec<f32> {
    numbers(&call.await.unwrap().unwrap()[0])
}

#[tokio::test(start_paused = true)]
async fn a_lone_request_does_not_wait_for_others() {
    let stage = Stage::new(Manner::Doubles);
    let began = Instant::now();
    assert_eq!(answer_of(stage.call(&[1.0, 2.0])).await, [2.0, 4.0]);
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(stage.closed(Closed::Idle), 1);
}

#[tokio::test(start_paused = true)]
async fn requests_that_come_together_are_computed_together() {
    let stage = Stage::new(Manner::Doubles);
    let calls = [[1.0, 1.5], [2.0, 2.5], [3.0, 3.5]].map(|it| stage.call(&it));
    let [one, two, three] = calls;
    assert_eq!(answer_of(three).await, [6.0, 7.0]);
    assert_eq!(answer_of(one).await, [2.0, 3.0]);
    assert_eq!(answer_of(two).await, [4.0, 5.0]);
    assert_eq!(stage.runs(), [3]);
    let counts = stage.counts();
    assert_eq!((counts.calls, counts.rows, counts.batches()), (3, 3, 1));
    assert_eq!(counts.by_rows[2], 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_waits_no_longer_than_the_delay_for_one_that_runs() {
    let stage = Stage::new(Manner::Doubles);
    let _elsewhere = Crowd::enter(&stage.crowd);
    let began = Instant::now();
    let first = stage.call(&[1.0, 1.0]);
    stage.until_waiting(1).await;
    tokio::time::advance(3 * MS).await;
    let second = stage.call(&[2.0, 2.0]);
    assert_eq!(answer_of(first).await, [2.0, 2.0]);
    assert_eq!(answer_of(second).await, [4.0, 4.0]);
    assert_eq!(began.elapsed().as_millis(), 5);
    assert_eq!((stage.runs(), stage.closed(Closed::Delay)), (vec![2], 1));
    assert_eq!(stage.counts().longest.as_millis(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_batch_closes_when_the_last_one_that_could_come_has_ended() {
    let stage = Stage::new(Manner::Doubles);
    let elsewhere = Crowd::enter(&stage.crowd);
    let began = Instant::now();
    let call = stage.call(&[1.0, 1.0]);
    stage.until_waiting(1).await;
    drop(elsewhere);
    assert_eq!(answer_of(call).await, [2.0, 2.0]);
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(stage.closed(Closed::Idle), 1);
}

#[tokio::test(start_paused = true)]
async fn a_full_batch_does_not_wait_and_the_rest_begins_the_next() {
    let stage = Stage::new(Manner::Doubles);
    let _elsewhere = Crowd::enter(&stage.crowd);
    let calls: Vec<_> = (0..5).map(|_| stage.call(&[1.0; 6])).collect();
    for call in calls {
        assert_eq!(answer_of(call).await, [2.0; 6]);
    }
    assert_eq!(stage.runs(), [6, 6, 3]);
    assert_eq!(
        (stage.closed(Closed::Full), stage.closed(Closed::Delay)),
        (2, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_joined_is_computed_alone_at_once() {
    let stage = Stage::new(Manner::Doubles);
    let _elsewhere = Crowd::enter(&stage.crowd);
    let began = Instant::now();
    assert_eq!(answer_of(stage.call(&[1.0; 18])).await, [2.0; 18]);
    assert!(answer_of(stage.call(&[])).await.is_empty());
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!((stage.closed(Closed::Alone), stage.runs()), (2, vec![9, 0]));
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_leaves_its_batch() {
    let stage = Stage::new(Manner::Doubles);
    let _elsewhere = Crowd::enter(&stage.crowd);
    let (gone, stays) = (stage.call(&[1.0, 1.0]), stage.call(&[2.0, 2.0]));
    stage.until_waiting(2).await;
    gone.abort();
    assert!(gone.await.is_err());
    assert_eq!(answer_of(stays).await, [4.0, 4.0]);
    assert_eq!((stage.runs(), stage.counts().gone), (vec![1], 1));
    let alone = stage.call(&[3.0, 3.0]);
    stage.until_waiting(1).await;
    alone.abort();
    assert!(alone.await.is_err());
    tokio::time::advance(50 * MS).await;
    assert_eq!((stage.runs(), stage.counts().gone), (vec![1], 2));
    assert_eq!(answer_of(stage.call(&[4.0, 4.0])).await, [8.0, 8.0]);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_while_its_batch_runs_disturbs_nobody() {
    let (go, gate) = mpsc::channel();
    let stage = Stage::unchecked(Manner::Doubles, Some(gate));
    stage.batcher.trust.grant();
    let (gone, stays) = (stage.call(&[1.0, 1.0]), stage.call(&[2.0, 2.0]));
    while stage.runs().is_empty() {
        yield_now().await;
    }
    gone.abort();
    assert!(gone.await.is_err());
    go.send(()).unwrap();
    assert_eq!(answer_of(stays).await, [4.0, 4.0]);
    assert_eq!(stage.runs(), [2]);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_fails_a_batch_fails_alone() {
    for bad in [-1.0, f32::NAN] {
        let stage = Stage::new(Manner::Doubles);
        let good = stage.call(&[1.0, 1.0]);
        let bad = stage.call(&[bad, 1.0]);
        let other = stage.call(&[3.0, 3.0]);
        assert!(bad.await.unwrap().is_err());
        assert_eq!(answer_of(good).await, [2.0, 2.0]);
        assert_eq!(answer_of(other).await, [6.0, 6.0]);
        assert_eq!(stage.runs(), [3, 1, 1, 1]);
        assert!(stage.batcher.is_active());
    }
}

#[tokio::test(start_paused = true)]
async fn after_many_lone_calls_those_that_come_together_are_still_joined() {
    let stage = Arc::new(Stage::new(Manner::Doubles));
    for _ in 0..40 {
        assert_eq!(answer_of(stage.call(&[1.0, 2.0])).await, [2.0, 4.0]);
    }
    assert_eq!(stage.closed(Closed::Idle), 40);
    // Each begins to run when its task does, as requests on one thread do.
    for _ in 0..40 {
        let one = |number: f32| {
            let stage = Arc::clone(&stage);
            tokio::spawn(async move { answer_of(stage.call(&[number, 0.0])).await })
        };
        let (first, second) = (one(1.0), one(2.0));
        assert_eq!(first.await.unwrap(), [2.0, 0.0]);
        assert_eq!(second.await.unwrap(), [4.0, 0.0]);
    }
    assert!(stage.runs().contains(&2), "{:?}", stage.runs());
}

/// Two calls at the same time, twice; what they ask for differs.
async fn two_pairs(stage: &Stage) -> Vec<Vec<f32>> {
    let mut answers = Vec::new();
    for _ in 0..2 {
        let calls = [stage.call(&[1.0, 2.0]), stage.call(&[3.0, 4.0])];
        for call in calls {
            answers.push(answer_of(call).await);
        }
    }
    answers
}

#[tokio::test(start_paused = true)]
async fn a_model_that_mixes_its_rows_is_found_out_and_answers_right() {
    let stage = Stage::unchecked(Manner::Mixes, None);
    let right = [[3.0, 3.0], [7.0, 7.0], [3.0, 3.0], [7.0, 7.0]];
    assert_eq!(two_pairs(&stage).await, right);
    assert_eq!(stage.runs(), [2, 1, 1, 1, 1]);
    let log = stage.log.lines();
    assert!(
        log[0].starts_with("model m:1 gives other answers in a batch"),
        "{log:?}"
    );
    let told = stage.book.reports()[0].without_effect.clone();
    assert_eq!(told.unwrap(), "gives other answers in a batch than alone");
}

/// Two calls at the same time.
async fn pair(stage: &Stage, one: &[f32], other: &[f32]) -> [Vec<f32>; 2] {
    let (one, other) = (stage.call(one), stage.call(other));
    [answer_of(one).await, answer_of(other).await]
}

/// Whether the last batch was joined and not compared.
fn went_unseen(stage: &Stage) -> bool {
    stage.runs().last() != Some(&1)
}

#[tokio::test(start_paused = true)]
async fn several_batches_of_different_calls_are_compared_first() {
    let stage = Stage::unchecked(Manner::Doubles, None);
    for number in 0..trust::ENOUGH {
        let number = number as f32;
        let right = [vec![2.0 * number, 0.0], vec![2.0, 100.0]];
        assert_eq!(pair(&stage, &[number, 0.0], &[1.0, 50.0]).await, right);
        assert!(!went_unseen(&stage));
    }
    assert_eq!(
        pair(&stage, &[1.0, 0.0], &[2.0, 0.0]).await,
        [[2.0, 0.0], [4.0, 0.0]]
    );
    assert!(went_unseen(&stage));
}

/// Different calls to a model that takes the mean off, after `batches` of `calls`.
async fn is_found_out_after(batches: u64, calls: [&[f32]; 2]) {
    let stage = Stage::unchecked(Manner::Centres, None);
    for _ in 0..batches {
        pair(&stage, calls[0], calls[1]).await;
        assert!(stage.batcher.is_active());
    }
    for _ in 0..100 {
        let right = [[-0.5, 0.5], [-1.0, 1.0]];
        assert_eq!(pair(&stage, &[1.0, 2.0], &[3.0, 5.0]).await, right);
    }
    assert!(!stage.batcher.is_active());
    assert_eq!(stage.log.lines().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn equal_calls_first_do_not_hide_that_rows_are_mixed() {
    for batches in [1, 8, 4 * trust::FIRST] {
        is_found_out_after(batches, [&[1.0, 2.0], &[1.0, 2.0]]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn zeros_first_do_not_hide_that_rows_are_mixed() {
    for batches in [1, 8, 4 * trust::FIRST] {
        is_found_out_after(batches, [&[0.0; 2], &[0.0; 4]]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn different_calls_first_show_that_rows_are_mixed() {
    is_found_out_after(0, [&[], &[]]).await;
}

/// A model that mixes rows for rare data alone, trusted after numbers up to `most`.
async fn trusted_too_early(most: f32) -> Stage {
    let stage = Stage::unchecked(Manner::MixesRare, None);
    pair(&stage, &[0.0; 2], &[most; 2]).await;
    for number in 0..100_u8 {
        let number = most * f32::from(number) / 100.0;
        let right = [vec![2.0 * number; 2], vec![1.0; 2]];
        assert_eq!(pair(&stage, &[number; 2], &[0.5; 2]).await, right);
    }
    assert!(went_unseen(&stage) && stage.batcher.is_active());
    stage
}

#[tokio::test(start_paused = true)]
async fn mixing_of_rare_data_is_found_by_a_sample() {
    let stage = trusted_too_early(100.0).await;
    for _ in 0..trust::SAMPLE {
        pair(&stage, &[RARE; 2], &[1.0; 2]).await;
    }
    assert!(!stage.batcher.is_active());
    let right = [[102.0; 2], [2.0; 2]];
    assert_eq!(pair(&stage, &[RARE; 2], &[1.0; 2]).await, right);
    assert!(stage.log.lines()[0].contains("gives other answers in a batch"));
}

#[tokio::test(start_paused = true)]
async fn numbers_larger_than_any_before_are_compared() {
    let stage = trusted_too_early(10.0).await;
    let right = [[102.0; 2], [2.0; 2]];
    assert_eq!(pair(&stage, &[RARE; 2], &[1.0; 2]).await, right);
    assert!(!stage.batcher.is_active());
}

#[tokio::test(start_paused = true)]
async fn what_proves_nothing_is_not_compared_for_ever_nor_joined_unseen() {
    let stage = Stage::unchecked(Manner::Zeros, None);
    for number in 0..2 * trust::FIRST {
        pair(&stage, &[number as f32; 2], &[0.5; 2]).await;
        assert!(!went_unseen(&stage));
    }
    let joined = stage.runs().iter().filter(|rows| **rows == 2).count() as u64;
    assert_eq!(joined, trust::FIRST + trust::FIRST / trust::AGAIN);
}

#[tokio::test(start_paused = true)]
async fn a_model_that_loses_rows_is_not_joined_again() {
    let stage = Stage::new(Manner::OneRow);
    let right = [[3.0, 3.0], [7.0, 7.0], [3.0, 3.0], [7.0, 7.0]];
    assert_eq!(two_pairs(&stage).await, right);
    assert_eq!(stage.runs(), [2, 1, 1, 1, 1]);
    assert!(stage.log.lines()[0].contains("another number of rows"));
}

#[tokio::test(start_paused = true)]
async fn a_model_that_fails_on_batches_alone_is_given_up() {
    let stage = Stage::new(Manner::OnlySingles);
    let right = [[2.0, 4.0], [6.0, 8.0], [2.0, 4.0], [6.0, 8.0]];
    assert_eq!(two_pairs(&stage).await, right);
    assert!(stage.batcher.is_active());
    assert_eq!(two_pairs(&stage).await, right);
    assert_eq!(stage.runs(), [2, 1, 1, 2, 1, 1, 2, 1, 1, 1, 1]);
}

#[test]
fn a_call_outlives_the_runtime_that_drove_its_batch() {
    let stage = Stage::new(Manner::Doubles);
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_time().build().unwrap()
    };
    let (first, second) = (runtime(), runtime());
    let elsewhere = Crowd::enter(&stage.crowd);
    let gone = {
        let _inside = first.enter();
        stage.call(&[1.0, 1.0])
    };
    first.block_on(stage.until_waiting(1));
    let stays = {
        let _inside = second.enter();
        stage.call(&[2.0, 2.0])
    };
    second.block_on(stage.until_waiting(2));
    drop(first);
    drop(elsewhere);
    assert_eq!(second.block_on(answer_of(stays)), [4.0, 4.0]);
    assert!(second.block_on(gone).is_err());
}

#[tokio::test(start_paused = true)]
async fn an_update_of_the_service_counts_on() {
    let bench = Bench::new();
    let revision = bench.revision(RuntimeKind::None, "");
    let book = BatchBook::default();
    let settings = |max_rows| BatchSettings {
        max_rows,
        max_delay: MS,
    };
    let batcher = |rows| {
        Batcher::new(
            &revision,
            "m:1".to_owned(),
            settings(rows),
            Arc::default(),
            &book,
        )
    };
    let old = batcher(4);
    old.tally.batch(Closed::Full, 4, [MS, MS].into_iter());
    let new = batcher(8);
    drop(old);
    new.tally.batch(Closed::Idle, 1, [MS].into_iter());
    let reports = book.reports();
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0].settings.max_rows, 8);
    assert_eq!(
        (reports[0].counts.calls, reports[0].counts.batches()),
        (3, 2)
    );
    drop(new);
    assert!(book.reports().is_empty());
}

proptest! {
    #[test]
    fn every_call_gets_its_own_answer(sizes in proptest::collection::vec(1..11_usize, 1..30)) {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_time().start_paused(true).build().unwrap();
        let stage = Stage::new(Manner::Doubles);
        runtime.block_on(async {
            let calls: Vec<_> = sizes
                .iter()
                .enumerate()
                .map(|(at, rows)| stage.call(&vec![at as f32; rows * 2]))
                .collect();
            for (at, call) in calls.into_iter().enumerate() {
                assert_eq!(answer_of(call).await, vec![at as f32 * 2.0; sizes[at] * 2]);
            }
        });
        let runs = stage.runs();
        prop_assert_eq!(runs.iter().sum::<usize>(), sizes.iter().sum::<usize>());
        let alone = sizes.iter().filter(|rows| **rows > 8).count();
        prop_assert_eq!(runs.iter().filter(|rows| **rows > 8).count(), alone);
    }
}

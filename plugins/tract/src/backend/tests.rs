use std::{fs, num::NonZeroUsize, path::PathBuf, sync::Barrier, thread};

use lusk_contract::conformance::backend::{as_floats, fixture, floats, suite};
use proptest::prelude::*;

use super::*;

/// A folder with copies of fixtures.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn model(&self, name: &str, content: &[u8]) -> ModelSource {
        fs::write(self.path(name), content).unwrap();
        ModelSource {
            digest: Digest::of(content),
            label: format!("{name}:1"),
            path: self.path(name),
            threads: NonZeroUsize::MIN,
        }
    }
}

fn content(name: &str) -> Vec<u8> {
    fs::read(fixture(name).path).unwrap()
}

fn held(backend: &TractBackend) -> usize {
    let loaded = lock(&backend.loaded);
    let models = |slot: &Arc<Mutex<Vec<Loaded>>>| lock(slot).len();
    loaded.values().map(models).sum()
}

#[test]
fn the_backend_keeps_its_promises() {
    suite(&TractBackend::new());
}

#[test]
fn a_model_is_loaded_once_for_all_who_hold_it() {
    let backend = TractBackend::new();
    let barrier = Barrier::new(8);
    let sessions: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    barrier.wait();
                    backend.load(&fixture("linear.onnx")).unwrap()
                })
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    let signature = std::ptr::from_ref(sessions[0].signature());
    assert!(
        sessions
            .iter()
            .all(|session| std::ptr::eq(session.signature(), signature))
    );
    assert_eq!(held(&backend), 1);
}

#[test]
fn a_model_that_nobody_holds_is_forgotten() {
    let backend = TractBackend::new();
    drop(backend.load(&fixture("linear.onnx")).unwrap());
    let _other = backend.load(&fixture("types.onnx")).unwrap();
    assert_eq!(held(&backend), 1);
    assert_eq!(lock(&backend.loaded).len(), 1);
}

#[test]
fn many_sessions_share_few_threads_which_end_with_the_last() {
    let two = NonZeroUsize::new(2).unwrap();
    let backend = TractBackend::on_cores(two);
    let source = |number: usize| ModelSource {
        label: format!("linear:{number}"),
        threads: two,
        ..fixture("linear.onnx")
    };
    let sessions: Vec<_> = (0..200)
        .map(|number| backend.load(&source(number)).unwrap())
        .collect();
    for session in &sessions {
        assert_eq!(session.loading().threads, two);
        session.infer(&[floats(&[1, 3], &[0.0; 3])]).unwrap();
    }
    // A call that is worth it: any size is long that took long.
    let crews = lock(&backend.crews).upgrade().unwrap();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| crews.run(2, || ()));
        }
    });
    drop(crews);
    let crews = lock(&backend.crews).upgrade().unwrap();
    assert_eq!(crews.threads(), (0, 2));
    drop(crews);
    drop(sessions);
    assert_eq!(lock(&backend.crews).strong_count(), 0);
}

#[test]
fn loading_tells_what_it_took() {
    let backend = TractBackend::on_cores(NonZeroUsize::new(2).unwrap());
    let source = ModelSource {
        threads: NonZeroUsize::new(64).unwrap(),
        ..fixture("linear.onnx")
    };
    let first = backend.load(&source).unwrap();
    assert_eq!(first.loading().threads.get(), 2);
    assert!(first.loading().peak_bytes.is_some());
    assert!(!first.loading().shared);
    let second = backend.load(&source).unwrap();
    assert!(second.loading().shared);
    assert_eq!(second.loading().peak_bytes, None);
}

#[test]
fn one_model_with_other_external_data_is_another_model() {
    let backend = TractBackend::new();
    let answers: Vec<_> = [1.0f32, 5.0]
        .into_iter()
        .map(|weight| {
            let folder = Folder::new();
            let raw = [weight, weight].map(f32::to_le_bytes).concat();
            fs::write(folder.path("external.bin"), raw).unwrap();
            let model = folder.model("external.onnx", &content("external.onnx"));
            (backend.load(&model).unwrap(), folder)
        })
        .map(|(session, folder)| {
            let outputs = session.infer(&[floats(&[2], &[0.0, 1.0])]).unwrap();
            (as_floats(&outputs[0]), session, folder)
        })
        .collect();
    assert_eq!(answers[0].0, [1.0, 2.0]);
    assert_eq!(answers[1].0, [5.0, 6.0]);
}

#[test]
fn errors_carry_the_label_of_the_session_that_failed() {
    let backend = TractBackend::new();
    let first = backend.load(&fixture("linear.onnx")).unwrap();
    let renamed = ModelSource {
        label: "other:2/linear.onnx".into(),
        ..fixture("linear.onnx")
    };
    let second = backend.load(&renamed).unwrap();
    assert!(
        first
            .infer(&[])
            .unwrap_err()
            .to_string()
            .contains("`linear.onnx:1`")
    );
    assert!(
        second
            .infer(&[])
            .unwrap_err()
            .to_string()
            .contains("`other:2/linear.onnx`")
    );
}

#[test]
fn a_link_out_of_the_folder_is_refused() {
    let (folder, elsewhere) = (Folder::new(), Folder::new());
    fs::write(elsewhere.path("external.bin"), [0; 8]).unwrap();
    std::os::unix::fs::symlink(elsewhere.path("external.bin"), folder.path("external.bin"))
        .unwrap();
    let model = folder.model("external.onnx", &content("external.onnx"));
    let error = TractBackend::new().load(&model).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`external.onnx:1` is not a readable ONNX model: external data file `external.bin` \
         is a link out of the model's folder"
    );
}

#[test]
fn a_default_classifier_export_answers_as_the_one_without_maps() {
    let backend = TractBackend::new();
    let rows = floats(&[2, 4], &[5.1, 3.5, 1.4, 0.2, 5.9, 3.0, 5.1, 1.8]);
    let [maps, tables] = ["zipmap.onnx", "iris.onnx"].map(|name| {
        let session = backend.load(&fixture(name)).unwrap();
        session.infer(std::slice::from_ref(&rows)).unwrap()
    });
    assert_eq!(maps, tables);
}

#[test]
fn a_classifier_of_the_machine_learning_domain_answers() {
    let session = TractBackend::new().load(&fixture("iris.onnx")).unwrap();
    let rows = [5.1, 3.5, 1.4, 0.2, 5.9, 3.0, 5.1, 1.8];
    let outputs = session.infer(&[floats(&[2, 4], &rows)]).unwrap();
    let labels = [0i64, 2].map(i64::to_le_bytes).concat();
    assert_eq!(outputs[0].data().as_ref(), labels);
    // What onnxruntime answers; `make.py --check` prints it.
    let expected = [
        0.981_572_9,
        0.018_427_13,
        1.478e-8,
        4.774_5e-4,
        0.234_925_43,
        0.764_597_1,
    ];
    for (seen, expected) in as_floats(&outputs[1]).iter().zip(expected) {
        assert!(
            (seen - expected).abs() < 1e-5_f32,
            "{seen} is not {expected}"
        );
    }
}

#[test]
fn the_digits_example_reads_a_seven() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/digits");
    let model = PathBuf::from(path).join("model/digits.onnx");
    let source = ModelSource {
        digest: Digest::of(&fs::read(&model).unwrap()),
        label: "digits:1/digits.onnx".into(),
        path: model,
        threads: NonZeroUsize::MIN,
    };
    let session = TractBackend::new().load(&source).unwrap();
    let outputs = &session.signature().outputs;
    assert_eq!(outputs[0].name, "label");
    assert_eq!(outputs[0].shape, [None]);
    assert_eq!(outputs[1].name, "probabilities");
    assert_eq!(outputs[1].shape, [None, Some(10)]);
    let seven: Vec<f32> = fs::read_to_string(PathBuf::from(path).join("digit-seven.json"))
        .unwrap()
        .split(|c: char| !c.is_ascii_digit() && c != '.')
        .filter_map(|number| number.parse().ok())
        .collect();
    for rows in [1usize, 2, 5] {
        let input = floats(&[rows, 64], &seven.repeat(rows));
        let outputs = session.infer(&[input]).unwrap();
        assert_eq!(outputs[0].shape(), [rows]);
        assert_eq!(outputs[0].data().as_ref(), 7i64.to_le_bytes().repeat(rows));
        assert_eq!(outputs[1].shape(), [rows, 10]);
        let probabilities = as_floats(&outputs[1]);
        assert!(probabilities.chunks(10).all(|row| row[7] > 0.99));
    }
}

#[test]
fn a_long_dimension_name_is_refused_before_it_is_parsed() {
    let brackets = "(".repeat(100_000);
    let mut model = content("shared_dim.onnx");
    // graph.input.type.tensor_type.shape.dim.dim_param: later fields are merged.
    model.extend(nested(
        &[0x3a, 0x5a, 0x12, 0x0a, 0x12, 0x0a, 0x12],
        brackets.as_bytes(),
    ));
    let folder = Folder::new();
    let error = TractBackend::new()
        .load(&folder.model("long.onnx", &model))
        .unwrap_err();
    assert!(
        error.to_string().contains("longer than 256 bytes"),
        "{error}"
    );
}

/// `content` inside one protobuf field inside the next; outermost key first.
fn nested(keys: &[u8], content: &[u8]) -> Vec<u8> {
    keys.iter().rev().fold(content.to_vec(), |inner, key| {
        let mut outer = vec![*key];
        let mut length = inner.len();
        while length > 0x7f {
            outer.push((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        outer.push(length as u8);
        outer.extend(inner);
        outer
    })
}

/// Loads and, if that works, runs a model that may say anything.
fn survive(bytes: &[u8]) {
    let folder = Folder::new();
    let Ok(session) = TractBackend::new().load(&folder.model("odd.onnx", bytes)) else {
        return;
    };
    let inputs: Option<Vec<_>> = session
        .signature()
        .inputs
        .iter()
        .map(|input| {
            let shape: Vec<usize> = input.shape.iter().map(|dim| dim.unwrap_or(2)).collect();
            let bytes = shape
                .iter()
                .try_fold(input.kind.min_size(), |size, dim| size.checked_mul(*dim))
                .filter(|bytes| *bytes < 1 << 20)?;
            lusk_contract::Tensor::new(input.kind, shape, vec![0; bytes].into()).ok()
        })
        .collect();
    if let Some(inputs) = inputs {
        let _ = session.infer(&inputs);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_truncated_model_is_an_error(name in broken(), part in 0.0..1.0f64) {
        let model = content(name);
        let end = (model.len() as f64 * part) as usize;
        survive(&model[..end]);
    }

    #[test]
    fn a_damaged_model_never_ends_the_process(
        name in broken(),
        flips in prop::collection::vec((0.0..1.0f64, 0..8u32), 1..4),
    ) {
        let mut model = content(name);
        for (place, bit) in flips {
            let place = (model.len() as f64 * place) as usize;
            model[place] ^= 1 << bit;
        }
        survive(&model);
    }
}

fn broken() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "linear.onnx",
        "types.onnx",
        "lstm.onnx",
        "columns.onnx",
        "divide.onnx",
        "shape_of.onnx",
        "giant.onnx",
    ])
}

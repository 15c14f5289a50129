//! The process that loads and runs damaged models, and may die of it.

use std::{
    fs,
    io::Write,
    num::NonZeroUsize,
    panic::{AssertUnwindSafe, catch_unwind, set_hook},
    path::Path,
};

use bytes::Bytes;
use lusk_contract::{Backend, BackendError, ModelSource, Session, Tensor, TensorType};
use lusk_domain::Digest;
use lusk_tract::TractBackend;

use crate::{damaged, random::Random};

/// What an open extent is, when there is something to choose.
const EXTENTS: [usize; 4] = [0, 1, 2, 5];

/// The largest input that is made. A model may well declare a larger one.
const MAX_ELEMENTS: usize = 1 << 16;

/// Breaks the model at `path` in the ways `from..to` and says how each went, in
/// lines `begin WAY` and `end WAY KIB KIB OUTCOME`: what loading took and what
/// the calls took.
pub(crate) fn suffer(path: &Path, from: usize, to: usize) {
    set_hook(Box::new(|_| {}));
    let model = fs::read(path).unwrap();
    let name = path.file_stem().unwrap().to_string_lossy().into_owned();
    let folder = tempfile::tempdir().unwrap();
    if let Ok(data) = fs::read(path.with_file_name("external.bin")) {
        fs::write(folder.path().join("external.bin"), data).unwrap();
    }
    let file = folder.path().join("model.onnx");
    // The first call of all pays for what is made once.
    let (whole, _, _) = attempt(&model, &file, &mut Random::new(&name, usize::MAX));
    say(&format!("whole {whole}"));
    for way in from..to {
        say(&format!("begin {way}"));
        let bytes = damaged(&name, &model, way);
        let (outcome, loading, calling) = attempt(&bytes, &file, &mut Random::new(&name, way));
        say(&format!("end {way} {loading} {calling} {outcome}"));
    }
    say("done");
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n{line}").unwrap();
    out.flush().unwrap();
}

/// A figure of this process, in KiB.
fn memory(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// What comes of a model, and by how many KiB loading and calling it grew.
fn attempt(bytes: &[u8], file: &Path, random: &mut Random) -> (String, u64, u64) {
    fs::write(file, bytes).unwrap();
    let source = ModelSource {
        digest: Digest::of(bytes),
        label: "damaged".into(),
        path: file.to_owned(),
        threads: NonZeroUsize::MIN,
    };
    let (loaded, loading) = growth(|| TractBackend::new().load(&source));
    let session = match loaded {
        Some(Ok(session)) => session,
        Some(Err(error)) => return (format!("refused {}", told(&error)), loading, 0),
        None => return ("panicked".into(), loading, 0),
    };
    let mut outcome = "loaded".to_owned();
    let mut calling = 0;
    for _ in 0..3 {
        let (called, grown) = growth(|| call(session.as_ref(), random));
        calling = calling.max(grown);
        match called {
            Some(Some(Ok(()))) => outcome = "answered".into(),
            Some(Some(Err(error))) => outcome = format!("failed {}", told(&error)),
            Some(None) => {}
            None => return ("panicked".into(), loading, calling),
        }
    }
    (outcome, loading, calling)
}

/// What `work` makes unless it panics, and how many KiB more it held at most.
fn growth<T>(work: impl FnOnce() -> T) -> (Option<T>, u64) {
    let before = memory("VmRSS");
    // Forgets the peak so far.
    fs::write("/proc/self/clear_refs", "5").unwrap();
    let made = catch_unwind(AssertUnwindSafe(work)).ok();
    (made, memory("VmHWM").saturating_sub(before))
}

fn told(error: &BackendError) -> String {
    error.to_string().replace('\n', " ")
}

fn call(session: &dyn Session, random: &mut Random) -> Option<Result<(), BackendError>> {
    let open = random.one_of(&EXTENTS);
    let bold = random.below(2) > 0;
    let mut inputs = Vec::new();
    for spec in &session.signature().inputs {
        let shape: Vec<usize> = spec.shape.iter().map(|d| d.unwrap_or(open)).collect();
        let elements = shape
            .iter()
            .try_fold(1usize, |product, extent| product.checked_mul(*extent))
            .filter(|elements| *elements <= MAX_ELEMENTS)?;
        let data: Vec<u8> = (0..elements)
            .flat_map(|_| element(spec.kind, bold, random))
            .collect();
        inputs.push(Tensor::new(spec.kind, shape, Bytes::from(data)).unwrap());
    }
    Some(session.infer(&inputs).map(|_| ()))
}

fn element(kind: TensorType, bold: bool, random: &mut Random) -> Vec<u8> {
    let whole = if bold {
        random.awkward()
    } else {
        random.below(4) as i64
    };
    let real = random.below(200) as f64 / 50. - 2.;
    match kind {
        TensorType::F16 => vec![random.below(256) as u8, 0x3c],
        TensorType::F32 => (real as f32).to_le_bytes().to_vec(),
        TensorType::F64 => real.to_le_bytes().to_vec(),
        TensorType::Bool => vec![random.below(2) as u8],
        // Each text after its length.
        TensorType::Text => random
            .one_of(&[&[0, 0, 0, 0][..], b"\x04\0\0\0word"])
            .to_vec(),
        _ => whole.to_le_bytes()[..kind.min_size()].to_vec(),
    }
}

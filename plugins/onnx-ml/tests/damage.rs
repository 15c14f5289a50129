//! Damaged models end in an error or an answer; never in a panic of ours.

#![allow(
    clippy::unwrap_used,
    reason = "a model that is not there is a failed test"
)]

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind, set_hook},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use proptest::prelude::*;
use tract_onnx::{
    prelude::*,
    tract_hir::{infer::Factoid, internal::DimLike},
};

/// Where this crate has panicked; tract itself may, its callers expect it.
static PANICS: Mutex<Vec<String>> = Mutex::new(vec![]);

fn models() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let files = fs::read_dir(folder).unwrap();
    let mut models: Vec<PathBuf> = files
        .map(|file| file.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "onnx")
        })
        .collect();
    models.sort();
    models
}

/// Loads and, if that works, runs a model that may say anything.
fn survive(bytes: &[u8]) {
    let mut onnx = tract_onnx::onnx();
    lusk_onnx_ml::register(&mut onnx.op_register);
    let _ = catch_unwind(AssertUnwindSafe(|| -> TractResult<()> {
        let mut model = onnx.model_for_read(&mut &*bytes)?;
        let fact = model.input_fact(0)?.clone();
        let columns = fact.shape.dim(1).and_then(|dim| dim.concretize());
        let columns = columns.and_then(|dim| dim.to_usize().ok()).unwrap_or(4);
        if columns > 1000 {
            return Ok(());
        }
        let kind = fact.datum_type().unwrap_or(f32::datum_type());
        model.set_input_fact(0, InferenceFact::dt_shape(kind, [9, columns]))?;
        let plan = model.into_optimized()?.into_runnable()?;
        plan.run(tvec![Tensor::zero_dt(kind, &[9, columns])?.into()])?;
        Ok(())
    }));
}

fn check() -> Result<(), TestCaseError> {
    let panics = PANICS.lock().unwrap_or_else(PoisonError::into_inner);
    prop_assert!(panics.is_empty(), "{:?}", panics);
    Ok(())
}

fn watch() {
    set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        if place.contains("onnx-ml") && place.contains("src") {
            let mut panics = PANICS.lock().unwrap_or_else(PoisonError::into_inner);
            panics.push(format!("{place}: {info}"));
        }
    }));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn damaged_models_make_no_panic(
        model in prop::sample::select(models()),
        flips in prop::collection::vec((0.0..1.0f64, 0..8u32), 1..6),
        part in prop_oneof![4 => Just(1.0), 1 => 0.0..1.0f64],
    ) {
        watch();
        let mut bytes = fs::read(model).unwrap();
        for (place, bit) in flips {
            let place = (bytes.len() as f64 * place) as usize;
            bytes[place] ^= 1 << bit;
        }
        bytes.truncate((bytes.len() as f64 * part) as usize);
        survive(&bytes);
        check()?;
    }
}

"""Trains scikit-learn's estimators, exports them and writes what they answer.

    python make.py FOLDER

Each case is FOLDER/NAME/ with model.onnx, a tensor for each input (`input_0.pb` ...) and for
each output what the library that trained it answers itself for the rows it has not seen: numbers
as 64-bit floats, as it computes them. Where ONNX has maps, `input_0_keys.pb` and `output_1_keys.pb`
name the columns. Needs what tests/requirements.txt names.
"""

import multiprocessing
import pathlib
import sys
import warnings

import numpy as np
import onnx
import onnx.helper
import onnxmltools
import threadpoolctl
from onnx import numpy_helper
from onnxmltools.convert.common.data_types import FloatTensorType as BoosterFloats
from skl2onnx import to_onnx

import boosters
import classifiers
import pipelines
import regressors
import texts
import transformers

CASES = [case for room in (classifiers, regressors, transformers, pipelines, texts, boosters) for case in room.cases()]
OPSETS = {"": 18, "ai.onnx.ml": 3}
MAKE_ATTRIBUTE = onnx.helper.make_attribute


def make_attribute(key, value, *more, **named):
    """skl2onnx 1.20 gives bools of numpy here, which onnx 1.23 does not take."""
    if key == "nodes_missing_value_tracks_true":
        value = [int(flag) for flag in value]
    return MAKE_ATTRIBUTE(key, value, *more, **named)


def chosen(estimator, options):
    """ZipMap is asked for with the whole pipeline, anything else with its last step."""
    last = getattr(estimator, "_final_estimator", estimator)
    given = {id(estimator): {}, id(last): {}}
    for name, value in options.items():
        given[id(estimator if name == "zipmap" else last)][name] = value
    return {key: value for key, value in given.items() if value}


def exported(case, options):
    if case.booster:
        kinds = [("X", BoosterFloats([None, case.rows.shape[1]]))]
        convert = getattr(onnxmltools, f"convert_{case.booster}")
        return convert(case.estimator, initial_types=kinds, target_opset=15, **options)
    given = chosen(case.estimator, options)
    if case.kinds:
        return to_onnx(case.estimator, initial_types=case.kinds, options=given, target_opset=OPSETS)
    return to_onnx(case.estimator, case.inputs()[0][:1], options=given, target_opset=OPSETS)


def tensor(values):
    values = np.asarray(values)
    if values.dtype.kind in "UO":
        values = values.astype(object)
    elif values.dtype.kind in "iub":
        values = values.astype(np.int64)
    return values


def save(path, values):
    path.write_bytes(numpy_helper.from_array(values).SerializeToString())


def expected(case, graph):
    """The answers, each with as many dimensions as the model gives it."""
    answers = case.answers(case.estimator, case.rows)
    for values, output in zip(answers, graph.output, strict=True):
        values = tensor(values)
        if values.dtype.kind == "f":
            values = values.astype(np.float64)
        kind = output.type.tensor_type
        if output.type.HasField("tensor_type") and len(kind.shape.dim) != values.ndim:
            values = values.reshape([len(values), -1] if len(kind.shape.dim) == 2 else -1)
        yield values


def write(folder, case):
    case.fit()
    for form, options in case.forms.items():
        model = exported(case, options)
        path = folder / "_".join(filter(None, [case.name, form]))
        path.mkdir(parents=True)
        (path / "model.onnx").write_bytes(model.SerializeToString())
        for position, values in enumerate(case.inputs()):
            save(path / f"input_{position}.pb", tensor(values))
        for position, values in enumerate(expected(case, model.graph)):
            save(path / f"output_{position}.pb", values)
        if form == "maps":
            save(path / "output_1_keys.pb", tensor(case.estimator.classes_))
        if case.vocabulary:
            save(path / "input_0_keys.pb", tensor(case.vocabulary(case.estimator)))


def prepare():
    warnings.simplefilter("ignore")
    onnx.helper.make_attribute = make_attribute
    # There are as many processes as cores.
    threadpoolctl.threadpool_limits(1)


def write_numbered(job):
    folder, number = job
    case = CASES[number]
    try:
        write(folder, case)
    except Exception as error:
        return f"{case.name}: {type(error).__name__}: {error}"
    return None


def main(folder):
    names = [case.name for case in CASES]
    twice = sorted(name for name in set(names) if names.count(name) > 1)
    assert not twice, f"several cases are called {twice}"
    jobs = [(folder, number) for number in range(len(names))]
    with multiprocessing.Pool(initializer=prepare) as pool:
        failures = list(filter(None, pool.imap_unordered(write_numbered, jobs)))
    for failure in failures:
        print(failure, file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))

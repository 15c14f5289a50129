"""Writes the backend test cases of the `onnx` package into a folder.

    python make.py FOLDER

The package carries four kinds of cases as files; those of single operators it
computes. All come out as FOLDER/KIND/NAME/model.onnx with the tensors of each
data set beside it.
"""

import pathlib
import shutil
import sys
import warnings

import numpy
import onnx
from onnx import numpy_helper
from onnx.backend.test.loader import DATA_DIR, load_model_tests

KINDS = ["pytorch-converted", "pytorch-operator", "simple"]


def message(value, declared):
    """A value of a data set as the protobuf message of its declared type."""
    if isinstance(value, onnx.TensorProto):
        return value
    name = declared.name
    if declared.type.HasField("map_type"):
        return numpy_helper.from_dict(value, name)
    if declared.type.HasField("sequence_type"):
        return numpy_helper.from_list(value, name)
    if declared.type.HasField("optional_type"):
        return numpy_helper.from_optional(value, name)
    return numpy_helper.from_array(numpy.asarray(value), name)


def write(case, folder):
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(case.model.SerializeToString())
    graph = case.model.graph
    for position, (inputs, outputs) in enumerate(case.data_sets):
        data_set = folder / f"test_data_set_{position}"
        data_set.mkdir()
        for role, values, declared in [
            ("input", inputs, graph.input),
            ("output", outputs, graph.output),
        ]:
            for index, (value, info) in enumerate(zip(values, declared)):
                path = data_set / f"{role}_{index}.pb"
                path.write_bytes(message(value, info).SerializeToString())


def main(target):
    # Overflowing casts and divisions by zero are what some cases are about.
    warnings.simplefilter("ignore")
    target.mkdir(parents=True)
    for kind in KINDS:
        shutil.copytree(pathlib.Path(DATA_DIR) / kind, target / kind)
    for case in load_model_tests(kind="node"):
        write(case, target / "node" / case.name)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))

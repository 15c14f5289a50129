"""Sessions over `wasi:nn`, computing through `lusk:scoring/direct`.

A call of the host costs a few microseconds, as much as a small model's inference. So
all tensors of a run go out in one call and come back with it.
"""

import os
from array import array as buffer_of
from math import prod
from struct import pack, unpack_from

import numpy
from componentize_py_types import Err
from numpy._array import make as from_buffer
from numpy._buffers import Objects
from wit_world.imports import direct, graph, model_info
from wit_world.imports.errors import ErrorCode

from onnxruntime._options import SessionOptions
from onnxruntime._signature import read_signature
from onnxruntime.capi import onnxruntime_pybind11_state as errors

_PROVIDER = "CPUExecutionProvider"

# The types of `direct` by their numbers, in numpy's names.
_CODES = {
    "float32": 1,
    "float64": 2,
    "int32": 3,
    "int64": 4,
    "uint8": 5,
    "bool": 6,
    "int8": 8,
    "int16": 9,
    "uint16": 10,
    "uint32": 11,
    "uint64": 12,
    "object": 13,
}
_OBJECT = numpy.dtype(object)
_DTYPES = {code: numpy.dtype(name) for name, code in _CODES.items()}
_KINDS = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(uint8)": "uint8",
    "tensor(bool)": "bool",
    "tensor(int8)": "int8",
    "tensor(int16)": "int16",
    "tensor(uint16)": "uint16",
    "tensor(uint32)": "uint32",
    "tensor(uint64)": "uint64",
    "tensor(string)": "object",
}
_KIND_NAMES = {name: kind for kind, name in _KINDS.items()}
_ERRORS = {
    ErrorCode.INVALID_ARGUMENT: errors.InvalidArgument,
    ErrorCode.INVALID_ENCODING: errors.InvalidProtobuf,
    ErrorCode.NOT_FOUND: errors.NoSuchFile,
    ErrorCode.UNSUPPORTED_OPERATION: errors.NotImplemented,
}


class NodeArg:
    """Name, type and shape of an input or output."""

    __slots__ = ("name", "type", "shape")

    def __init__(self, name, kind, shape):
        self.name = name
        self.type = kind
        self.shape = shape

    def __repr__(self):
        return f"NodeArg(name='{self.name}', type='{self.type}', shape={self.shape})"


class InferenceSession:
    """A loaded model."""

    def __init__(
        self,
        path_or_bytes,
        sess_options=None,
        providers=None,
        provider_options=None,
        **_options,
    ):
        self._options = sess_options or SessionOptions()
        if isinstance(path_or_bytes, bytes | bytearray | memoryview):
            loaded, inputs, outputs = _load_bytes(bytes(path_or_bytes))
        else:
            loaded, inputs, outputs = _load_file(os.fspath(path_or_bytes))
        self._graph = loaded
        self._context = _ask(loaded.init_execution_context)
        self._keys = {name: keys.value for name, keys in direct.maps(self._context)}
        self._inputs = inputs
        self._outputs = outputs
        self._by_name = {each.name: each for each in inputs}
        self._output_names = [each.name for each in outputs]
        self._output_kinds = {each.name: each.type for each in outputs}

    def get_inputs(self):
        """The inputs that a run needs."""
        return list(self._inputs)

    def get_outputs(self):
        """The outputs of a run."""
        return list(self._outputs)

    def get_providers(self):
        """The execution providers of this session."""
        return [_PROVIDER]

    def set_providers(self, providers=None, provider_options=None):
        """Accepted; which device computes is the service's setting."""

    def get_session_options(self):
        """The options that the session was made with."""
        return self._options

    def run(self, output_names, input_feed, run_options=None):
        """The outputs of that name, or all of them, for the inputs given by name."""
        feed = self._feed(input_feed)
        wanted = list(output_names) if output_names else self._output_names
        for name in wanted:
            if name not in self._output_kinds:
                raise ValueError(
                    f"the model has no output `{name}`; it has {', '.join(self._output_names)}"
                )
        try:
            computed = direct.compute(self._context, feed)
        except Err as failed:
            raise _error(failed.value.code, failed.value.text) from None
        arrays = _arrays(computed)
        if self._keys:
            named = zip(self._output_names, arrays)
            arrays = [_maps(each, self._keys[name]) if name in self._keys else each for name, each in named]
        if wanted is self._output_names:
            return arrays
        found = dict(zip(self._output_names, arrays))
        return [found[name] for name in wanted]

    def _feed(self, input_feed):
        missing = [name for name in self._by_name if name not in input_feed]
        if missing:
            raise ValueError(
                f"Required inputs ({missing}) are missing from input feed ({list(input_feed)})."
            )
        if len(input_feed) != len(self._by_name):
            stranger = next(name for name in input_feed if name not in self._by_name)
            raise ValueError(
                f"the model has no input `{stranger}`; it has {', '.join(self._by_name)}"
            )
        return b"".join([self._pack(input_feed[name], spec) for name, spec in self._by_name.items()])

    def _pack(self, value, spec):
        keys = self._keys.get(spec.name)
        if keys is None:
            return _packed(value, spec)
        return _packed_map(value, spec, keys)


def _load_file(path):
    if not os.path.isfile(path):
        raise errors.NoSuchFile(
            f"[ONNXRuntimeError] : 3 : NO_SUCHFILE : Load model from {path} failed:"
            "File doesn't exist"
        )
    name = os.path.abspath(path)
    loaded = _ask(graph.load_by_name, name)
    try:
        signature = model_info.describe(name)
    except Err as failed:
        raise errors.Fail(f"[ONNXRuntimeError] : 1 : FAIL : {failed.value}") from None
    return loaded, _node_args(signature.inputs), _node_args(signature.outputs)


def _load_bytes(content):
    inputs, outputs = read_signature(content)
    loaded = _ask(graph.load, [content], graph.GraphEncoding.ONNX, graph.ExecutionTarget.CPU)
    return (
        loaded,
        [NodeArg(*each) for each in inputs],
        [NodeArg(*each) for each in outputs],
    )


def _node_args(specs):
    return [
        NodeArg(spec.name, spec.kind, [None if extent < 0 else extent for extent in spec.shape])
        for spec in specs
    ]


def _ask(function, *arguments):
    try:
        return function(*arguments)
    except Err as failed:
        raise _translate(failed.value) from None


def _translate(error):
    return _error(error.code(), error.data())


def _error(code, text):
    kind = _ERRORS.get(code, errors.RuntimeException)
    return kind(f"[ONNXRuntimeError] : {code.name} : {text}")


def _packed_map(value, spec, keys):
    """A map as the row that the host takes: 0, or no text, for what it does not name."""
    if not isinstance(value, dict):
        raise errors.InvalidArgument(
            "[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : Unexpected input data type. "
            f"Actual: ({type(value).__name__}) , expected: ({spec.type})"
        )
    element = spec.type.rpartition(",")[2].removesuffix(")")
    absent = "" if element == "tensor(string)" else 0
    row = [value.get(key, absent) for key in keys]
    return _packed([row], NodeArg(spec.name, element, [1, len(keys)]))


def _maps(table, keys):
    """The rows of a table as maps."""
    return [dict(zip(keys, row)) for row in table.tolist()]


def _packed(value, spec):
    wanted = _KINDS.get(spec.type)
    if isinstance(value, numpy.ndarray):
        array = value
        if wanted is not None and array.dtype.name != wanted:
            actual = _KIND_NAMES.get(array.dtype.name, f"tensor({array.dtype.name})")
            raise errors.InvalidArgument(
                "[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : Unexpected input data type. "
                f"Actual: ({actual}) , expected: ({spec.type})"
            )
    else:
        array = numpy.array(value, dtype=wanted)
    code = _CODES.get(array.dtype.name)
    if code is None:
        raise errors.NotImplemented(f"input `{spec.name}`: arrays of {array.dtype.name}")
    shape = array.shape
    if len(shape) != len(spec.shape) or any(map(_differ, shape, spec.shape)):
        raise _misfit(shape, spec)
    rank = len(shape)
    return pack(f"<BBH{rank}I", code, rank, 0, *shape) + _elements(array)


def _elements(array):
    if array.dtype is not _OBJECT:
        return array.tobytes()
    texts = []
    for each in array.ravel().tolist():
        if not isinstance(each, str):
            raise errors.InvalidArgument(
                f"[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : {each!r} is no text"
            )
        text = each.encode()
        texts.append(pack("<I", len(text)) + text)
    return b"".join(texts)


def _differ(given, expected):
    return given != expected and isinstance(expected, int)


def _misfit(shape, spec):
    wanted = spec.shape
    if len(shape) != len(wanted):
        return errors.InvalidArgument(
            f"[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : Invalid rank for input: {spec.name} "
            f"Got: {len(shape)} Expected: {len(wanted)} Please fix either the inputs/outputs "
            "or the model."
        )
    index = next(place for place, pair in enumerate(zip(shape, wanted)) if _differ(*pair))
    return errors.InvalidArgument(
        "[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : Got invalid dimensions for input: "
        f"{spec.name} for the following indices index: {index} Got: {shape[index]} "
        f"Expected: {wanted[index]} Please fix either the inputs/outputs or the model."
    )


def _arrays(packed):
    arrays = []
    view = memoryview(packed)
    begin, end = 0, len(packed)
    while begin < end:
        dtype, rank = _DTYPES[packed[begin]], packed[begin + 1]
        shape = unpack_from(f"<{rank}I", packed, begin + 4)
        begin += 4 + 4 * rank
        if dtype is _OBJECT:
            texts, begin = _texts(view, begin, prod(shape))
            arrays.append(from_buffer(Objects(texts), shape, dtype))
            continue
        behind = begin + prod(shape) * dtype.itemsize
        buffer = buffer_of(dtype.code)
        buffer.frombytes(view[begin:behind])
        arrays.append(from_buffer(buffer, shape, dtype))
        begin = behind
    return arrays


def _texts(packed, begin, count):
    """So many texts, and where they end."""
    texts = []
    for _ in range(count):
        (length,) = unpack_from("<I", packed, begin)
        begin += 4
        texts.append(str(packed[begin : begin + length], "utf-8"))
        begin += length
    return texts, begin

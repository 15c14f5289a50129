"""Reads inputs and outputs out of an ONNX model's bytes.

A model that is given as bytes has no name by which the host could describe it.
Only the few fields of the protobuf that name inputs and outputs are read.
"""

from onnxruntime.capi.onnxruntime_pybind11_state import InvalidProtobuf

# Field numbers of onnx.proto.
_MODEL_GRAPH = 7
_GRAPH_INITIALIZER, _GRAPH_INPUT, _GRAPH_OUTPUT = 5, 11, 12
_TENSOR_NAME = 8
_VALUE_NAME, _VALUE_TYPE = 1, 2
_TYPE_TENSOR = 1
_TENSOR_ELEMENT, _TENSOR_SHAPE = 1, 2
_SHAPE_DIMENSION = 1
_DIMENSION_VALUE, _DIMENSION_NAME = 1, 2

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

_ELEMENTS = {
    1: "tensor(float)",
    2: "tensor(uint8)",
    3: "tensor(int8)",
    4: "tensor(uint16)",
    5: "tensor(int16)",
    6: "tensor(int32)",
    7: "tensor(int64)",
    8: "tensor(string)",
    9: "tensor(bool)",
    10: "tensor(float16)",
    11: "tensor(double)",
    12: "tensor(uint32)",
    13: "tensor(uint64)",
}


def read_signature(content):
    """Inputs and outputs as `(name, type, shape)`; a named extent stays a name."""
    try:
        graph = _first(memoryview(content), _MODEL_GRAPH)
        if graph is None:
            raise ValueError("there is no graph in it")
        fields = list(_fields(graph))
        weights = {_text(_first(each, _TENSOR_NAME)) for each in _all(fields, _GRAPH_INITIALIZER)}
        inputs = [_value(each) for each in _all(fields, _GRAPH_INPUT)]
        outputs = [_value(each) for each in _all(fields, _GRAPH_OUTPUT)]
    except (IndexError, TypeError, ValueError) as error:
        raise InvalidProtobuf(
            f"[ONNXRuntimeError] : 7 : INVALID_PROTOBUF : the bytes are no ONNX model: {error}"
        ) from None
    return [each for each in inputs if each[0] not in weights], outputs


def _value(message):
    name = _text(_first(message, _VALUE_NAME))
    kind = _first(message, _VALUE_TYPE)
    tensor = None if kind is None else _first(kind, _TYPE_TENSOR)
    if tensor is None:
        return name, "unknown", []
    element = _ELEMENTS.get(_first(tensor, _TENSOR_ELEMENT), "unknown")
    shape = _first(tensor, _TENSOR_SHAPE)
    dimensions = () if shape is None else _all(_fields(shape), _SHAPE_DIMENSION)
    return name, element, [_extent(each) for each in dimensions]


def _extent(message):
    for number, value in _fields(message):
        if number == _DIMENSION_VALUE:
            return value
        if number == _DIMENSION_NAME:
            return _text(value)
    return None


def _first(message, wanted):
    return next((value for number, value in _fields(message) if number == wanted), None)


def _all(fields, wanted):
    return [value for number, value in fields if number == wanted]


def _text(value):
    return "" if value is None else str(value, "utf-8")


def _fields(message):
    position = 0
    while position < len(message):
        tag, position = _varint(message, position)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value, position = _varint(message, position)
        elif wire == _BYTES:
            length, position = _varint(message, position)
            if position + length > len(message):
                raise ValueError("it ends too early")
            value = message[position : position + length]
            position += length
        elif wire in (_FIXED64, _FIXED32):
            size = 8 if wire == _FIXED64 else 4
            value = message[position : position + size]
            position += size
        else:
            raise ValueError(f"it has a field of the unknown wire type {wire}")
        yield number, value


def _varint(message, position):
    value = shift = 0
    while True:
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
        if shift > 63:
            raise ValueError("it has a number of more than 64 bits")

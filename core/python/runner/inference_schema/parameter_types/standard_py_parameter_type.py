"""Parameters of Python's own types."""

import base64
import datetime
import json
import re
import sys

from inference_schema.parameter_types.abstract_parameter_type import AbstractParameterType

_DATE = "%Y-%m-%d"
_DATE_TIME = "%Y-%m-%d %H:%M:%S.%f %z"
_TIME = "%H:%M:%S.%f %z"
_ZONE = re.compile(r" +([+-]\d\d:?\d\d|Z)$")


class StandardPythonParameterType(AbstractParameterType):
    """A number, text, bytes, date, time, list or dict; lists and dicts may nest parameter types."""

    def __init__(self, sample_input):
        super().__init__(sample_input)
        self.sample_data_type_map = {}
        self.sample_data_type_list = []
        if self.sample_data_type is dict:
            self.sample_data_type_map = {
                name: each
                for name, each in sample_input.items()
                if isinstance(each, AbstractParameterType)
            }
        elif self.sample_data_type in (list, tuple):
            self.sample_data_type_list = [
                each for each in sample_input if isinstance(each, AbstractParameterType)
            ]

    def deserialize_input(self, input_data):
        wanted = self.sample_data_type
        read = _READERS.get(wanted)
        value = input_data if read is None else read(input_data)
        if wanted is float and type(value) is int:
            return value
        if not isinstance(value, wanted):
            raise ValueError(
                f"the input is of type {type(value).__name__}, {wanted.__name__} is expected"
            )
        return value

    def input_to_swagger(self):
        if self.sample_input is None:
            raise ValueError("the sample of a parameter cannot be None")
        schema = _describe(self.sample_input)
        json.dumps(schema)
        return schema


def _read_date(text):
    return datetime.datetime.strptime(text, _DATE).date()


def _read_date_time(text):
    # The sample in the swagger document has a space before the zone.
    return datetime.datetime.fromisoformat(_iso(text))


def _read_time(text):
    if "-" in text[:5]:
        return _read_date_time(text).timetz()
    return datetime.time.fromisoformat(_iso(text))


def _iso(text):
    """`text` as `fromisoformat` takes it, which wants it exact before Python 3.11."""
    text = _ZONE.sub(r"\1", text)
    if sys.version_info >= (3, 11):
        return text
    text = re.sub(r"Z$", "+00:00", text)
    text = re.sub(r"([+-]\d\d)(\d\d)$", r"\1:\2", text) if ":" in text else text
    return re.sub(r"\.(\d+)", lambda found: f".{found[1]:0<6.6}", text)


def _read_bytes(text):
    return base64.b64decode(text.encode("utf-8"))


_READERS = {
    datetime.date: _read_date,
    datetime.datetime: _read_date_time,
    datetime.time: _read_time,
    bytes: _read_bytes,
    bytearray: lambda text: bytearray(_read_bytes(text)),
}


def _describe(sample):
    if isinstance(sample, AbstractParameterType):
        return sample.input_to_swagger()
    describe = _DESCRIBERS.get(type(sample))
    return {"type": "object", "example": sample} if describe is None else describe(sample)


def _describe_list(sample):
    items, examples = {"type": "object"}, []
    for each in sample:
        items = _describe(each)
        examples.append(items.pop("example"))
    return {"type": "array", "items": items, "example": examples}


def _describe_dict(sample):
    properties, examples = {}, {}
    for name, each in sample.items():
        schema = _describe(each)
        examples[name] = schema.pop("example")
        properties[name] = schema
    return {
        "type": "object",
        "required": list(sample),
        "properties": properties,
        "example": examples,
    }


def _describe_bytes(sample):
    return _text("byte", base64.b64encode(sample).decode("ascii"))


def _describe_date(sample):
    return _text("date", sample.strftime(_DATE))


def _describe_date_time(sample):
    return _text("date-time", _zoned(sample).strftime(_DATE_TIME))


def _describe_time(sample):
    return _text("time", _zoned(sample).strftime(_TIME))


def _zoned(sample):
    return sample if sample.tzinfo is not None else sample.replace(tzinfo=datetime.timezone.utc)


def _text(form, example):
    return {"type": "string", "format": form, "example": example}


_DESCRIBERS = {
    bool: lambda sample: {"type": "boolean", "example": sample},
    int: lambda sample: {"type": "integer", "format": "int64", "example": sample},
    float: lambda sample: {"type": "number", "format": "double", "example": sample},
    str: lambda sample: {"type": "string", "example": sample},
    bytes: _describe_bytes,
    bytearray: _describe_bytes,
    datetime.date: _describe_date,
    datetime.datetime: _describe_date_time,
    datetime.time: _describe_time,
    list: _describe_list,
    tuple: _describe_list,
    range: _describe_list,
    dict: _describe_dict,
}

"""Compares the carried `inference_schema` with the real one on samples and inputs.

Run with an interpreter that has both: `python compare_schema.py <runner folder>`.
"""

import datetime
import importlib
import importlib.util
import json
import sys
import warnings

warnings.simplefilter("ignore")

RUNNER = sys.argv[1]
MISSING = 77
if importlib.util.find_spec("inference_schema") is None:
    print("the environment has no inference-schema")
    sys.exit(MISSING)

NAMES = (
    "numpy",
    "inference_schema.schema_decorators",
    "inference_schema.schema_util",
    "inference_schema.parameter_types.numpy_parameter_type",
    "inference_schema.parameter_types.standard_py_parameter_type",
)


class Side:
    """One of the two implementations."""

    def __init__(self):
        self.np, decorators, self.util, arrays, standard = map(importlib.import_module, NAMES)
        self.input_schema = decorators.input_schema
        self.output_schema = decorators.output_schema
        self.Array = arrays.NumpyParameterType
        self.Plain = standard.StandardPythonParameterType


sys.path.insert(0, RUNNER)
ours = Side()
for name in list(sys.modules):
    if name.partition(".")[0] in ("numpy", "inference_schema"):
        del sys.modules[name]
sys.path.remove(RUNNER)
real = Side()
assert ours.np.__file__ != real.np.__file__

# The original writes the truth values of a sample as text, and guesses at dates that are not ISO.
SCHEMA_DIFFERS = {"bools"}
GUESSED = {("datetime", "1"), ("datetime", "03:04:05"), ("datetime", "03:04:05.000000 +0100"),
           ("time", "1"), ("time", "2020-01-02")}  # fmt: skip

SAMPLES = {
    "float": lambda s: s.Plain(1.5),
    "int": lambda s: s.Plain(3),
    "bool": lambda s: s.Plain(True),
    "text": lambda s: s.Plain("abc"),
    "bytes": lambda s: s.Plain(b"abc"),
    "list": lambda s: s.Plain([1, 2, 3]),
    "mixed list": lambda s: s.Plain([1, "a"]),
    "empty list": lambda s: s.Plain([]),
    "dict": lambda s: s.Plain({"a": 1, "b": {"c": [1.5]}}),
    "date": lambda s: s.Plain(datetime.date(2020, 1, 2)),
    "datetime": lambda s: s.Plain(datetime.datetime(2020, 1, 2, 3, 4, 5)),
    "time": lambda s: s.Plain(datetime.time(3, 4, 5)),
    "nested dict": lambda s: s.Plain({"data": s.Array(s.np.array([[1.0, 2.0]])), "n": s.Plain(1)}),
    "nested list": lambda s: s.Plain([s.Array(s.np.array([1, 2]))]),
    "array": lambda s: s.Array(s.np.array([[1.0, 2.0], [3.0, 4.0]])),
    "float32": lambda s: s.Array(s.np.array([[1, 2]], dtype=s.np.float32)),
    "int array": lambda s: s.Array(s.np.array([1, 2, 3])),
    "bools": lambda s: s.Array(s.np.array([True, False])),
    "deep": lambda s: s.Array(s.np.zeros((1, 2, 2), dtype=s.np.uint8)),
    "any shape": lambda s: s.Array(s.np.array([[1.0, 2.0]]), enforce_shape=False),
    "any type": lambda s: s.Array(s.np.array([[1.0, 2.0]]), enforce_column_type=False),
}
INPUTS = [
    1, 1.5, "1", "abc", True, None, [], [1, 2], [[1, 2]], [[1, 2, 3]], [[1.5, 2]], [[1], [2, 3]],
    [["a", "b"]], {}, {"a": 1}, {"data": [[1, 2], [3, 4]], "n": 2, "more": 1}, {"data": [1]}, [[1, 2], [3, 4]],
    [True, False], "2020-01-02", "2020-01-02T03:04:05", "2020-01-02 03:04:05+01:00", "03:04:05", "YWJj",
    "2020-01-02 03:04:05.000006 +0000", "03:04:05.000000 +0100",
    [[[1, 2], [3, 4]]], [[[1, 2]]], [[300, 1]], [1.0, 2.0], [[None, 1.0]],
]  # fmt: skip


def plain(value, np):
    if isinstance(value, np.ndarray):
        # Arrays of texts are arrays of objects where there is no type of texts.
        name = "text" if value.dtype.kind in "OU" else value.dtype.name
        return ["array", name, list(value.shape), value.tolist()]
    if isinstance(value, datetime.datetime | datetime.time):
        return value.isoformat()
    if isinstance(value, dict):
        return {name: plain(each, np) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each, np) for each in value]
    return value


def converted(side, make, value):
    @side.input_schema("data", make(side))
    def run(data):
        return data

    try:
        return "value", repr(plain(run(data=json.loads(json.dumps(value))), side.np))
    except NotImplementedError as error:
        return "missing", str(error)
    except Exception as error:
        return "raised", f"{type(error).__name__}: {error}"


def schemas(side, make):
    if side is real:
        real.util.__functions_schema__.clear()  # it knows functions by their names

    @side.input_schema("data", make(side))
    @side.input_schema("factor", side.Plain(2))
    @side.output_schema(make(side))
    def run(data, factor, other=1):
        return data

    return [side.util.get_input_schema(run), side.util.get_output_schema(run)]


def decorated(side):
    if side is real:
        real.util.__functions_schema__.clear()

    def plain_run(raw):
        return raw

    both = side.input_schema("raw", side.Plain(1))(side.output_schema(side.Plain(1))(plain_run))
    return [side.util.is_schema_decorated(plain_run) if side is ours else False,
            side.util.is_schema_decorated(both)]  # fmt: skip


wrong = 0
for label, make in SAMPLES.items():
    if label == "date":  # its conversion raises in the original before Python 3.14
        continue
    one, two = schemas(ours, make), schemas(real, make)
    if label not in SCHEMA_DIFFERS and json.dumps(one, sort_keys=True) != json.dumps(
        two, sort_keys=True
    ):
        wrong += 1
        print(f"{label}: schema\n  ours {one}\n  real {two}")
    for value in INPUTS:
        mine, theirs = converted(ours, make, value), converted(real, make, value)
        guessed = (label, value) in GUESSED if isinstance(value, str) else False
        if guessed or mine[0] == "missing" or mine == theirs or (mine[0] == theirs[0] == "raised"):
            continue
        wrong += 1
        print(f"{label}: {value!r}\n  ours {mine}\n  real {theirs}")
if decorated(ours) != decorated(real):
    wrong += 1
    print(f"is_schema_decorated: {decorated(ours)} {decorated(real)}")
print(f"{len(SAMPLES) * (len(INPUTS) + 1)} comparisons, {wrong} differ")
sys.exit(1 if wrong else 0)

"""Compares the carried subset with the real numpy on random cases.

Run with an interpreter that has numpy: `python compare_numpy.py <runner folder> [cases] [seed]`.
A case may end in NotImplementedError; it may not end in another answer.
"""

import math
import random
import sys
import warnings
from collections import Counter

warnings.simplefilter("ignore")

RUNNER = sys.argv[1]
CASES = int(sys.argv[2]) if len(sys.argv) > 2 else 200
SEED = int(sys.argv[3]) if len(sys.argv) > 3 else 1

sys.path.insert(0, RUNNER)
import numpy as ours  # noqa: E402

for name in [each for each in sys.modules if each == "numpy" or each.startswith("numpy.")]:
    del sys.modules[name]
sys.path.remove(RUNNER)
import numpy as real  # noqa: E402

assert ours.__version__.endswith("lusk") and not real.__version__.endswith("lusk")

DTYPES = ["bool", "int8", "uint8", "int32", "int64", "float32", "float64"]
rng = random.Random(SEED)
skipped = Counter()
failures = []


def values(kind, count):
    if kind == "bool":
        return [rng.random() < 0.5 for _ in range(count)]
    if kind == "uint8":
        return [rng.choice([0, 1, 2, 3, 200, 255, rng.randrange(256)]) for _ in range(count)]
    if kind == "int8":
        return [rng.choice([0, 1, -1, 127, -128, rng.randrange(-128, 128)]) for _ in range(count)]
    if kind.startswith("int"):
        return [rng.choice([0, 1, -1, 2, 7, rng.randrange(-1000, 1000)]) for _ in range(count)]
    special = [0.0, 1.0, -1.0, 0.5, 2.0, -0.0]
    if rng.random() < 0.15:
        special += [math.inf, -math.inf, math.nan, 1e300, 1e-300]
    picked = [rng.choice([*special, rng.uniform(-10, 10), rng.gauss(0, 1)]) for _ in range(count)]
    return [float(real.float32(value)) for value in picked] if kind == "float32" else picked


def shape_of(dims=None):
    dims = rng.choice([0, 1, 1, 2, 2, 3]) if dims is None else dims
    return tuple(rng.choice([1, 1, 2, 3, 4]) for _ in range(dims))


def pair(shape=None, kind=None):
    """The same array from both, sometimes as a view that is not dense."""
    shape = shape_of() if shape is None else shape
    kind = rng.choice(DTYPES) if kind is None else kind
    flat = values(kind, math.prod(shape))
    both = [np.array(flat, dtype=kind).reshape(shape) for np in (ours, real)]
    if shape and rng.random() < 0.3:
        turned = list(reversed(range(len(shape))))
        both = [each.transpose(turned).copy().transpose(turned) for each in both]
    if shape and rng.random() < 0.2:
        both = [each[::-1] for each in both]
    return both


def operand(partner_shape):
    """An operand that may be an array, a scalar of numpy, or a number."""
    choice = rng.random()
    if choice < 0.5:
        shape = tuple(rng.choice([extent, 1]) for extent in partner_shape)
        return pair(shape[rng.randrange(len(shape) + 1) :])
    if choice < 0.65:
        kind = rng.choice(DTYPES)
        value = values(kind, 1)[0]
        return [getattr(np, "bool_" if kind == "bool" else kind)(value) for np in (ours, real)]
    value = rng.choice([0, 1, 2, 3, -1, 7, 0.5, 1.5, -2.25, True, 300, 1e10])
    return [value, value]


def plain(result):
    if isinstance(result, tuple | list):
        return [plain(each) for each in result]
    if hasattr(result, "tolist"):
        name = getattr(result.dtype, "name", str(result.dtype))
        return (name, tuple(result.shape), flatten(result.tolist()))
    return result


def flatten(nested):
    if isinstance(nested, list):
        return [each for part in nested for each in flatten(part)]
    return [nested]


def same(one, two, exact):
    if isinstance(one, list) and isinstance(two, list):
        return len(one) == len(two) and all(map(same, one, two, [exact] * len(one)))
    if isinstance(one, tuple) and isinstance(two, tuple):
        if one[:2] != two[:2]:
            return False
        tolerance = 0 if exact else 4e-6 if one[0] == "float32" else 1e-11
        return all(close(a, b, tolerance) for a, b in zip(one[2], two[2], strict=True))
    return type(one) is type(two) and (one == two or one != one and two != two)


def close(a, b, tolerance):
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        if a != a or b != b:
            return a != a and b != b
        if math.isinf(a) or math.isinf(b):
            return a == b
        return abs(a - b) <= tolerance * max(1.0, abs(a), abs(b))
    return a == b


def attempt(function, np, arguments):
    try:
        return "value", plain(function(np, *arguments))
    except NotImplementedError as error:
        return "missing", str(error)
    except Exception as error:
        return "raised", f"{type(error).__name__}: {error}"


def check(label, function, *pairs, exact=False):
    mine = attempt(function, ours, [each[0] for each in pairs])
    theirs = attempt(function, real, [each[1] for each in pairs])
    if mine[0] == "missing":
        skipped[label] += 1
        return
    agree = mine[0] == theirs[0] and (mine[0] == "raised" or same(mine[1], theirs[1], exact))
    if not agree:
        shown = ", ".join(repr(each[1]) for each in pairs)
        failures.append(f"{label}({shown})\n  ours {mine}\n  real {theirs}")


BINARY = (
    "add subtract multiply true_divide floor_divide remainder maximum minimum equal not_equal less "
    "less_equal greater greater_equal logical_and logical_or logical_xor bitwise_and bitwise_or "
    "bitwise_xor power isclose arctan2"
).split()
UNARY = (
    "exp log log2 log10 log1p expm1 sqrt absolute negative square sign floor ceil trunc rint sin cos "
    "tan tanh sinh cosh arctan isnan isinf isfinite logical_not invert cbrt reciprocal"
).split()
REDUCTIONS = "sum prod mean std var min max argmin argmax any all ptp median count_nonzero".split()


def binary():
    name = rng.choice(BINARY)
    one = pair()
    two = operand(one[1].shape)
    if rng.random() < 0.3:
        one, two = two, one
    check(name, lambda np, a, b: getattr(np, name)(a, b), one, two)


def operators():
    one = pair()
    two = operand(one[1].shape)
    sign = rng.choice(
        ["+", "-", "*", "/", "//", "%", "<", "<=", ">", ">=", "==", "!=", "&", "|", "^"]
    )
    text = f"a {sign} b" if rng.random() < 0.7 else f"b {sign} a"
    check(text, lambda np, a, b: eval(text), one, two)


def in_place():
    one = pair(shape_of(rng.choice([1, 2])))
    two = operand(one[1].shape)
    sign = rng.choice(["+=", "-=", "*=", "/=", "//=", "&="])

    def run(np, a, b):
        a, scope = a.copy(), {}
        view = a[0]
        scope.update(a=a, b=b)
        exec(f"a {sign} b", scope)
        return [scope["a"], view]

    check(sign, run, one, two)


def unary():
    name = rng.choice(UNARY)
    check(name, lambda np, a: getattr(np, name)(a), pair())


def reduction():
    name = rng.choice(REDUCTIONS)
    a = pair(shape_of(rng.choice([1, 2, 3])))
    axis = rng.choice([None, -1, 0, 1, 2])
    options = {"axis": axis}
    if name not in ("count_nonzero",) and rng.random() < 0.3:
        options["keepdims"] = True
    if name in ("std", "var") and rng.random() < 0.3:
        options["ddof"] = 1
    if real.isinf(a[1].astype(float)).any() and name in ("std", "var", "mean", "sum", "median"):
        return
    if real.abs(a[1].astype(float)).max() > 1e30:
        return
    check(name, lambda np, x: getattr(np, name)(x, **options), a)


def index():
    a = pair(shape_of(rng.choice([1, 2, 3])))
    key_text = ", ".join(
        one_index(extent) for extent in a[1].shape[: rng.randrange(1, a[1].ndim + 1)]
    )
    if rng.random() < 0.15:
        key_text += ", ..."
    if rng.random() < 0.15:
        key_text = "None, " + key_text
    text = f"a[{key_text}]"
    check(text, lambda np, a: eval(text, {"np": np, "a": a}), a, exact=True)
    value = rng.choice(
        ["1", "0", "a.ravel()[0]", f"{text} + {text}" if a[1].dtype != bool else "1"]
    )

    def put(np, a):
        a = a.copy()
        exec(f"{text} = {value}", {"np": np, "a": a})
        return a

    if "[[0, 0]" not in text:
        check(f"{text} = {value}", put, a, exact=True)


def one_index(extent):
    choice = rng.random()
    if choice < 0.3:
        return str(rng.randrange(-extent, extent))
    if choice < 0.65:
        ends = [rng.choice(["", str(rng.randrange(-extent - 1, extent + 2))]) for _ in range(2)]
        step = rng.choice(["", ":1", ":2", ":-1"])
        return f"{ends[0]}:{ends[1]}{step}"
    if choice < 0.8:
        return str(rng.sample(range(extent), rng.randrange(1, extent + 1)))
    if choice < 0.95:
        return f"np.array({[rng.random() < 0.5 for _ in range(extent)]})"
    return str(extent + 1)


def views():
    """Writes through views are seen on both sides."""
    a = pair(shape_of(2), rng.choice(["float32", "int64"]))
    make_view = rng.choice(
        [
            "a[0]",
            "a[:, 0]",
            "a.T",
            "a.reshape(-1)",
            "a.ravel()",
            "a[::-1]",
            "a[None]",
            "a.squeeze()",
            "np.expand_dims(a, 1)",
            "a.T.reshape(-1)",
            "a.flatten()",
            "a[[0]]",
            "a.swapaxes(0, 1)[0:1]",
            "a.astype(a.dtype)",
            "np.asarray(a)",
            "np.array(a)",
            "a[a > 0]",
            "a.reshape(a.shape[::-1])",
        ]
    )

    def run(np, a):
        a = a.copy()
        view = eval(make_view, {"np": np, "a": a})
        if view.size:
            view[...] = 7
        else:
            view = view.copy()
        after = a.copy()
        a[...] = 9
        return [after, view]

    check(f"{make_view} as view", run, a, exact=True)


def shaping():
    a = pair()
    text = rng.choice(
        [
            "a.reshape(-1)",
            "a.reshape((-1, 1))",
            "a.T",
            "np.squeeze(a)",
            "np.expand_dims(a, 0)",
            "np.expand_dims(a, -1)",
            "a.flatten()",
            "np.atleast_2d(a)",
            "np.tile(a, 2)",
            "np.tile(a, (2, 2))",
            "np.repeat(a, 2)",
            "np.repeat(a, 2, axis=0)",
            "np.flip(a)",
            "a.astype(np.float32)",
            "a.astype(int)",
            "a.astype('uint8')",
            "a.astype(bool)",
            "np.zeros_like(a)",
            "np.ones_like(a)",
            "np.full_like(a, 3)",
            "a.copy()",
            "np.sort(a)",
            "np.sort(a, axis=0)",
            "np.sort(a, axis=None)",
            "a.argsort(kind='stable')",
            "np.cumsum(a)",
            "np.cumsum(a, axis=0)",
            "np.unique(a)",
            "np.diff(a)",
            "np.where(a > 0, a, 0)",
            "np.where(a > 0)",
            "np.where(a > 0, 1.5, a)",
            "np.nonzero(a)",
            "np.clip(a, 0, 1)",
            "a.clip(-1, 2)",
            "np.round(a, 2)",
            "np.round(a)",
            "a.round(1)",
            "np.split(a, 1)",
            "a.tolist()",
            "a.size",
            "a.ndim",
            "a.nbytes",
            "len(a)",
            "a.strides",
            "a.item()",
            "bool(a)",
            "float(a.ravel()[0])",
            "a.tobytes()",
            "np.moveaxis(a, 0, -1)",
            "np.average(a)",
            "np.argwhere(a)",
            "np.broadcast_to(a, (2,) + a.shape)",
            "np.swapaxes(a, 0, -1)",
            "np.stack([a, a])",
            "np.linalg.norm(a)",
            "np.outer(a, a)",
            "3 in a",
            "np.array(list(a))",
            "np.array([a, a])",
            "np.isscalar(a)",
        ]
    )
    if real.isnan(a[1].astype(float)).any() and ("astype" in text or "unique" in text):
        return
    if "astype" in text and real.abs(a[1].astype(float)).max(initial=0) > 1e9:
        return
    if ("norm" in text or "average" in text or "cumsum" in text) and not (
        real.abs(a[1].astype(float)) < 1e20
    ).all():
        return
    check(text, lambda np, a: eval(text, {"np": np, "a": a}), a)


def joining():
    shape = shape_of(rng.choice([1, 2]))
    one, two = pair(shape), pair(shape)
    text = rng.choice(
        [
            "np.concatenate([a, b])",
            "np.concatenate([a, b], axis=-1)",
            "np.stack([a, b], axis=-1)",
            "np.vstack([a, b])",
            "np.hstack([a, b])",
            "np.append(a, b)",
            "np.column_stack([a, b])",
            "np.concatenate([a, b], axis=None)",
            "np.array([a, b])",
            "np.array_equal(a, b)",
            "np.where(a > b, a, b)",
            "np.allclose(a, b)",
            "np.result_type(a, b).name",
        ]
    )
    check(text, lambda np, a, b: eval(text, {"np": np, "a": a, "b": b}), one, two)


def products():
    inner = rng.choice([1, 2, 3, 5])
    left = rng.choice([(inner,), (2, inner), (3, inner)])
    right = rng.choice([(inner,), (inner, 2), (inner, 4), (inner + 1,)])
    kinds = [kind for kind in DTYPES if kind != "int8"]
    one, two = pair(left, rng.choice(kinds)), pair(right, rng.choice(kinds))
    big = [real.abs(each[1].astype(float)).max(initial=0) for each in (one, two)]
    if not all(value < 1e18 for value in big):
        return
    text = rng.choice(["a @ b", "np.dot(a, b)", "a.dot(b)", "np.matmul(a, b)"])
    check(text, lambda np, a, b: eval(text, {"np": np, "a": a, "b": b}), one, two)


def creating():
    start, stop = rng.randrange(-5, 5), rng.randrange(-5, 12)
    step = rng.choice([1, 2, 3, 0.5, 0.25, -1])
    nested = [[rng.choice([1, 2.5, True, -3]) for _ in range(3)] for _ in range(2)]
    text = rng.choice(
        [
            f"np.arange({start}, {stop}, {step})",
            f"np.arange({stop})",
            f"np.linspace({start}, {stop}, {rng.randrange(0, 7)})",
            f"np.linspace({start}, {stop}, 5, endpoint=False)",
            f"np.array({nested})",
            f"np.array({nested}, dtype=np.float32)",
            f"np.array({nested}, dtype=int)",
            f"np.array({nested}, dtype=bool)",
            "np.zeros((2, 3))",
            "np.ones(3, dtype=np.int32)",
            "np.full((2, 2), 1.5)",
            "np.full(3, 2)",
            "np.eye(3)",
            "np.eye(2, 3, 1)",
            "np.identity(2)",
            "np.array([[1, 2], [3]])",
            "np.array(5)",
            "np.array([])",
            "np.array([[]])",
            "np.array(1.5).item()",
            "np.array([300], dtype=np.uint8)",
            "np.array(['1.5', '2'], dtype=float)",
            "np.array([None, 1.0], dtype=float)",
            "np.asarray((1, 2, 3))",
            "np.array(range(4))",
            "np.array([[1, 2]], ndmin=3)",
            "np.frombuffer(b'\\x00\\x00\\x80?' * 3, dtype=np.float32)",
            "np.array([np.float32(1), 2])",
            "np.array([np.float32(1), np.float32(2)])",
            "np.array([np.array([1, 2]), [3, 4]])",
            "np.float32(2.5)",
            "np.int64(7)",
            "np.float32([1, 2])",
            "np.bincount([0, 1, 1, 3])",
            "np.dtype('float32').name",
            "np.dtype(int).str",
            "np.dtype(np.uint8).kind",
            "np.float32 == np.dtype('float32')",
            "np.issubdtype(np.float32, np.floating)",
            "np.issubdtype(np.array([1]).dtype, np.integer)",
            "isinstance(np.float64(1), float)",
            "isinstance(np.float32(1), float)",
            "isinstance(np.array(1)[()], np.generic)",
            "np.finfo(np.float32).eps.item()",
            "np.finfo(float).max.item()",
            "np.iinfo(np.int8).max",
            "np.zeros(0).sum()",
            "np.zeros((0, 3)).sum(axis=0)",
            "np.zeros(0).max()",
            "np.zeros((2, 0)).shape",
            "np.zeros((0, 3)).tolist()",
            "np.zeros(0).mean()",
            "[len(np.zeros((0, 3))), np.zeros((0, 3)).size]",
        ]
    )
    if text.startswith("isinstance(np.float32(1)"):
        return  # float32 derives from float here, so that it can be written as JSON
    check(text, lambda np: eval(text, {"np": np}), exact="linspace" not in text)


def scalars():
    kind = rng.choice(["float32", "float64", "int64", "int32", "uint8", "bool_"])
    value = values(kind.rstrip("_"), 1)[0]
    other = rng.choice([2, 0.5, 3, 0.1, True])
    text = rng.choice(
        [
            "s + o",
            "o + s",
            "s * o",
            "s - o",
            "o - s",
            "s / o",
            "s // o",
            "s % o",
            "s < o",
            "s == o",
            "s >= o",
            "-s",
            "abs(s)",
            "s.item()",
            "s.dtype.name",
            "str(s)",
            "repr(s)",
            "f'{s}'",
            "hash(s) == hash(s.item())",
            "bool(s)",
            "s.shape",
            "s.astype(np.float32)",
            "np.exp(s)",
            "s == s",
            "s + s",
            "s * s",
            "int(s)",
            "float(s)",
            "round(s)",
            "round(s, 2)",
            "s.tolist()",
            "s ** 2",
            "s in [s]",
            "f'{s:.3}'",
            "[s]",
            "s.sum()",
            "s.mean()",
        ]
    )
    if type(other) is not int and kind[0] in "iu" and text.startswith("o "):
        return  # integer scalars derive from int here, so Python computes it: a plain number
    scope = {"o": other}

    def run(np):
        result = eval(text, {**scope, "np": np, "s": getattr(np, kind)(value)})
        return repr(result) if text == "[s]" else result

    check(f"{text} with s = {kind}({value}), o = {other}", run)


def printing():
    a = pair(kind=rng.choice(["bool", "int64", "uint8", "float32", "float64"]))
    if rng.random() < 0.3:
        count = rng.choice([20, 60, 1200])
        a = pair((count,), rng.choice(["int64", "float32", "float64"]))
    if rng.random() < 0.05:
        a = pair((40, 40), rng.choice(["int64", "float32"]))
    check("str", lambda np, a: str(a), a)
    check("repr", lambda np, a: repr(a), a)


def objects():
    """Labels and words: arrays of objects, which are moved and compared but not computed with."""
    shape = shape_of(rng.choice([1, 2]))
    words = [rng.choice(["", "a", "bb", "\u010d", None]) for _ in range(math.prod(shape))]
    a = [np.array(words, dtype=object).reshape(shape) for np in (ours, real)]
    text = rng.choice(
        [
            "a[0]",
            "a[-1:]",
            "a[a == 'a']",
            "a == 'bb'",
            "'a' != a",
            "a == a[0]",
            "a.T.copy()",
            "a.reshape(-1)",
            "np.concatenate([a, a])",
            "np.stack([a, a])",
            "np.where(a == 'a')[0]",
            "a.astype(object)",
            "a.dtype == object",
            "[each for each in a.ravel()]",
            "np.array(a.tolist(), dtype=object)",
            "repr(a)",
        ]
    )
    check(text, lambda np, a: eval(text, {"np": np, "a": a}), a, exact=True)


GROUPS = [
    binary,
    operators,
    in_place,
    unary,
    reduction,
    index,
    views,
    shaping,
    joining,
    products,
    creating,
    scalars,
    printing,
    objects,
]
for group in GROUPS:
    for _ in range(CASES):
        group()

kinds = Counter(failure.split("(", 1)[0] for failure in failures)
for failure in failures[:25]:
    print("\n".join(line[:300] for line in failure.splitlines()))
total = CASES * len(GROUPS)
print(f"{total} cases, {sum(skipped.values())} not carried, {len(failures)} wrong: {dict(kinds)}")
sys.exit(1 if failures else 0)

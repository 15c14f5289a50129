"""Element-wise operations, with numpy's types of results, and the matrix product."""

import math
import operator
from array import array as buffer_of
from itertools import starmap

from numpy import _dtypes, _scalars, _storage
from numpy._array import make, ndarray
from numpy._dtypes import BOOL, FLOAT32, FLOAT64, INT64
from numpy._indexing import iterate, nonzero
from numpy._missing import missing
from numpy._shaping import asarray, broadcast_to

as_array = asarray

_NAN = math.nan
_INF = math.inf


# Operands: what each side is, and which type the result has.


def _operand(value):
    """An operand as (array or None, plain number or None, type); numbers of Python adapt."""
    if isinstance(value, ndarray):
        return value, None, value.dtype
    if isinstance(value, _scalars.generic):
        return None, value.item(), value.dtype
    if isinstance(value, bool):
        return None, value, BOOL
    if isinstance(value, int | float):
        return None, value, None
    if isinstance(value, str) or value is None:
        return None, value, _dtypes.OBJECT
    value = asarray(value)
    return value, None, value.dtype


def _common(first, second, left, right):
    """The type that both operands are computed in."""
    if first is not None and second is not None:
        return _dtypes.promote(first, second)
    if first is None and second is None:
        both = isinstance(left, int) and isinstance(right, int)
        return INT64 if both else FLOAT64
    kind, plain = (first, right) if second is None else (second, left)
    if kind is _dtypes.OBJECT:
        return kind
    if isinstance(plain, float):
        return kind if kind.kind == "f" else FLOAT64
    return INT64 if kind is BOOL else kind


def _values(array_, plain, own, kind):
    """The elements of an operand as type `kind`, or one number."""
    if array_ is None:
        if own is not None and own.kind == "f" and kind is FLOAT64:
            return plain
        return _dtypes.checked(plain, kind)
    return _dtypes.convert(array_._data(), own, kind)


def _binary(compute, left, right, result=None, kind_of=None, allowed="biuf", name=""):
    first, left_plain, left_kind = _operand(left)
    second, right_plain, right_kind = _operand(right)
    kind = _common(left_kind, right_kind, left_plain, right_plain)
    if kind.kind not in allowed:
        raise TypeError(f"ufunc '{name}' not supported for the input types ({kind.name})")
    if kind_of is not None:
        kind = kind_of(kind)
    target = kind if result is None else result
    shape, one, two = _aligned(first, second)
    a = _values(one, left_plain, left_kind, kind)
    b = _values(two, right_plain, right_kind, kind)
    count = math.prod(shape)
    if one is None:
        a = (a,) * count
    if two is None:
        b = (b,) * count
    data = _dtypes.store(compute(a, b), target)
    if shape or first is not None and first.ndim or second is not None and second.ndim:
        return make(data, shape, target)
    return _scalars.wrap(data[0], target)


def _aligned(first, second):
    """The common shape, and both arrays spread over it."""
    if first is None and second is None:
        return (), None, None
    if first is None:
        return second._shape, None, second
    if second is None:
        return first._shape, first, None
    if first._shape == second._shape:
        return first._shape, first, second
    shape = _storage.broadcast_shapes(first._shape, second._shape)
    return shape, broadcast_to(first, shape), broadcast_to(second, shape)


def _mapped(function):
    return lambda a, b: list(map(function, a, b))


def _no_bool(name):
    def kind_of(kind):
        if kind is BOOL:
            raise TypeError(
                f"numpy boolean {name}, the `-` operator, is not supported, "
                "use the bitwise_xor, the `^` operator, or the logical_xor function instead."
            )
        return kind

    return kind_of


def _divided_kind(kind):
    return kind if kind.kind == "f" else FLOAT64


def _whole_kind(kind):
    return _dtypes.INT8 if kind is BOOL else kind


# Functions of two numbers that never raise, for the cases where Python's own do.


def divide_numbers(a, b):
    if b:
        return a / b
    if a == 0 or a != a or b != b:
        return _NAN
    return math.copysign(_INF, a) * math.copysign(1.0, b)


def _floordivide_numbers(a, b):
    if isinstance(a, int):
        return a // b if b else 0
    if not b:
        return divide_numbers(a, b)
    if math.isinf(a):
        return _NAN
    return a // b


def _remainder_one(a, b):
    if isinstance(a, int):
        return a % b if b else 0
    if not b or math.isinf(a):
        return _NAN
    return a % b


def _power_one(a, b):
    try:
        return math.pow(a, b)
    except OverflowError:
        return -_INF if a < 0 and b % 2 == 1 else _INF
    except ValueError:
        if a == 0:
            return math.copysign(_INF, a) if b % 2 == 1 else _INF
        return _NAN


def _divide(a, b):
    try:
        return list(map(operator.truediv, a, b))
    except ZeroDivisionError:
        return list(map(divide_numbers, a, b))


def _power(kind):
    if kind.kind == "f":
        return _mapped(_power_one)
    bits = 8 * kind.itemsize

    def whole(a, b):
        if any(exponent < 0 for exponent in b):
            raise ValueError("Integers to negative integer powers are not allowed.")
        return [pow(base, exponent, 1 << bits) for base, exponent in zip(a, b, strict=True)]

    return whole


def _greater_one(a, b):
    return a if a >= b or a != a else b


def _smaller_one(a, b):
    return a if a <= b or a != a else b


# Arithmetic.


def add(x1, x2):
    """The sum."""
    kind = _kind_of(x1, x2)
    return _binary(_mapped(operator.or_ if kind is BOOL else operator.add), x1, x2)


def subtract(x1, x2):
    """The difference."""
    return _binary(_mapped(operator.sub), x1, x2, kind_of=_no_bool("subtract"))


def multiply(x1, x2):
    """The product of the elements."""
    kind = _kind_of(x1, x2)
    return _binary(_mapped(operator.and_ if kind is BOOL else operator.mul), x1, x2)


def true_divide(x1, x2):
    """The quotient, as floats."""
    return _binary(_divide, x1, x2, kind_of=_divided_kind)


def floor_divide(x1, x2):
    """The quotient, rounded down."""
    return _binary(_mapped(_floordivide_numbers), x1, x2, kind_of=_whole_kind)


def remainder(x1, x2):
    """What is left after division; it has the divisor's sign."""
    return _binary(_mapped(_remainder_one), x1, x2, kind_of=_whole_kind)


def power(x1, x2):
    """The power."""
    kind = _whole_kind(_kind_of(x1, x2))
    return _binary(_power(kind), x1, x2, kind_of=_whole_kind)


def float_power(x1, x2):
    """The power, in double precision."""
    return power(asarray(x1).astype(FLOAT64), asarray(x2).astype(FLOAT64))


def maximum(x1, x2):
    """The larger element; NaN where either is NaN."""
    return _binary(_mapped(_greater_one), x1, x2)


def minimum(x1, x2):
    """The smaller element; NaN where either is NaN."""
    return _binary(_mapped(_smaller_one), x1, x2)


def arctan2(x1, x2):
    """The angle of the point (x2, x1)."""
    return _float_pair(math.atan2, x1, x2)


def hypot(x1, x2):
    """The length of the hypotenuse."""
    return _float_pair(math.hypot, x1, x2)


def _float_pair(function, x1, x2):
    kinds = [kind for kind in (_operand(x1)[2], _operand(x2)[2]) if kind is not None]
    if kinds and all(kind.itemsize == 1 for kind in kinds):
        raise missing("the data type float16 (the result for 8-bit integers)")
    return _binary(_mapped(function), x1, x2, kind_of=_float_kind)


def _kind_of(left, right):
    _, left_plain, left_kind = _operand(left)
    _, right_plain, right_kind = _operand(right)
    return _common(left_kind, right_kind, left_plain, right_plain)


# Comparisons and logic.


def _comparison(function, doc):
    def compare(x1, x2):
        first, left, left_kind = _operand(x1)
        second, right, right_kind = _operand(x2)
        if _is_whole(left, left_kind) and _is_whole(right, right_kind):
            return _compare_whole(function, first, left, second, right)
        return _binary(_mapped(function), x1, x2, BOOL, allowed="biufO")

    compare.__doc__ = doc
    compare.__name__ = function.__name__
    return compare


def _is_whole(plain, kind):
    return isinstance(plain, int) if kind is None else kind.kind in "biu"


def _compare_whole(function, first, left, second, right):
    """Integers compare exactly, whatever their types can hold."""
    shape, one, two = _aligned(first, second)
    count = math.prod(shape)
    a = (left,) * count if one is None else one._data()
    b = (right,) * count if two is None else two._data()
    data = buffer_of("B", list(map(function, a, b)))
    return make(data, shape, BOOL) if shape else _scalars.wrap(data[0], BOOL)


equal = _comparison(operator.eq, "Where the elements are equal.")
not_equal = _comparison(operator.ne, "Where the elements differ.")
less = _comparison(operator.lt, "Where the first is smaller.")
less_equal = _comparison(operator.le, "Where the first is not larger.")
greater = _comparison(operator.gt, "Where the first is larger.")
greater_equal = _comparison(operator.ge, "Where the first is not smaller.")


def logical_and(x1, x2):
    """Where both are true."""
    return bitwise_and(not_equal(x1, 0), not_equal(x2, 0))


def logical_or(x1, x2):
    """Where either is true."""
    return bitwise_or(not_equal(x1, 0), not_equal(x2, 0))


def logical_xor(x1, x2):
    """Where exactly one is true."""
    return not_equal(not_equal(x1, 0), not_equal(x2, 0))


def bitwise_and(x1, x2):
    """The bits that both have."""
    return _binary(_mapped(operator.and_), x1, x2, allowed="biu", name="bitwise_and")


def bitwise_or(x1, x2):
    """The bits that either has."""
    return _binary(_mapped(operator.or_), x1, x2, allowed="biu", name="bitwise_or")


def bitwise_xor(x1, x2):
    """The bits that exactly one has."""
    return _binary(_mapped(operator.xor), x1, x2, allowed="biu", name="bitwise_xor")


def left_shift(x1, x2):
    """The bits moved up."""
    return _shift(operator.lshift, x1, x2)


def right_shift(x1, x2):
    """The bits moved down."""
    return _shift(operator.rshift, x1, x2)


def _shift(function, x1, x2):
    bits = 8 * _whole_kind(_kind_of(x1, x2)).itemsize

    def compute(a, b):
        if any(not 0 <= count < bits for count in b):
            raise missing("a shift by a negative number or by all bits")
        return list(map(function, a, b))

    return _binary(compute, x1, x2, kind_of=_whole_kind, allowed="biu", name="shift")


def in_place(name, target, value):
    """`target += value` and its relatives."""
    result = globals()[name](target, value)
    kind = result.dtype
    if not _dtypes.can_cast_same_kind(kind, target.dtype):
        raise TypeError(
            f"Cannot cast ufunc '{name}' output from dtype('{kind.name}') "
            f"to dtype('{target.dtype.name}') with casting rule 'same_kind'"
        )
    if result.shape != target._shape:
        raise ValueError(
            f"non-broadcastable output operand with shape {target._shape} doesn't match the "
            f"broadcast shape {result.shape}"
        )
    target[...] = result
    return target


# Functions of one number.


def _unary(compute, x, kind_of=None, result=None):
    a = asarray(x)
    kind = a.dtype if kind_of is None else kind_of(a.dtype)
    target = kind if result is None else result
    data = _dtypes.store(compute(_dtypes.convert(a._data(), a.dtype, kind)), target)
    return make(data, a._shape, target) if a._shape else _scalars.wrap(data[0], target)


def _float_kind(kind):
    if kind.kind == "f":
        return kind
    if kind.itemsize == 1:
        raise missing("the data type float16 (the result for 8-bit integers)")
    return FLOAT32 if kind.itemsize == 2 else FLOAT64


def _float_function(function, doc, on_error):
    """A function of floats; `on_error` gives the result where Python's function raises."""

    def guarded(value):
        try:
            return function(value)
        except (OverflowError, ValueError):
            return on_error(value)

    def compute(data):
        try:
            return list(map(function, data))
        except (OverflowError, ValueError):
            return list(map(guarded, data))

    def operation(x):
        return _unary(compute, x, _float_kind)

    operation.__doc__ = doc
    operation.__name__ = function.__name__
    return operation


def _nan(_value):
    return _NAN


def _inf(_value):
    return _INF


def _log_error(value):
    return -_INF if value == 0 else _NAN


def _log1p_error(value):
    return -_INF if value == -1 else _NAN


def _signed_inf(value):
    return math.copysign(_INF, value)


exp = _float_function(math.exp, "e to the power of each element.", _inf)
exp2 = _float_function(lambda value: math.pow(2.0, value), "2 to the power of each.", _inf)
expm1 = _float_function(math.expm1, "exp(x) - 1, precise near zero.", _inf)
log = _float_function(math.log, "The natural logarithm.", _log_error)
log2 = _float_function(math.log2, "The logarithm to base 2.", _log_error)
log10 = _float_function(math.log10, "The logarithm to base 10.", _log_error)
log1p = _float_function(math.log1p, "log(1 + x), precise near zero.", _log1p_error)
sqrt = _float_function(math.sqrt, "The square root.", _nan)
cbrt = _float_function(
    lambda value: (
        math.copysign(math.cbrt(abs(value)), value)
        if hasattr(math, "cbrt")
        else math.copysign(abs(value) ** (1 / 3), value)
    ),
    "The cube root.",
    _nan,
)
sin = _float_function(math.sin, "The sine.", _nan)
cos = _float_function(math.cos, "The cosine.", _nan)
tan = _float_function(math.tan, "The tangent.", _nan)
arcsin = _float_function(math.asin, "The inverse sine.", _nan)
arccos = _float_function(math.acos, "The inverse cosine.", _nan)
arctan = _float_function(math.atan, "The inverse tangent.", _nan)
sinh = _float_function(math.sinh, "The hyperbolic sine.", _signed_inf)
cosh = _float_function(math.cosh, "The hyperbolic cosine.", _inf)
tanh = _float_function(math.tanh, "The hyperbolic tangent.", _nan)
radians = deg2rad = _float_function(math.radians, "Degrees as radians.", _nan)
degrees = rad2deg = _float_function(math.degrees, "Radians as degrees.", _nan)


def absolute(x):
    """Without the sign."""
    return _unary(lambda data: list(map(abs, data)), x)


def fabs(x):
    """Without the sign, as floats."""
    return _unary(lambda data: list(map(abs, data)), x, _float_kind)


def negative(x):
    """With the sign changed."""
    return _unary(lambda data: list(map(operator.neg, data)), x, _no_bool("negative"))


def positive(x):
    """A copy."""
    return _unary(lambda data: data[:], x)


def square(x):
    """Times itself."""
    a = asarray(x)
    return multiply(a, a.astype(_whole_kind(a.dtype), copy=False))


def reciprocal(x):
    """One divided by each element."""
    a = asarray(x)
    if a.dtype.kind != "f":
        raise missing("reciprocal of integers")
    return true_divide(_scalars.wrap(1.0, a.dtype), a if a._shape else a[()])


def sign(x):
    """-1, 0 or 1."""
    if asarray(x).dtype is BOOL:
        raise TypeError("ufunc 'sign' did not contain a loop with a matching signature")
    return _unary(
        lambda data: [value if value != value else (value > 0) - (value < 0) for value in data], x
    )


def invert(x):
    """The bits changed; for truth values, not."""
    a = asarray(x)
    if a.dtype is BOOL:
        return _unary(lambda data: [1 - value for value in data], a)
    if a.dtype.kind == "f":
        raise TypeError("ufunc 'invert' not supported for the input types")
    mask = a.dtype.limits[1] if a.dtype.kind == "u" else -1
    return _unary(lambda data: [value ^ mask for value in data], a)


def logical_not(x):
    """Where the elements are false."""
    return _unary(lambda data: [value == 0 for value in data], x, result=BOOL)


def isnan(x):
    """Where the elements are NaN."""
    return _unary(lambda data: [value != value for value in data], x, result=BOOL)


def isinf(x):
    """Where the elements are infinite."""
    return _unary(lambda data: list(map(math.isinf, data)), x, result=BOOL)


def isfinite(x):
    """Where the elements are neither NaN nor infinite."""
    return _unary(lambda data: list(map(math.isfinite, data)), x, result=BOOL)


def signbit(x):
    """Where the sign is set."""
    return _unary(lambda data: [math.copysign(1.0, value) < 0 for value in data], x, result=BOOL)


def _rounding(function, whole_kind=lambda kind: kind):
    def one(value):
        if not math.isfinite(value):
            return value
        return math.copysign(float(function(value)), value)

    def operation(x):
        a = asarray(x)
        if a.dtype.kind != "f":
            return _unary(lambda data: data[:], a, whole_kind)
        return _unary(lambda data: list(map(one, data)), a)

    return operation


floor = _rounding(math.floor)
ceil = _rounding(math.ceil)
trunc = fix = _rounding(math.trunc)
rint = _rounding(round, _float_kind)


def round_(a, decimals=0, out=None):
    """Rounded to that many decimals, halves to the even side."""
    if out is not None:
        raise missing("the parameter `out` of round")
    a = asarray(a)
    if a.dtype is BOOL:
        raise missing("round of truth values")
    if a.dtype.kind != "f":
        if decimals >= 0:
            return positive(a)
        raise missing("round of integers to tens")
    if decimals == 0:
        return rint(a)
    factor = _scalars.wrap(_dtypes.checked(float(10 ** abs(decimals)), a.dtype), a.dtype)
    if decimals > 0:
        return true_divide(rint(multiply(a, factor)), factor)
    return multiply(rint(true_divide(a, factor)), factor)


def clip(a, a_min=None, a_max=None, out=None, min=None, max=None):
    """Moved into the bounds."""
    if out is not None:
        raise missing("the parameter `out` of clip")
    low = a_min if min is None else min
    high = a_max if max is None else max
    result = asarray(a)
    if low is not None:
        result = maximum(result, _reachable(low, result.dtype))
    if high is not None:
        result = minimum(result, _reachable(high, result.dtype))
    return positive(result) if low is None and high is None else result


def _reachable(bound, kind):
    """A bound that the integer type can hold and that clips alike."""
    if type(bound) is not int or kind.limits is None:
        return bound
    return sorted((bound, *kind.limits))[1]


def where(condition, *choices):
    """One or the other by a condition; with the condition alone, the positions where it holds."""
    condition = asarray(condition)
    if not choices:
        return nonzero(condition)
    if len(choices) != 2:
        raise ValueError("either both or neither of x and y should be given")
    left, right = choices
    kind = _kind_of(left, right)
    sides = []
    for value in choices:
        array_, plain, own = _operand(value)
        if array_ is None:
            array_ = make(buffer_of(kind.code, (_dtypes.checked(plain, kind),)), (), kind)
            own = kind
        sides.append((array_, own))
    shape = _storage.broadcast_shapes(condition._shape, *(side._shape for side, _ in sides))
    picked = broadcast_to(condition, shape)._data()
    one, two = (
        _dtypes.convert(broadcast_to(side, shape)._data(), own, kind) for side, own in sides
    )
    data = [a if chosen else b for chosen, a, b in zip(picked, one, two, strict=True)]
    return make(buffer_of(kind.code, data), shape, kind)


# Matrix products.


def dot(a, b, out=None):
    """The product of vectors and matrices."""
    if out is not None:
        raise missing("the parameter `out` of dot")
    a, b = asarray(a), asarray(b)
    if a.ndim == 0 or b.ndim == 0:
        return multiply(a, b)
    if b.ndim > 2 or a.ndim > 2:
        raise missing("dot of more than two dimensions")
    return _product(a, b)


def matmul(x1, x2):
    """The product of vectors and matrices; more dimensions are stacks of matrices."""
    a, b = asarray(x1), asarray(x2)
    if a.ndim == 0 or b.ndim == 0:
        raise ValueError("matmul: Input operand does not have enough dimensions")
    if a.ndim <= 2 and b.ndim <= 2:
        return _product(a, b)
    if b.ndim == 1 or a.ndim == 1:
        raise missing("matmul of a vector with a stack of matrices")
    return _stacked(a, b)


def _stacked(a, b):
    outer = _storage.broadcast_shapes(a._shape[:-2], b._shape[:-2])
    a = broadcast_to(a, outer + a._shape[-2:])
    b = broadcast_to(b, outer + b._shape[-2:])
    kind = _dtypes.promote(a.dtype, b.dtype)
    data = buffer_of(kind.code)
    for index in iterate(outer):
        data.extend(_product(a[index], b[index])._data())
    return make(data, (*outer, a._shape[-2], b._shape[-1]), kind)


def _product(a, b):
    inner = a._shape[-1]
    if inner != b._shape[0]:
        raise ValueError(f"shapes {a._shape} and {b._shape} not aligned: {inner} != {b._shape[0]}")
    kind = _dtypes.promote(a.dtype, b.dtype)
    left = _dtypes.convert(a._data(), a.dtype, kind).tolist()
    across = b if b.ndim == 1 else b.T
    right = _dtypes.convert(across._data(), b.dtype, kind).tolist()
    rows = [left[start : start + inner] for start in range(0, len(left), inner)] if inner else []
    columns = (
        [right[start : start + inner] for start in range(0, len(right), inner)] if inner else []
    )
    shape = a._shape[:-1] + b._shape[1:]
    if inner:
        values = [_inner(row, column) for row in rows for column in columns]
    else:
        values = [0] * math.prod(shape)
    if kind is BOOL:
        values = [1 if value else 0 for value in values]
    data = _dtypes.store(values, kind)
    return make(data, shape, kind) if shape else _scalars.wrap(data[0], kind)


if hasattr(math, "sumprod"):
    _inner = math.sumprod
else:

    def _inner(row, column):
        return sum(map(operator.mul, row, column))


def vdot(a, b):
    """The product of two arrays as vectors."""
    return dot(asarray(a).ravel(), asarray(b).ravel())


def inner(a, b):
    """The product of two vectors."""
    a, b = asarray(a), asarray(b)
    if a.ndim > 1 or b.ndim > 1:
        raise missing("inner of more than one dimension")
    return dot(a, b)


def outer(a, b):
    """All products of the elements of two vectors."""
    a, b = asarray(a).ravel(), asarray(b).ravel()
    return multiply(a.reshape(-1, 1), b.reshape(1, -1))


# Closeness.


def isclose(a, b, rtol=1e-05, atol=1e-08, equal_nan=False):
    """Where the elements are equal within the tolerances."""
    a, b = asarray(a), asarray(b)

    def compute(one, two):
        return list(starmap(_close(rtol, atol, equal_nan), zip(one, two, strict=True)))

    return _binary(compute, a, b, BOOL, kind_of=_divided_kind)


def _close(rtol, atol, equal_nan):
    def close(a, b):
        if a != a or b != b:
            return equal_nan and a != a and b != b
        if math.isinf(a) or math.isinf(b):
            return a == b
        return abs(a - b) <= atol + rtol * abs(b)

    return close


def allclose(a, b, rtol=1e-05, atol=1e-08, equal_nan=False):
    """Whether all elements are equal within the tolerances."""
    close = isclose(a, b, rtol, atol, equal_nan)
    return bool(close.all()) if isinstance(close, ndarray) else bool(close)


def array_equal(a1, a2, equal_nan=False):
    """Whether shapes and elements are equal."""
    a, b = asarray(a1), asarray(a2)
    if a._shape != b._shape:
        return False
    same = equal(a, b)
    if equal_nan:
        same = logical_or(same, logical_and(not_equal(a, a), not_equal(b, b)))
    return bool(same.all()) if isinstance(same, ndarray) else bool(same)

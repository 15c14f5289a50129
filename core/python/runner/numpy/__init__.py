"""A subset of numpy in pure Python: what scoring scripts do around a model.

What is here gives numpy's answers, with numpy's types and numpy's views.
What is not here raises NotImplementedError and names the way out.
"""

import math as _math
import types as _types

from numpy import _array, _dtypes, _indexing, _missing, _operations, _printing, _reductions
from numpy import _scalars, _shaping, _storage
from numpy._array import ndarray
from numpy._dtypes import dtype
from numpy._indexing import nonzero, take
from numpy._operations import (
    absolute,
    add,
    allclose,
    arccos,
    arcsin,
    arctan,
    arctan2,
    array_equal,
    bitwise_and,
    bitwise_or,
    bitwise_xor,
    cbrt,
    ceil,
    clip,
    cos,
    cosh,
    deg2rad,
    degrees,
    dot,
    equal,
    exp,
    exp2,
    expm1,
    fabs,
    fix,
    float_power,
    floor,
    floor_divide,
    greater,
    greater_equal,
    hypot,
    inner,
    invert,
    isclose,
    isfinite,
    isinf,
    isnan,
    left_shift,
    less,
    less_equal,
    log,
    log1p,
    log2,
    log10,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    matmul,
    maximum,
    minimum,
    multiply,
    negative,
    not_equal,
    outer,
    positive,
    power,
    rad2deg,
    radians,
    reciprocal,
    remainder,
    right_shift,
    rint,
    sign,
    signbit,
    sin,
    sinh,
    sqrt,
    square,
    subtract,
    tan,
    tanh,
    true_divide,
    trunc,
    vdot,
    where,
)
from numpy._operations import round_ as round
from numpy._reductions import (
    all,
    any,
    argmax,
    argmin,
    argsort,
    average,
    bincount,
    count_nonzero,
    cumsum,
    diff,
    max,
    mean,
    median,
    min,
    prod,
    ptp,
    sort,
    std,
    sum,
    unique,
    var,
)
from numpy._scalars import (
    bool_,
    float32,
    float64,
    floating,
    generic,
    inexact,
    int8,
    int16,
    int32,
    int64,
    integer,
    number,
    signedinteger,
    uint8,
    uint16,
    uint32,
    uint64,
    unsignedinteger,
)
from numpy._shaping import (
    append,
    arange,
    array,
    asarray,
    atleast_1d,
    atleast_2d,
    broadcast_to,
    column_stack,
    concatenate,
    empty,
    empty_like,
    expand_dims,
    eye,
    flip,
    frombuffer,
    fromiter,
    full,
    full_like,
    hstack,
    identity,
    linspace,
    moveaxis,
    ones,
    ones_like,
    ravel,
    repeat,
    reshape,
    split,
    squeeze,
    stack,
    swapaxes,
    tile,
    transpose,
    vstack,
    zeros,
    zeros_like,
)

_array.connect(_operations, _reductions, _indexing, _printing, _shaping)
_scalars.connect(_operations)

__version__ = "2.0.0+lusk"

pi = _math.pi
e = _math.e
inf = _math.inf
nan = _math.nan
newaxis = None

abs = absolute
amax = max
amin = min
around = round
asanyarray = asarray
ascontiguousarray = asarray
bitwise_not = invert
bool = bool_
object_ = object
str_ = str
concat = concatenate
divide = true_divide
double = float64
int_ = int64
intp = int64
longlong = int64
mod = remainder
single = float32
uint = uint64


def shape(a):
    """The extents of an array."""
    return asarray(a).shape


def ndim(a):
    """How many dimensions an array has."""
    return asarray(a).ndim


def size(a, axis=None):
    """How many elements an array has, or an axis of it."""
    a = asarray(a)
    return a.size if axis is None else a.shape[axis]


def copy(a):
    """A new array with the same elements."""
    return array(a)


def isscalar(element):
    """Whether something is a single number or text."""
    return isinstance(element, generic | int | float | complex | str | bytes)


def flatnonzero(a):
    """The positions of the elements that are not zero, in one dimension."""
    return nonzero(ravel(a))[0]


def argwhere(a):
    """The positions of the elements that are not zero, one row for each."""
    if asarray(a).ndim == 0:
        raise _missing.missing("argwhere of a single number")
    return transpose(stack(nonzero(a)))


def result_type(*arrays_and_dtypes):
    """The type that holds all of them."""
    kinds = [
        each.dtype if isinstance(each, ndarray | generic) else _dtypes.find(each)
        for each in arrays_and_dtypes
    ]
    kind = kinds[0]
    for each in kinds[1:]:
        kind = _dtypes.promote(kind, each)
    return kind


def promote_types(type1, type2):
    """The type that holds both."""
    return _dtypes.promote(_dtypes.find(type1), _dtypes.find(type2))


def issubdtype(arg1, arg2):
    """Whether a type belongs to a class of types."""

    def scalar_class(kind):
        return kind if isinstance(kind, type) and issubclass(kind, generic) else dtype(kind).type

    return issubclass(scalar_class(arg1), scalar_class(arg2))


class finfo:
    """The limits of a float type."""

    def __init__(self, kind):
        self.dtype = dtype(kind)
        if self.dtype.kind != "f":
            raise ValueError(f"data type {self.dtype} not inexact")
        digits, top = (23, 127) if self.dtype is _dtypes.FLOAT32 else (52, 1023)
        wrap = self.dtype.type
        self.bits = 8 * self.dtype.itemsize
        self.eps = wrap(2.0**-digits)
        self.max = wrap((2.0 - 2.0**-digits) * 2.0**top)
        self.min = wrap(-self.max.item())
        self.tiny = self.smallest_normal = wrap(2.0 ** (1 - top))


class iinfo:
    """The limits of an integer type."""

    def __init__(self, kind):
        self.dtype = dtype(kind)
        if self.dtype.limits is None:
            raise ValueError(f"Invalid integer data type {self.dtype.kind!r}.")
        self.bits = 8 * self.dtype.itemsize
        self.min, self.max = self.dtype.limits


def set_printoptions(**_options):
    """Accepted; arrays are shown with the default options."""


linalg = _types.SimpleNamespace(norm=_reductions.norm)


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(f"module 'numpy' has no attribute {name!r}")
    raise _missing.missing(f"numpy.{name}")

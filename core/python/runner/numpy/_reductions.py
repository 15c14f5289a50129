"""Reductions over axes, and sorting."""

import builtins
import math
import operator
from itertools import accumulate

from numpy import _dtypes, _operations, _scalars, _storage
from numpy._array import make
from numpy._buffers import buffer as buffer_of
from numpy._dtypes import BOOL, FLOAT64, INT64, UINT64
from numpy._missing import missing
from numpy._shaping import asarray, ravel, reshape, transpose


def _rows(a, axes):
    """The elements as one list for each result, and the result's shape."""
    kept = [place for place in range(a.ndim) if place not in axes]
    if kept and axes and kept[-1] > axes[0]:
        a = transpose(a, (*kept, *axes))
    shape = a._shape[: len(kept)]
    data = a._data().tolist()
    if not kept:
        return [data], ()
    length = math.prod(a._shape[len(kept) :])
    if len(shape) == 1 and shape[0] == 1:
        return [data], shape
    count = math.prod(shape)
    return [data[start * length : (start + 1) * length] for start in range(count)], shape


def _reduce(a, axis, keepdims, compute, kind, out=None):
    if out is not None:
        raise missing("the parameter `out` of a reduction")
    axes = _storage.normal_axes(axis, a.ndim)
    rows, shape = _rows(a, axes)
    data = _dtypes.store([compute(row) for row in rows], kind)
    if keepdims:
        shape = tuple(1 if place in axes else extent for place, extent in enumerate(a._shape))
    return make(data, shape, kind) if shape else _scalars.wrap(data[0], kind)


def _sum_kind(kind, dtype):
    if dtype is not None:
        return _dtypes.find(dtype)
    if kind.kind == "u":
        return UINT64
    return kind if kind.kind == "f" else INT64


def _mean_kind(kind, dtype):
    if dtype is not None:
        return _dtypes.find(dtype)
    return kind if kind.kind == "f" else FLOAT64


def _nonempty(a, axis, name):
    axes = _storage.normal_axes(axis, a.ndim)
    if any_zero(a._shape[place] for place in axes):
        raise ValueError(f"zero-size array to reduction operation {name} which has no identity")


def any_zero(extents):
    """Whether one of the extents is zero."""
    return builtins.any(extent == 0 for extent in extents)


def sum(a, axis=None, dtype=None, out=None, keepdims=False):
    """The sum."""
    a = asarray(a)
    kind = _sum_kind(a.dtype, dtype)
    return _reduce(a.astype(kind, copy=False), axis, keepdims, builtins.sum, kind, out)


def prod(a, axis=None, dtype=None, out=None, keepdims=False):
    """The product."""
    a = asarray(a)
    kind = _sum_kind(a.dtype, dtype)
    return _reduce(a.astype(kind, copy=False), axis, keepdims, math.prod, kind, out)


def mean(a, axis=None, dtype=None, out=None, keepdims=False):
    """The mean; NaN of nothing."""
    a = asarray(a)
    kind = _mean_kind(a.dtype, dtype)
    return _reduce(a, axis, keepdims, _mean, kind, out)


def _mean(row):
    return builtins.sum(row) / len(row) if row else math.nan


def var(a, axis=None, dtype=None, out=None, ddof=0, keepdims=False):
    """The variance."""
    a = asarray(a)
    kind = _mean_kind(a.dtype, dtype)
    return _reduce(a, axis, keepdims, _variance(ddof), kind, out)


def std(a, axis=None, dtype=None, out=None, ddof=0, keepdims=False):
    """The standard deviation."""
    a = asarray(a)
    kind = _mean_kind(a.dtype, dtype)
    variance = _variance(ddof)
    return _reduce(a, axis, keepdims, lambda row: _root(variance(row)), kind, out)


def _variance(ddof):
    def variance(row):
        centre = _mean(row)
        squares = builtins.sum([(value - centre) ** 2 for value in row])
        return _operations.divide_numbers(squares, builtins.max(len(row) - ddof, 0))

    return variance


def _root(value):
    return math.sqrt(value) if value >= 0 else math.nan


def _extreme(choose):
    def extreme(row):
        value = choose(row)
        total = builtins.sum(row) if isinstance(value, float) else 0
        if total != total:  # a NaN, or infinities of both signs
            return next((each for each in row if each != each), value)
        return value

    return extreme


def min(a, axis=None, out=None, keepdims=False):
    """The smallest element; NaN where there is one."""
    a = asarray(a)
    _nonempty(a, axis, "minimum")
    return _reduce(a, axis, keepdims, _extreme(builtins.min), a.dtype, out)


def max(a, axis=None, out=None, keepdims=False):
    """The largest element; NaN where there is one."""
    a = asarray(a)
    _nonempty(a, axis, "maximum")
    return _reduce(a, axis, keepdims, _extreme(builtins.max), a.dtype, out)


def ptp(a, axis=None, out=None, keepdims=False):
    """The distance from the smallest to the largest element."""
    return _operations.subtract(max(a, axis, out, keepdims), min(a, axis, out, keepdims))


def any(a, axis=None, out=None, keepdims=False):
    """Whether any element is true."""
    return _reduce(asarray(a), axis, keepdims, lambda row: 1 if builtins.any(row) else 0, BOOL, out)


def all(a, axis=None, out=None, keepdims=False):
    """Whether all elements are true."""
    return _reduce(asarray(a), axis, keepdims, lambda row: 1 if builtins.all(row) else 0, BOOL, out)


def count_nonzero(a, axis=None, keepdims=False):
    """How many elements are not zero."""
    a = asarray(a)
    return _reduce(a, axis, keepdims, lambda row: len(row) - row.count(0), INT64)


def _position(extreme):
    def position(row):
        return row.index(extreme(row)) if not _has_nan(row) else _first_nan(row)

    return position


def _has_nan(row):
    """Whether there is a NaN; the sum tells quickly that there is none."""
    if not row or not isinstance(row[0], float):
        return False
    total = builtins.sum(row)
    return total != total and builtins.any(map(math.isnan, row))


def _first_nan(row):
    return next(place for place, value in enumerate(row) if value != value)


def _arg(a, axis, out, keepdims, extreme, name):
    a = asarray(a)
    if axis is not None:
        axis = _storage.normal_axis(axis, a.ndim)
    if any_zero([a.size] if axis is None else [a._shape[axis]]):
        raise ValueError(f"attempt to get {name} of an empty sequence")
    return _reduce(a, axis, keepdims, _position(extreme), INT64, out)


def argmin(a, axis=None, out=None, keepdims=False):
    """The position of the smallest element, of the first one where several are equal."""
    return _arg(a, axis, out, keepdims, builtins.min, "argmin")


def argmax(a, axis=None, out=None, keepdims=False):
    """The position of the largest element, of the first one where several are equal."""
    return _arg(a, axis, out, keepdims, builtins.max, "argmax")


def _along(a, axis, compute, kind):
    """Each row along an axis replaced by a row of the same length."""
    place = _storage.normal_axis(axis, a.ndim)
    rows, shape = _rows(a, (place,))
    data = buffer_of(kind.code)
    for row in rows:
        data.extend(_dtypes.store(compute(row), kind))
    back = list(range(len(shape)))
    back.insert(place, len(shape))
    made = make(data, (*shape, a._shape[place]), kind)
    turned = transpose(made, back)
    return make(turned._data(), turned._shape, kind)


def _flat_or(a, axis):
    a = asarray(a)
    if axis is None:
        return ravel(a), 0
    return (a, axis) if a.ndim else (ravel(a), axis)


def cumsum(a, axis=None, dtype=None, out=None):
    """The running sums."""
    if out is not None:
        raise missing("the parameter `out` of cumsum")
    a, axis = _flat_or(a, axis)
    kind = _sum_kind(a.dtype, dtype)
    data = a.astype(kind, copy=False)
    if kind is _dtypes.FLOAT32:
        return _along(data, axis, _running32, kind)
    return _along(data, axis, lambda row: list(accumulate(row)), kind)


def _running32(row):
    """Each sum rounded before the next, as elements of that size are."""
    return list(accumulate(row, lambda total, value: buffer_of("f", (total + value,))[0]))


def _check_sort(kind):
    if kind not in (None, "quicksort", "mergesort", "heapsort", "stable"):
        raise ValueError(f"sort kind {kind!r} is not recognized")


def sort(a, axis=-1, kind=None):
    """Sorted, NaN at the end."""
    _check_sort(kind)
    a = asarray(a)
    if axis is None:
        a, axis = ravel(a), 0
    return _along(a, axis, _sorted, a.dtype)


def _sorted(row):
    if not _has_nan(row):
        return sorted(row)
    numbers = [value for value in row if value == value]
    return sorted(numbers) + [math.nan] * (len(row) - len(numbers))


def argsort(a, axis=-1, kind=None):
    """The positions that would sort the elements; equal elements keep their order."""
    _check_sort(kind)
    a, axis = _flat_or(a, axis)
    return _along(a, axis, _order, INT64)


def _order(row):
    if _has_nan(row):
        return sorted(range(len(row)), key=lambda place: (row[place] != row[place], row[place]))
    return sorted(range(len(row)), key=row.__getitem__)


def unique(ar, return_index=False, return_inverse=False, return_counts=False, axis=None):
    """The sorted elements without repetition."""
    if axis is not None or return_index or return_inverse:
        raise missing("unique with an axis, index or inverse")
    a = ravel(ar)
    data = a._data()
    if _has_nan(data):
        raise missing("unique with NaN")
    counts = {}
    for value in data:
        counts[value] = counts.get(value, 0) + 1
    values = sorted(counts)
    made = make(buffer_of(a.dtype.code, values), (len(values),), a.dtype)
    if not return_counts:
        return made
    numbers = buffer_of("q", [counts[value] for value in values])
    return made, make(numbers, (len(values),), INT64)


def bincount(x, weights=None, minlength=0):
    """How often each number from zero on occurs."""
    if weights is not None:
        raise missing("bincount with weights")
    a = asarray(x)
    if a.ndim != 1 or a.dtype.kind == "f":
        raise TypeError("bincount takes integers in one dimension")
    data = a._data()
    if data and builtins.min(data) < 0:
        raise ValueError("'list' argument must have no negative elements")
    counts = [0] * builtins.max(minlength, builtins.max(data, default=-1) + 1)
    for value in data:
        counts[value] += 1
    return make(buffer_of("q", counts), (len(counts),), INT64)


def diff(a, n=1, axis=-1):
    """The differences of neighbours."""
    a = asarray(a)
    place = _storage.normal_axis(axis, a.ndim)
    before = (slice(None),) * place
    for _ in range(n):
        later, earlier = a[(*before, slice(1, None))], a[(*before, slice(None, -1))]
        compute = _operations.not_equal if a.dtype is BOOL else _operations.subtract
        a = compute(later, earlier)
    return a


def average(a, axis=None, weights=None):
    """The mean, with weights where they are given."""
    a = asarray(a)
    if weights is None:
        return mean(a, axis)
    w = asarray(weights)
    if w.shape != a.shape:
        if axis is None or w.ndim != 1:
            raise TypeError("Axis must be specified when shapes of a and weights differ.")
        place = _storage.normal_axis(axis, a.ndim)
        w = reshape(w, tuple(-1 if each == place else 1 for each in range(a.ndim)))
    total = sum(_operations.multiply(a, w), axis)
    return _operations.true_divide(total, sum(_spread(w, a), axis))


def _spread(weights, a):
    return _operations.broadcast_to(weights, a.shape)


def median(a, axis=None, keepdims=False):
    """The middle element, or the mean of both middle ones."""
    a = asarray(a)
    return _reduce(a, axis, keepdims, _middle, _mean_kind(a.dtype, None))


def _middle(row):
    if not row or _has_nan(row):
        return math.nan
    ordered, half = sorted(row), len(row) // 2
    return ordered[half] if len(row) % 2 else (ordered[half - 1] + ordered[half]) / 2


def norm(x, ord=None, axis=None, keepdims=False):
    """The Euclidean length."""
    a = asarray(x)
    if ord not in (None, 2, "fro") or (ord == 2 and axis is None and a.ndim != 1):
        raise missing(f"the norm of order {ord!r}")
    if axis is not None and isinstance(axis, tuple):
        raise missing("the norm over several axes")
    return _reduce(
        a,
        axis,
        keepdims,
        lambda row: math.sqrt(builtins.sum(map(operator.mul, row, row))),
        _mean_kind(a.dtype, None),
    )

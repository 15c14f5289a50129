"""Arrays from values, and arrays of another shape."""

from array import array as buffer_of
from itertools import chain
from math import prod

from numpy import _dtypes, _scalars, _storage
from numpy._array import make, ndarray
from numpy._buffers import Objects, buffer
from numpy._missing import missing

_SEQUENCES = (list, tuple)
_FLOATS = {float}
_LISTS = {list}
_PLAIN = {float: _dtypes.FLOAT64, int: _dtypes.INT64, bool: _dtypes.BOOL}


def as_shape(shape):
    """A shape given as a number or a sequence, as a tuple."""
    if isinstance(shape, ndarray):
        shape = shape.tolist()
    extents = tuple(shape) if isinstance(shape, list | tuple) else (shape,)
    extents = tuple(extent.__index__() for extent in extents)
    if any(extent < 0 for extent in extents):
        raise ValueError("negative dimensions are not allowed")
    return extents


def array(object, dtype=None, copy=True, order="K", ndmin=0):
    """An array of the values given."""
    if dtype is str:
        return _texts(object, copy, ndmin)
    kind = None if dtype is None else _dtypes.find(dtype)
    if isinstance(object, ndarray):
        made = object if kind in (None, object.dtype) else object.astype(kind)
        if copy and made is object:
            made = object.copy()
    else:
        made = _from_values(object, kind)
    if made.ndim < ndmin:
        made = reshape(made, (1,) * (ndmin - made.ndim) + made._shape)
    return made


def _texts(values, copy, ndmin):
    """Texts as objects: there is no type of texts here."""
    made = array(values, None, copy, ndmin=ndmin)
    if made.dtype is not _dtypes.OBJECT or set(map(type, made._data())) - {str}:
        raise missing("the conversion of anything to text")
    return made


def asarray(a, dtype=None, order=None):
    """The array itself, or an array of the values given."""
    if isinstance(a, ndarray) and (dtype is None or dtype is not str and _dtypes.find(dtype) is a.dtype):
        return a
    return array(a, dtype, copy=False)


def _from_values(values, kind):
    if isinstance(values, list | tuple):
        return _from_sequence(values, kind)
    if isinstance(values, range):
        return _from_sequence(list(values), kind)
    if isinstance(values, _scalars.generic):
        made = make(buffer_of(values.dtype.code, (_raw(values),)), (), values.dtype)
        return made if kind is None else made.astype(kind)
    if kind is _dtypes.OBJECT or kind is None and isinstance(values, str):
        return make(Objects([values]), (), _dtypes.OBJECT)
    if isinstance(values, bytes | bytearray | memoryview | str | dict | set) or values is None:
        if kind is not None and kind.kind == "f" and (values is None or isinstance(values, str)):
            return make(buffer_of(kind.code, (_as_float(values),)), (), kind)
        raise missing(f"an array of {type(values).__name__}")
    if isinstance(values, buffer_of):
        return _from_sequence(values.tolist(), kind or _dtypes.find(values.typecode))
    if type(values) in _PLAIN or isinstance(values, int | float):
        natural = next(_PLAIN[each] for each in (bool, int, float) if isinstance(values, each))
        return _filled([values], (), kind, natural)
    if hasattr(values, "__iter__") and hasattr(values, "__len__"):
        return _from_sequence(list(values), kind)
    raise missing(f"an array of {type(values).__name__}")


def _raw(scalar):
    return int(scalar) if scalar.dtype is _dtypes.BOOL else scalar


def _from_sequence(values, kind):
    shape, level = [len(values)], values
    while True:
        types = set(map(type, level))
        if types == _LISTS:
            lengths = set(map(len, level))
            if len(lengths) != 1:
                raise _ragged(len(shape))
            shape.append(lengths.pop())
            level = level[0] if len(level) == 1 else list(chain.from_iterable(level))
            continue
        if types == _FLOATS:
            return _filled(level, tuple(shape), kind, _dtypes.FLOAT64)
        if ndarray in types:
            return _from_arrays(level, tuple(shape), kind)
        nested = [each for each in types if issubclass(each, _SEQUENCES)]
        if not nested:
            break
        if len(nested) != len(types):
            raise _ragged(len(shape))
        lengths = set(map(len, level))
        if len(lengths) != 1:
            raise _ragged(len(shape))
        shape.append(lengths.pop())
        level = list(chain.from_iterable(level))
    natural = _natural(types) if types else _dtypes.FLOAT64
    return _filled(level, tuple(shape), kind, natural)


def _ragged(depth):
    return ValueError(
        "setting an array element with a sequence. The requested array has an inhomogeneous "
        f"shape after {depth} dimensions."
    )


def _from_arrays(level, outer, kind):
    arrays = [asarray(each) for each in level]
    inner = arrays[0]._shape
    if any(each._shape != inner for each in arrays):
        raise _ragged(len(outer))
    target = kind or common_type(arrays)
    data = buffer(target.code)
    for each in arrays:
        data.extend(_dtypes.convert(each._data(), each.dtype, target))
    return make(data, outer + inner, target)


def _natural(types):
    kind = None
    for each in types:
        found = _PLAIN.get(each)
        if found is None:
            found = _natural_of(each)
        if found is None:
            return None
        kind = found if kind is None else _dtypes.promote(kind, found)
    return kind


def _natural_of(each):
    if issubclass(each, _scalars.generic):
        return each.dtype
    for plain in (bool, int, float):
        if issubclass(each, plain):
            return _PLAIN[plain]
    return None if each in (str, type(None)) else _refuse(each)


def _refuse(each):
    raise missing(f"an array of {each.__name__}")


def _filled(values, shape, kind, natural):
    if kind is _dtypes.OBJECT:
        return make(Objects(_plain(each) for each in values), shape, kind)
    if kind is None:
        if natural is None:
            if set(map(type, values)) - {str, type(None)}:
                raise missing("an array of text and numbers")
            return make(Objects(values), shape, _dtypes.OBJECT)
        return make(_natural_buffer(values, natural), shape, natural)
    return make(_buffer_as(values, kind, natural), shape, kind)


def _plain(value):
    return value.item() if isinstance(value, _scalars.generic) else value


def _natural_buffer(values, natural):
    if natural is _dtypes.BOOL:
        return buffer_of("B", [1 if each else 0 for each in values])
    try:
        return buffer_of(natural.code, values)
    except OverflowError:
        raise missing("an integer of more than 64 bits with a sign") from None
    except TypeError:
        return buffer_of(
            natural.code, [each.item() if hasattr(each, "item") else each for each in values]
        )


def _buffer_as(values, kind, natural):
    if kind.kind == "f":
        try:
            return buffer_of(kind.code, values)
        except TypeError:
            return buffer_of(kind.code, [_as_float(each) for each in values])
    if kind is _dtypes.BOOL:
        return buffer_of("B", [1 if each else 0 for each in values])
    if natural is None:
        raise missing(f"the conversion of text to {kind.name}")
    if natural.kind == "f":
        return _dtypes.convert(buffer_of("d", values), _dtypes.FLOAT64, kind)
    return buffer_of(kind.code, [_dtypes.checked(int(each), kind) for each in values])


def _as_float(value):
    return float("nan") if value is None else float(value)


def common_type(arrays):
    """The type that holds the elements of all arrays."""
    kind = arrays[0].dtype
    for each in arrays:
        kind = _dtypes.promote(kind, each.dtype)
    return kind


# New arrays.


def full(shape, fill_value, dtype=None, order="C"):
    """An array of one value."""
    one = array(fill_value, dtype)
    extents = as_shape(shape)
    if one.ndim == 0:
        return make(one._data() * prod(extents), extents, one.dtype)
    return broadcast_to(one, extents).copy()


def zeros(shape, dtype=float, order="C"):
    """An array of zeros."""
    return ndarray(shape, dtype)


def ones(shape, dtype=None, order="C"):
    """An array of ones."""
    return full(shape, 1, _dtypes.find(dtype))


empty = zeros


def zeros_like(a, dtype=None, order="K", subok=True, shape=None):
    """An array of zeros in the shape of another."""
    a = asarray(a)
    return ndarray(a._shape if shape is None else shape, a.dtype if dtype is None else dtype)


def ones_like(a, dtype=None, order="K", subok=True, shape=None):
    """An array of ones in the shape of another."""
    return full_like(a, 1, dtype, shape=shape)


def full_like(a, fill_value, dtype=None, order="K", subok=True, shape=None):
    """An array of one value in the shape of another."""
    a = asarray(a)
    return full(a._shape if shape is None else shape, fill_value, dtype or a.dtype)


empty_like = zeros_like


def arange(start, stop=None, step=1, dtype=None):
    """Numbers at even steps, without the stop."""
    if stop is None:
        start, stop = 0, start
    natural = common_type([asarray(each) for each in (start, stop, step)])
    kind = natural if dtype is None else _dtypes.find(dtype)
    start, stop, step = (
        each.item() if hasattr(each, "item") else each for each in (start, stop, step)
    )
    if natural.kind != "f":
        return array(list(range(int(start), int(stop), int(step))), kind)
    count = max(0, _ceil((stop - start) / step))
    if kind.kind == "f":
        second = start + step
        gap = second - start
        return array([start + index * gap for index in range(count)], kind)
    raise missing("arange over floats as an integer type")


def _ceil(value):
    whole = int(value)
    return whole + 1 if value > whole else whole


def linspace(start, stop, num=50, endpoint=True, retstep=False, dtype=None, axis=0):
    """Numbers at even distances from start to stop."""
    first, last = float(start), float(stop)
    count = num.__index__()
    if count < 0:
        raise ValueError(f"Number of samples, {count}, must be non-negative.")
    gaps = count - 1 if endpoint else count
    step = (last - first) / gaps if gaps > 0 else float("nan")
    values = [first + index * step for index in range(count)] if gaps > 0 else [first] * count
    if endpoint and count > 1:
        values[-1] = last
    made = array(values, float)
    if dtype is not None and _dtypes.find(dtype) is not made.dtype:
        kind = _dtypes.find(dtype)
        if kind.kind in "iu":
            made = array([value // 1 for value in values], float)
        made = made.astype(kind)
    return (made, _scalars.float64(step)) if retstep else made


def eye(N, M=None, k=0, dtype=float):
    """Ones on a diagonal."""
    rows, columns = N, N if M is None else M
    made = zeros((rows, columns), dtype)
    for row in range(rows):
        if 0 <= row + k < columns:
            made[row, row + k] = 1
    return made


def identity(n, dtype=None):
    """The identity matrix."""
    return eye(n, dtype=dtype)


def frombuffer(buffer, dtype=float, count=-1, offset=0):
    """The bytes as elements; read-only."""
    kind = _dtypes.find(dtype)
    content = memoryview(buffer).cast("B")[offset:]
    if count >= 0:
        if count * kind.itemsize > len(content):
            raise ValueError("buffer is smaller than requested size")
        content = content[: count * kind.itemsize]
    if len(content) % kind.itemsize:
        raise ValueError("buffer size must be a multiple of element size")
    made = make(buffer_of(kind.code, content.tobytes()), (len(content) // kind.itemsize,), kind)
    made._writable = False
    return made


def fromiter(iter, dtype, count=-1):
    """The values of an iterator."""
    values = list(iter)
    return array(values if count < 0 else values[:count], dtype)


# Another shape.


def reshape(a, shape=None, order="C", newshape=None, copy=None):
    """The same elements in another shape; a view where that is possible."""
    if order not in ("C", "A", "K"):
        raise missing(f"the memory order {order!r}")
    a = asarray(a)
    extents = _resolve(a, newshape if shape is None else shape)
    if a._whole or _storage.is_dense(a._shape, a._strides):
        return a._view(a._offset, extents, _storage.strides_of(extents), a._whole)
    return make(a._data(), extents, a.dtype)


def _resolve(a, shape):
    given = tuple(shape) if isinstance(shape, (list, tuple, ndarray)) else (shape,)
    extents = [extent.__index__() for extent in given]
    size = a.size
    if extents.count(-1) > 1:
        raise ValueError("can only specify one unknown dimension")
    if -1 in extents:
        known = prod(extent for extent in extents if extent != -1)
        if known == 0 or size % known:
            raise ValueError(f"cannot reshape array of size {size} into shape {_shown(given)}")
        extents[extents.index(-1)] = size // known
    if prod(extents) != size or any(extent < 0 for extent in extents):
        raise ValueError(f"cannot reshape array of size {size} into shape {_shown(given)}")
    return tuple(extents)


def _shown(shape):
    return str(tuple(shape)).replace(" ", "")


def ravel(a, order="C"):
    """One dimension."""
    return reshape(a, (-1,), order)


def squeeze(a, axis=None):
    """Without the dimensions of extent one."""
    a = asarray(a)
    if axis is None:
        gone = {position for position, extent in enumerate(a._shape) if extent == 1}
    else:
        gone = set(_storage.normal_axes(axis, a.ndim))
        if any(a._shape[position] != 1 for position in gone):
            raise ValueError("cannot select an axis to squeeze out which has size not equal to one")
    kept = [position for position in range(a.ndim) if position not in gone]
    return a._view(
        a._offset,
        tuple(a._shape[position] for position in kept),
        tuple(a._strides[position] for position in kept),
    )


def expand_dims(a, axis):
    """With dimensions of extent one added."""
    a = asarray(a)
    axes = axis if isinstance(axis, tuple | list) else (axis,)
    count = a.ndim + len(axes)
    added = set(_storage.normal_axes(tuple(axes), count))
    extents, strides = iter(a._shape), iter(a._strides)
    shape = tuple(1 if position in added else next(extents) for position in range(count))
    steps = tuple(0 if position in added else next(strides) for position in range(count))
    return a._view(a._offset, shape, steps)


def transpose(a, axes=None):
    """The dimensions in another order; reversed without one."""
    a = asarray(a)
    if axes is None:
        order = tuple(range(a.ndim - 1, -1, -1))
    else:
        order = tuple(_storage.normal_axis(axis, a.ndim) for axis in axes)
        if sorted(order) != list(range(a.ndim)):
            raise ValueError("axes don't match array")
    return a._view(
        a._offset,
        tuple(a._shape[position] for position in order),
        tuple(a._strides[position] for position in order),
    )


def swapaxes(a, axis1, axis2):
    """Two dimensions exchanged."""
    a = asarray(a)
    first, second = _storage.normal_axis(axis1, a.ndim), _storage.normal_axis(axis2, a.ndim)
    order = list(range(a.ndim))
    order[first], order[second] = second, first
    return transpose(a, order)


def moveaxis(a, source, destination):
    """A dimension moved to another place."""
    a = asarray(a)
    if not isinstance(source, int) or not isinstance(destination, int):
        raise missing("moving several axes at once")
    order = list(range(a.ndim))
    order.insert(
        _storage.normal_axis(destination, a.ndim), order.pop(_storage.normal_axis(source, a.ndim))
    )
    return transpose(a, order)


def broadcast_to(array, shape, subok=False):
    """The array repeated over a larger shape; read-only."""
    a = asarray(array)
    target = as_shape(shape)
    view = a._view(a._offset, target, _storage.broadcast_strides(a._shape, a._strides, target))
    view._writable = False
    return view


def atleast_1d(a):
    """At least one dimension."""
    a = asarray(a)
    return a if a.ndim else reshape(a, (1,))


def atleast_2d(a):
    """At least two dimensions."""
    a = asarray(a)
    return a if a.ndim >= 2 else reshape(a, (1, -1))


# Arrays put together.


def concatenate(arrays, axis=0, out=None, dtype=None):
    """Arrays one after the other along an axis."""
    if out is not None:
        raise missing("the parameter `out` of concatenate")
    parts = [asarray(each) for each in arrays]
    if not parts:
        raise ValueError("need at least one array to concatenate")
    if axis is None:
        parts, axis = [ravel(each) for each in parts], 0
    first = parts[0]
    if first.ndim == 0:
        raise ValueError("zero-dimensional arrays cannot be concatenated")
    place = _storage.normal_axis(axis, first.ndim)
    for each in parts:
        if each.ndim != first.ndim or any(
            each._shape[position] != first._shape[position]
            for position in range(first.ndim)
            if position != place
        ):
            raise ValueError(
                "all the input array dimensions except for the concatenation axis must match "
                f"exactly, but the shapes are {', '.join(str(each._shape) for each in parts)}"
            )
    kind = common_type(parts) if dtype is None else _dtypes.find(dtype)
    data = _joined(parts, place, kind)
    extent = sum(each._shape[place] for each in parts)
    return make(data, (*first._shape[:place], extent, *first._shape[place + 1 :]), kind)


def _joined(parts, place, kind):
    blocks = [_dtypes.convert(each._data(), each.dtype, kind) for each in parts]
    sizes = [prod(each._shape[place:]) for each in parts]
    data = buffer(kind.code)
    for index in range(prod(parts[0]._shape[:place])):
        for block, size in zip(blocks, sizes, strict=True):
            data.extend(block[index * size : (index + 1) * size])
    return data


def stack(arrays, axis=0, out=None, dtype=None):
    """Arrays of one shape along a new axis."""
    parts = [asarray(each) for each in arrays]
    if not parts:
        raise ValueError("need at least one array to stack")
    if any(each._shape != parts[0]._shape for each in parts):
        raise ValueError("all input arrays must have the same shape")
    return concatenate([expand_dims(each, axis) for each in parts], axis, out, dtype)


def vstack(tup, dtype=None):
    """Arrays as rows below one another."""
    return concatenate([atleast_2d(each) for each in tup], 0, dtype=dtype)


def hstack(tup, dtype=None):
    """Arrays side by side."""
    parts = [atleast_1d(each) for each in tup]
    return concatenate(parts, 0 if parts and parts[0].ndim == 1 else 1, dtype=dtype)


def column_stack(tup):
    """One-dimensional arrays as columns."""
    parts = [asarray(each) for each in tup]
    return concatenate([reshape(each, (-1, 1)) if each.ndim < 2 else each for each in parts], 1)


def append(arr, values, axis=None):
    """An array with values after it."""
    if axis is None:
        return concatenate([ravel(arr), ravel(values)])
    return concatenate([asarray(arr), asarray(values)], axis)


def tile(A, reps):
    """An array repeated as a whole."""
    a = asarray(A)
    counts = as_shape(reps)
    length = max(a.ndim, len(counts))
    counts = (1,) * (length - len(counts)) + counts
    shape = (1,) * (length - a.ndim) + a._shape
    made = reshape(a, shape)
    for place, count in enumerate(counts):
        if count != 1:
            made = (
                concatenate([made] * count, place)
                if count
                else make(
                    buffer(a.dtype.code), (*shape[:place], 0, *shape[place + 1 :]), a.dtype
                )
            )
    return made.copy()


def repeat(a, repeats, axis=None):
    """Each element several times."""
    a = asarray(a)
    if axis is None:
        a, axis = ravel(a), 0
    a = atleast_1d(a)
    place = _storage.normal_axis(axis, a.ndim)
    extent = a._shape[place]
    counts = asarray(repeats).tolist()
    if isinstance(counts, int) or len(counts) == 1:
        counts = [counts if isinstance(counts, int) else counts[0]] * extent
    if len(counts) != extent:
        raise ValueError("operands could not be broadcast together")
    if any(count < 0 for count in counts):
        raise ValueError("repeats may not contain negative values.")
    order = [position for position, count in enumerate(counts) for _ in range(count)]
    key = (slice(None),) * place + (array(order, int),)
    return a[key]


def flip(m, axis=None):
    """The elements in reverse order along the axes."""
    m = asarray(m)
    axes = _storage.normal_axes(axis, m.ndim)
    return m[tuple(slice(None, None, -1 if place in axes else 1) for place in range(m.ndim))]


def split(ary, indices_or_sections, axis=0):
    """Parts along an axis, as views."""
    ary = asarray(ary)
    place = _storage.normal_axis(axis, ary.ndim)
    extent = ary._shape[place]
    if isinstance(indices_or_sections, int):
        if indices_or_sections < 1 or extent % indices_or_sections:
            raise ValueError("array split does not result in an equal division")
        width = extent // indices_or_sections
        cuts = list(range(width, extent, width))
    else:
        cuts = [cut.__index__() for cut in indices_or_sections]
    before = (slice(None),) * place
    bounds = [0, *cuts, extent]
    return [
        ary[(*before, slice(start, stop))] for start, stop in zip(bounds, bounds[1:], strict=False)
    ]

"""Reading and writing by index: numbers, slices, masks, and arrays of positions."""

from itertools import product
from math import prod

from numpy import _dtypes, _scalars, _storage
from numpy._array import make, ndarray
from numpy._buffers import buffer as buffer_of
from numpy._missing import missing
from numpy._shaping import array, asarray, broadcast_to, ravel, transpose

_WHOLE = slice(None)


def get(a, key):
    """`a[key]`: an element, a view, or for masks and position arrays a copy."""
    if type(key) is int and len(a._shape) == 1:
        extent = a._shape[0]
        if -extent <= key < extent:
            place = a._offset + (key if key >= 0 else key + extent) * a._strides[0]
            return _scalars.wrap(a._buffer[place], a.dtype)
    items = _expanded(a, key)
    picks = _picks(items)
    if picks:
        return _pick(a, items, picks)
    view = _slice(a, items)
    if not view._shape and Ellipsis not in _parts(key):
        return _scalars.wrap(a._buffer[view._offset], a.dtype)
    return view


def put(a, key, value):
    """`a[key] = value`; the value is repeated and converted as needed."""
    if not a._writable:
        raise ValueError("assignment destination is read-only")
    items = _expanded(a, key)
    picks = _picks(items)
    if picks:
        _put_picked(a, items, picks, value)
    else:
        target = _slice(a, items)
        target._write(_as_values(value, target._shape, a.dtype))


def take(a, indices, axis=None):
    """The elements at the positions given."""
    a = asarray(a)
    if axis is None:
        return get(ravel(a), asarray(indices, None) if not isinstance(indices, int) else indices)
    place = _storage.normal_axis(axis, a.ndim)
    picked = indices if isinstance(indices, int) else asarray(indices)
    return get(a, (*(_WHOLE,) * place, picked))


def nonzero(a):
    """The positions of the elements that are not zero, one array for each dimension."""
    a = asarray(a)
    if a.ndim == 0:
        raise ValueError("Calling nonzero on 0d arrays is not allowed.")
    flat = [position for position, value in enumerate(a._data()) if value]
    columns = []
    for step, extent in zip(_storage.strides_of(a._shape), a._shape, strict=True):
        places = [position // step % extent for position in flat]
        columns.append(make(buffer_of("q", places), (len(flat),), _dtypes.INT64))
    return tuple(columns)


def _parts(key):
    return [each for each in (key if isinstance(key, tuple) else (key,)) if each is Ellipsis]


def _expanded(a, key):
    """The key as one item for each dimension, with None where a dimension is added."""
    given = [_item(each) for each in (key if isinstance(key, tuple) else (key,))]
    used = sum(_consumes(each) for each in given)
    if used > a.ndim:
        raise IndexError(
            f"too many indices for array: array is {a.ndim}-dimensional, but {used} were indexed"
        )
    dots = [place for place, each in enumerate(given) if each is Ellipsis]
    if len(dots) > 1:
        raise IndexError("an index can only have a single ellipsis ('...')")
    rest = [_WHOLE] * (a.ndim - used)
    if dots:
        given[dots[0] : dots[0] + 1] = rest
    else:
        given += rest
    return _unmasked(a, given)


def _item(each):
    if each is None or each is Ellipsis or isinstance(each, slice):
        return each
    if isinstance(each, bool | _scalars.bool_):
        raise missing("a single truth value as index")
    if isinstance(each, int):
        return each
    if isinstance(each, list | tuple):
        each = array(each) if each else make(buffer_of("q"), (0,), _dtypes.INT64)
    if isinstance(each, ndarray):
        if each.dtype.kind not in "biu":
            raise IndexError("arrays used as indices must be of integer (or boolean) type")
        if each.dtype is _dtypes.BOOL and each.ndim == 0:
            raise missing("a single truth value as index")
        return each
    try:
        return each.__index__()
    except (AttributeError, TypeError):
        raise IndexError(
            "only integers, slices (`:`), ellipsis (`...`), numpy.newaxis (`None`) and integer "
            "or boolean arrays are valid indices"
        ) from None


def _consumes(item):
    if item is None or item is Ellipsis:
        return 0
    if isinstance(item, ndarray) and item.dtype is _dtypes.BOOL:
        return item.ndim
    return 1


def _unmasked(a, given):
    """Masks replaced by the positions that they select."""
    items, place = [], 0
    for item in given:
        if isinstance(item, ndarray) and item.dtype is _dtypes.BOOL:
            covered = a._shape[place : place + item.ndim]
            if item._shape != covered:
                raise IndexError(
                    f"boolean index did not match indexed array along axis {place}; "
                    f"size of axis is {covered} but size of corresponding boolean axis is "
                    f"{item._shape}"
                )
            items.extend(nonzero(item))
            place += item.ndim
        else:
            items.append(item)
            place += item is not None
    return items


def _picks(items):
    """Where the items are that select positions; numbers count too once an array is there."""
    if not any(isinstance(item, ndarray) for item in items):
        return []
    return [place for place, item in enumerate(items) if isinstance(item, ndarray | int)]


def _slice(a, items):
    """The window that numbers, slices and None select."""
    offset, shape, strides, axis = a._offset, [], [], 0
    for item in items:
        if item is None:
            shape.append(1)
            strides.append(0)
            continue
        extent, stride = a._shape[axis], a._strides[axis]
        if isinstance(item, slice):
            start, stop, step = item.indices(extent)
            count = len(range(start, stop, step))
            offset += start * stride if count else 0
            shape.append(count)
            strides.append(stride * step)
        else:
            offset += _position(item, extent, axis) * stride
        axis += 1
    return a._view(offset, tuple(shape), tuple(strides))


def _position(index, extent, axis):
    if not -extent <= index < extent:
        raise IndexError(f"index {index} is out of bounds for axis {axis} with size {extent}")
    return index if index >= 0 else index + extent


class _Selection:
    """What position arrays select: where each picked part begins, and the parts' shape."""

    def __init__(self, a, items, picks):
        view = _slice(a, [_WHOLE if place in picks else item for place, item in enumerate(items)])
        self.adjacent = picks[-1] - picks[0] == len(picks) - 1
        self.first = picks[0]
        indices = [asarray(items[place]) for place in picks]
        self.outer = _storage.broadcast_shapes(*(each._shape for each in indices))
        rest = [place for place in range(view.ndim) if place not in picks]
        self.rest_shape = tuple(view._shape[place] for place in rest)
        self.rest_strides = tuple(view._strides[place] for place in rest)
        self.offsets = [view._offset] * prod(self.outer)
        for place, each in zip(picks, indices, strict=True):
            extent, stride = view._shape[place], view._strides[place]
            for index in each._data():
                _position(index, extent, place)
            chosen = broadcast_to(each, self.outer)._data()
            self.offsets = [
                offset + (index if index >= 0 else index + extent) * stride
                for offset, index in zip(self.offsets, chosen, strict=True)
            ]

    def order(self):
        """The dimensions of the result, as places in `outer + rest`."""
        count, rest = len(self.outer), len(self.rest_shape)
        before = self.first if self.adjacent else 0
        return [
            *range(count, count + before),
            *range(count),
            *range(count + before, count + rest),
        ]


def _pick(a, items, picks):
    selection = _Selection(a, items, picks)
    data = buffer_of(a.dtype.code)
    if selection.rest_shape:
        for offset in selection.offsets:
            data.extend(
                _storage.gather(a._buffer, offset, selection.rest_shape, selection.rest_strides)
            )
    else:
        buffer = a._buffer
        data.extend([buffer[offset] for offset in selection.offsets])
    made = make(data, selection.outer + selection.rest_shape, a.dtype)
    order = selection.order()
    if order != list(range(made.ndim)):
        made = transpose(made, order)
        made = make(made._data(), made._shape, a.dtype)
    if not made._shape:
        return _scalars.wrap(data[0], a.dtype)
    return made


def _put_picked(a, items, picks, value):
    selection = _Selection(a, items, picks)
    shape = selection.outer + selection.rest_shape
    order = selection.order()
    target = tuple(shape[place] for place in order)
    values = make(_as_values(value, target, a.dtype), target, a.dtype)
    back = sorted(range(len(order)), key=order.__getitem__)
    data = transpose(values, back)._data() if order else values._data()
    size = prod(selection.rest_shape)
    for number, offset in enumerate(selection.offsets):
        _storage.scatter(
            a._buffer,
            offset,
            selection.rest_shape,
            selection.rest_strides,
            data[number * size : (number + 1) * size],
        )


def _as_values(value, shape, kind):
    """The value as a buffer of elements for that shape."""
    if kind is _dtypes.OBJECT and not isinstance(value, list | tuple | ndarray):
        return buffer_of("O", (value,)) * prod(shape)
    if isinstance(value, int | float) and not isinstance(value, _scalars.generic):
        if kind.kind in "iu" and isinstance(value, float):
            value = int(value)
        return buffer_of(kind.code, (_dtypes.checked(value, kind),)) * prod(shape)
    source = asarray(value)
    while source.ndim > len(shape) and source._shape[0] == 1:
        source = source._view(source._offset, source._shape[1:], source._strides[1:])
    data = broadcast_to(source, shape)._data()
    converted = _dtypes.convert(data, source.dtype, kind)
    return converted[:] if converted is source._buffer else converted


def iterate(shape):
    """All positions of a shape, row by row."""
    return product(*map(range, shape))

"""Strided elements: reading them in order, and writing them in place.

An array is a window on an `array.array`: an offset, a shape, and a stride for
each dimension, counted in elements. Innermost rows are moved with Python's
extended slices, which is what makes this fast enough.
"""

from math import prod

from numpy._buffers import buffer as buffer_of


def strides_of(shape):
    """The strides of elements that lie row by row without gaps."""
    strides = []
    step = 1
    for extent in reversed(shape):
        strides.append(step)
        step *= extent
    return tuple(reversed(strides))


def is_dense(shape, strides):
    """Whether the elements lie row by row without gaps."""
    step = 1
    for extent, stride in zip(reversed(shape), reversed(strides), strict=True):
        if extent == 0:
            return True
        if extent != 1 and stride != step:
            return False
        step *= extent
    return True


def gather(buffer, offset, shape, strides):
    """The elements in order, in a new buffer."""
    if 0 in shape:
        return buffer_of(buffer.typecode)
    if not shape:
        return buffer[offset : offset + 1]
    if is_dense(shape, strides):
        return buffer[offset : offset + prod(shape)]
    extent, stride = shape[0], strides[0]
    if len(shape) == 1:
        return _row(buffer, offset, extent, stride)
    if stride == 0:
        return gather(buffer, offset, shape[1:], strides[1:]) * extent
    gathered = buffer_of(buffer.typecode)
    for index in range(extent):
        gathered.extend(gather(buffer, offset + index * stride, shape[1:], strides[1:]))
    return gathered


def scatter(buffer, offset, shape, strides, values):
    """Writes `values`, in order, over the elements."""
    if 0 in shape:
        return
    if not shape:
        buffer[offset] = values[0]
    elif is_dense(shape, strides):
        buffer[offset : offset + len(values)] = values
    elif len(shape) == 1:
        buffer[_row_slice(offset, shape[0], strides[0])] = values
    else:
        size = prod(shape[1:])
        for index in range(shape[0]):
            part = values[index * size : (index + 1) * size]
            scatter(buffer, offset + index * strides[0], shape[1:], strides[1:], part)


def _row(buffer, offset, extent, stride):
    if stride == 0:
        return buffer[offset : offset + 1] * extent
    return buffer[_row_slice(offset, extent, stride)]


def _row_slice(offset, extent, stride):
    stop = offset + extent * stride
    return slice(offset, stop if stop >= 0 else None, stride)


def broadcast_shapes(*shapes):
    """The common shape.

    Raises ValueError where extents differ and none of them is one.
    """
    if len(set(shapes)) == 1:
        return shapes[0]
    length = max(map(len, shapes))
    padded = [(1,) * (length - len(shape)) + shape for shape in shapes]
    common = []
    for extents in zip(*padded, strict=True):
        others = set(extents) - {1}
        if len(others) > 1:
            shown = " ".join(str(shape).replace(" ", "") for shape in shapes)
            raise ValueError(f"operands could not be broadcast together with shapes {shown} ")
        common.append(others.pop() if others else 1)
    return tuple(common)


def broadcast_strides(shape, strides, target):
    """The strides that repeat an array of `shape` over the shape `target`."""
    lead = len(target) - len(shape)
    if lead < 0:
        raise ValueError(f"could not broadcast input array from shape {shape} into shape {target}")
    spread = [0] * lead
    for extent, stride, wanted in zip(shape, strides, target[lead:], strict=True):
        if extent != wanted and extent != 1:
            raise ValueError(
                f"could not broadcast input array from shape {shape} into shape {target}"
            )
        spread.append(stride if extent == wanted else 0)
    return tuple(spread)


def normal_axis(axis, count):
    """The axis counted from the front.

    Raises AxisError where there is no such axis.
    """
    position = axis.__index__()
    if not -count <= position < count:
        raise AxisError(f"axis {position} is out of bounds for array of dimension {count}")
    return position % count


def normal_axes(axis, count):
    """Several axes, sorted; None means all."""
    if axis is None:
        return tuple(range(count))
    given = axis if isinstance(axis, tuple | list) else (axis,)
    axes = tuple(sorted(normal_axis(each, count) for each in given))
    if len(set(axes)) != len(axes):
        raise ValueError("duplicate value in 'axis'")
    return axes


class AxisError(ValueError, IndexError):
    """An axis that the array does not have."""

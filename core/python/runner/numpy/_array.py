"""The array itself: a window on elements, with numpy's view semantics."""

from array import array as buffer_of
from math import prod

from numpy import _dtypes, _scalars, _storage
from numpy._buffers import Objects
from numpy._missing import missing

_operations = None
_reductions = None
_indexing = None
_printing = None
_shaping = None


def connect(operations, reductions, indexing, printing, shaping):
    """Hands in the modules that an array's methods are made of and that need arrays themselves."""
    global _operations, _reductions, _indexing, _printing, _shaping
    _operations, _reductions, _indexing = operations, reductions, indexing
    _printing, _shaping = printing, shaping


class ndarray:
    """Elements of one type in any number of dimensions."""

    __slots__ = (
        "_buffer",
        "_offset",
        "_shape",
        "_strides",
        "dtype",
        "base",
        "_writable",
        "_whole",
        "__weakref__",
    )
    __hash__ = None
    __array_priority__ = 0

    def __new__(cls, shape, dtype=float):
        kind = _dtypes.find(dtype)
        extents = _shaping.as_shape(shape)
        if kind is _dtypes.OBJECT:
            return make(Objects([None]) * prod(extents), extents, kind)
        return make(buffer_of(kind.code, bytes(kind.itemsize * prod(extents))), extents, kind)

    # What it is.

    @property
    def shape(self):
        """The extents, outermost first."""
        return self._shape

    @shape.setter
    def shape(self, value):
        reshaped = self.reshape(value)
        if reshaped._buffer is not self._buffer:
            raise AttributeError("incompatible shape for in-place modification")
        self._shape, self._strides = reshaped._shape, reshaped._strides
        self._whole = reshaped._whole

    @property
    def ndim(self):
        """How many dimensions."""
        return len(self._shape)

    @property
    def size(self):
        """How many elements."""
        return prod(self._shape)

    @property
    def itemsize(self):
        """Bytes of an element."""
        return self.dtype.itemsize

    @property
    def nbytes(self):
        """Bytes of all elements."""
        return self.size * self.dtype.itemsize

    @property
    def strides(self):
        """Bytes from one element to the next in each dimension."""
        return tuple(stride * self.dtype.itemsize for stride in self._strides)

    @property
    def T(self):
        """The array with its dimensions reversed."""
        return self.transpose()

    @property
    def flat(self):
        """An iterator over the elements."""
        return iter(self.ravel())

    # Elements.

    def _data(self):
        """The elements in order; the buffer itself where it holds just them, so never write to it."""
        if self._whole:
            return self._buffer
        buffer, size = self._buffer, prod(self._shape)
        if _storage.is_dense(self._shape, self._strides):
            return buffer[self._offset : self._offset + size]
        return _storage.gather(buffer, self._offset, self._shape, self._strides)

    def _write(self, values):
        """Writes a buffer of as many elements of the same type over the elements."""
        if not self._writable:
            raise ValueError("assignment destination is read-only")
        if values is self._buffer:
            values = values[:]
        _storage.scatter(self._buffer, self._offset, self._shape, self._strides, values)

    def _view(self, offset, shape, strides, whole=False):
        """Another window on the same elements; `whole` where it shows all of them in order."""
        view = object.__new__(ndarray)
        view._whole = whole
        view._buffer, view.dtype, view._writable = self._buffer, self.dtype, self._writable
        view._offset, view._shape, view._strides = offset, shape, strides
        view.base = self if self.base is None else self.base
        return view

    def tolist(self):
        """Nested lists of plain Python numbers."""
        data = self._data()
        flat = list(map(bool, data)) if self.dtype is _dtypes.BOOL else data.tolist()
        shape = self._shape
        if not shape:
            return flat[0]
        for position in range(len(shape) - 1, 0, -1):
            extent = shape[position]
            count = prod(shape[:position])
            flat = [flat[start * extent : (start + 1) * extent] for start in range(count)]
        return flat

    def item(self, *index):
        """One element as a plain Python number."""
        if index:
            position = index[0] if len(index) == 1 else index
            if isinstance(position, int) and self.ndim != 1:
                return self.ravel()[position].item()
            found = self[position]
            return found if self.dtype is _dtypes.OBJECT else found.item()
        if self.size != 1:
            raise ValueError("can only convert an array of size 1 to a Python scalar")
        return self.tolist() if not self._shape else self.ravel().tolist()[0]

    def tobytes(self, order="C"):
        """The elements' bytes in order, little endian."""
        if order not in ("C", None):
            raise missing(f"the memory order {order!r}")
        return self._data().tobytes()

    def fill(self, value):
        """Sets all elements."""
        self[...] = value

    def copy(self, order="C"):
        """A new array with the same elements."""
        return make(self._data()[:], self._shape, self.dtype)

    __copy__ = copy

    def __deepcopy__(self, _memo):
        return self.copy()

    def astype(self, dtype, order="K", casting="unsafe", subok=True, copy=True):
        """The elements as another type."""
        kind = _dtypes.find(dtype)
        if kind is self.dtype:
            return self.copy() if copy else self
        return make(_dtypes.convert(self._data(), self.dtype, kind), self._shape, kind)

    def view(self, *_arguments):
        """Only without arguments: another window on the same elements."""
        if _arguments:
            raise missing("the view of an array as another type")
        return self._view(self._offset, self._shape, self._strides, self._whole)

    def __getitem__(self, key):
        return _indexing.get(self, key)

    def __setitem__(self, key, value):
        _indexing.put(self, key, value)

    def __len__(self):
        if not self._shape:
            raise TypeError("len() of unsized object")
        return self._shape[0]

    def __iter__(self):
        if not self._shape:
            raise TypeError("iteration over a 0-d array")
        if len(self._shape) == 1:
            kind = self.dtype
            return (_scalars.wrap(value, kind) for value in self._data())
        return (self[index] for index in range(self._shape[0]))

    def __contains__(self, value):
        return bool(_reductions.any(self == value))

    def __bool__(self):
        if self.size != 1:
            if self.size == 0:
                raise ValueError(
                    "The truth value of an empty array is ambiguous. "
                    "Use `array.size > 0` to check that an array is not empty."
                )
            raise ValueError(
                "The truth value of an array with more than one element is ambiguous. "
                "Use a.any() or a.all()"
            )
        return bool(self._data()[0])

    def _only(self):
        if self.size != 1:
            raise TypeError("only 0-dimensional arrays can be converted to Python scalars")
        return self.item()

    def __int__(self):
        return int(self._only())

    def __float__(self):
        return float(self._only())

    def __index__(self):
        if self._shape or self.dtype.kind not in "iu":
            raise TypeError("only integer scalar arrays can be converted to a scalar index")
        return self.item()

    def __format__(self, spec):
        if not self._shape:
            return format(_scalars.wrap(self._data()[0], self.dtype), spec)
        if spec:
            raise TypeError("unsupported format string passed to numpy.ndarray.__format__")
        return str(self)

    def __repr__(self):
        return _printing.represent(self)

    def __str__(self):
        return _printing.show(self)

    def __reduce__(self):
        if self.dtype is _dtypes.OBJECT:
            return (_shaping.array, (self.tolist(), self.dtype))
        return (_rebuild, (self.tobytes(), self._shape, self.dtype.name))

    # Shape.

    def reshape(self, *shape, order="C"):
        """The same elements in another shape; a view where that is possible."""
        return _shaping.reshape(self, shape[0] if len(shape) == 1 else shape, order)

    def ravel(self, order="C"):
        """One dimension; a view where that is possible."""
        return _shaping.reshape(self, (-1,), order)

    def flatten(self, order="C"):
        """One dimension, copied."""
        return self.ravel(order).copy()

    def squeeze(self, axis=None):
        """Without the dimensions of extent one."""
        return _shaping.squeeze(self, axis)

    def transpose(self, *axes):
        """The dimensions in another order; reversed without arguments."""
        if len(axes) == 1 and (axes[0] is None or isinstance(axes[0], tuple | list)):
            axes = axes[0]
        return _shaping.transpose(self, axes or None)

    def swapaxes(self, first, second):
        """Two dimensions exchanged."""
        return _shaping.swapaxes(self, first, second)

    def repeat(self, repeats, axis=None):
        """Each element several times."""
        return _shaping.repeat(self, repeats, axis)

    def take(self, indices, axis=None):
        """The elements at the positions given."""
        return _indexing.take(self, indices, axis)

    def nonzero(self):
        """The positions of the elements that are not zero."""
        return _indexing.nonzero(self)

    # Reductions.

    def sum(self, axis=None, dtype=None, out=None, keepdims=False):
        """The sum."""
        return _reductions.sum(self, axis, dtype, out, keepdims)

    def prod(self, axis=None, dtype=None, out=None, keepdims=False):
        """The product."""
        return _reductions.prod(self, axis, dtype, out, keepdims)

    def mean(self, axis=None, dtype=None, out=None, keepdims=False):
        """The mean."""
        return _reductions.mean(self, axis, dtype, out, keepdims)

    def std(self, axis=None, dtype=None, out=None, ddof=0, keepdims=False):
        """The standard deviation."""
        return _reductions.std(self, axis, dtype, out, ddof, keepdims)

    def var(self, axis=None, dtype=None, out=None, ddof=0, keepdims=False):
        """The variance."""
        return _reductions.var(self, axis, dtype, out, ddof, keepdims)

    def min(self, axis=None, out=None, keepdims=False):
        """The smallest element."""
        return _reductions.min(self, axis, out, keepdims)

    def max(self, axis=None, out=None, keepdims=False):
        """The largest element."""
        return _reductions.max(self, axis, out, keepdims)

    def argmin(self, axis=None, out=None, keepdims=False):
        """The position of the smallest element."""
        return _reductions.argmin(self, axis, out, keepdims)

    def argmax(self, axis=None, out=None, keepdims=False):
        """The position of the largest element."""
        return _reductions.argmax(self, axis, out, keepdims)

    def any(self, axis=None, out=None, keepdims=False):
        """Whether any element is true."""
        return _reductions.any(self, axis, out, keepdims)

    def all(self, axis=None, out=None, keepdims=False):
        """Whether all elements are true."""
        return _reductions.all(self, axis, out, keepdims)

    def cumsum(self, axis=None, dtype=None, out=None):
        """The running sums."""
        return _reductions.cumsum(self, axis, dtype, out)

    def argsort(self, axis=-1, kind=None):
        """The positions that would sort the elements."""
        return _reductions.argsort(self, axis, kind)

    def sort(self, axis=-1, kind=None):
        """Sorts in place."""
        self._write(_reductions.sort(self, axis, kind)._data())

    def clip(self, min=None, max=None, out=None):
        """The elements moved into the bounds."""
        return _operations.clip(self, min, max, out)

    def round(self, decimals=0, out=None):
        """The elements rounded to that many decimals."""
        return _operations.round_(self, decimals, out)

    def dot(self, other):
        """The matrix product."""
        return _operations.dot(self, other)


def make(buffer, shape, kind):
    """An array of its own on a buffer that nobody else writes to."""
    made = object.__new__(ndarray)
    made._buffer = buffer
    made._shape = shape
    made.dtype = kind
    made._offset = 0
    made._writable = made._whole = True
    made.base = None
    dimensions = len(shape)
    if dimensions == 1:
        made._strides = (1,)
    elif dimensions == 2:
        made._strides = (shape[1], 1)
    else:
        made._strides = _storage.strides_of(shape)
    return made


def _rebuild(content, shape, name):
    kind = _dtypes.find(name)
    return make(buffer_of(kind.code, content), tuple(shape), kind)


def _install_operators():
    foreign = (bytes, dict, set)
    objects = (str, type(None))

    def binary(name, reflected=False):
        def operate(self, other):
            if isinstance(other, foreign):
                return NotImplemented
            if isinstance(other, objects) and self.dtype is not _dtypes.OBJECT:
                return NotImplemented
            operation = getattr(_operations, name)
            return operation(other, self) if reflected else operation(self, other)

        return operate

    def in_place(name):
        def operate(self, other):
            return _operations.in_place(name, self, other)

        return operate

    def unary(name):
        return lambda self: getattr(_operations, name)(self)

    for short, name in {**_scalars.BINARY, "matmul": "matmul"}.items():
        setattr(ndarray, f"__{short}__", binary(name))
        setattr(ndarray, f"__r{short}__", binary(name, reflected=True))
        setattr(ndarray, f"__i{short}__", in_place(name))
    for short, name in _scalars.COMPARISONS.items():
        setattr(ndarray, f"__{short}__", binary(name))
    for short, name in {
        "neg": "negative",
        "pos": "positive",
        "abs": "absolute",
        "invert": "invert",
    }.items():
        setattr(ndarray, f"__{short}__", unary(name))


_install_operators()

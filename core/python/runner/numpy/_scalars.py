"""Scalars: single elements that know their type."""

import math
from array import array

from numpy import _dtypes
from numpy._missing import missing

_operations = None


def connect(operations):
    """Hands in the module of element-wise operations, which itself needs the scalars."""
    global _operations
    _operations = operations


class generic:
    """What all scalars have in common."""

    __slots__ = ()
    dtype = None
    ndim = 0
    shape = ()
    size = 1
    __array_priority__ = 0

    @property
    def itemsize(self):
        """Bytes of the element."""
        return self.dtype.itemsize

    @property
    def T(self):
        """The scalar itself."""
        return self

    def tolist(self):
        """The value as a plain Python number."""
        return self.item()

    def astype(self, kind):
        """The value as another type."""
        target = _dtypes.find(kind)
        data = _dtypes.convert(_stored(self), self.dtype, target)
        return wrap(data[0], target)

    def tobytes(self):
        """The value's bytes, little endian."""
        return _stored(self).tobytes()

    def reshape(self, *shape):
        """A one-element array of that shape."""
        return _operations.as_array(self).reshape(*shape)

    def round(self, decimals=0):
        """The value rounded."""
        return _operations.round_(self, decimals)

    def sum(self, axis=None, dtype=None):
        """The value, in the type of a sum."""
        return _operations.as_array(self).sum(axis, dtype)

    def mean(self, axis=None, dtype=None):
        """The value, in the type of a mean."""
        return _operations.as_array(self).mean(axis, dtype)

    def min(self, axis=None):
        """The value itself."""
        return self

    max = min

    def __getitem__(self, key):
        if key == () or key is Ellipsis:
            return self
        raise IndexError("invalid index to scalar variable.")

    def __reduce__(self):
        return (type(self), (self.item(),))


class number(generic):
    """Integers and floats."""

    __slots__ = ()

    def __round__(self, digits=None):
        if digits is None:
            return round(self.item())
        return self.round(digits)


class integer(number):
    """Integers."""

    __slots__ = ()


class signedinteger(integer):
    """Integers with a sign."""

    __slots__ = ()


class unsignedinteger(integer):
    """Integers without a sign."""

    __slots__ = ()


class inexact(number):
    """Floats."""

    __slots__ = ()


class floating(inexact):
    """Floats."""

    __slots__ = ()


def _operator(name, reflected=False):
    def operate(self, other):
        operation = getattr(_operations, name)
        return operation(other, self) if reflected else operation(self, other)

    def guarded(self, other):
        if isinstance(other, str | bytes | dict | set) or other is None:
            return NotImplemented
        return operate(self, other)

    return guarded


def _comparison(name):
    def guarded(self, other):
        if isinstance(other, str | bytes | dict | set) or other is None:
            return NotImplemented
        return getattr(_operations, name)(self, other)

    return guarded


BINARY = {
    "add": "add",
    "sub": "subtract",
    "mul": "multiply",
    "truediv": "true_divide",
    "floordiv": "floor_divide",
    "mod": "remainder",
    "pow": "power",
    "and": "bitwise_and",
    "or": "bitwise_or",
    "xor": "bitwise_xor",
    "lshift": "left_shift",
    "rshift": "right_shift",
}
COMPARISONS = {
    "eq": "equal",
    "ne": "not_equal",
    "lt": "less",
    "le": "less_equal",
    "gt": "greater",
    "ge": "greater_equal",
}


def _operators():
    members = {}
    for short, name in BINARY.items():
        members[f"__{short}__"] = _operator(name)
        members[f"__r{short}__"] = _operator(name, reflected=True)
    for short, name in COMPARISONS.items():
        members[f"__{short}__"] = _comparison(name)
    members["__neg__"] = lambda self: _operations.negative(self)
    members["__pos__"] = lambda self: self
    members["__abs__"] = lambda self: _operations.absolute(self)
    members["__invert__"] = lambda self: _operations.invert(self)
    return members


def _stored(scalar):
    value = int(scalar) if scalar.dtype.kind == "b" else scalar
    return array(scalar.dtype.code, (value,))


def _construct(kind, value):
    """What `np.float32(value)` gives: a scalar, or an array for a sequence."""
    if isinstance(value, list | tuple) or hasattr(value, "_strides"):
        return _operations.as_array(value).astype(kind)
    return None


def _float_class(name, kind):
    def new(cls, value=0.0):
        made = _construct(kind, value)
        if made is not None:
            return made
        number_ = float(value)
        return float.__new__(cls, array("f", (number_,))[0] if kind is _dtypes.FLOAT32 else number_)

    members = {
        "__slots__": (),
        "__new__": new,
        "__hash__": float.__hash__,
        "__str__": lambda self: format_float(float(self), kind),
        "__repr__": lambda self: f"np.{name}({format_float(float(self), kind)})",
        "__format__": lambda self, spec: format(float(self), spec),
        "item": lambda self: float(self),
        "is_integer": lambda self: float(self).is_integer(),
        "dtype": kind,
        "__doc__": f"A {name}.",
        "__round__": number.__round__,
        "__reduce__": generic.__reduce__,
        **_operators(),
    }
    bases = (floating, float)
    return type(name, bases, members)


def _integer_class(name, kind, base):
    def new(cls, value=0):
        made = _construct(kind, value)
        if made is not None:
            return made
        whole = int(value)
        low, high = kind.limits
        if not low <= whole <= high:
            raise OverflowError(f"Python integer {whole} out of bounds for {name}")
        return int.__new__(cls, whole)

    members = {
        "__slots__": (),
        "__new__": new,
        "__hash__": int.__hash__,
        "__str__": int.__repr__,
        "__repr__": lambda self: f"np.{name}({int.__repr__(self)})",
        "__format__": lambda self, spec: format(int(self), spec),
        "item": lambda self: int(self),
        "dtype": kind,
        "__doc__": f"An {name}.",
        "__round__": number.__round__,
        "__reduce__": generic.__reduce__,
        **_operators(),
    }
    return type(name, (base, int), members)


class bool_(generic):
    """A truth value; no `int`, as in numpy."""

    __slots__ = ("_value",)

    def __new__(cls, value=False):
        made = _construct(_dtypes.BOOL, value)
        if made is not None:
            return made
        return TRUE if value else FALSE

    @classmethod
    def _of(cls, value):
        made = object.__new__(cls)
        made._value = value
        return made

    def item(self):
        """The plain truth value."""
        return self._value

    def __bool__(self):
        return self._value

    def __int__(self):
        return int(self._value)

    def __float__(self):
        return float(self._value)

    def __hash__(self):
        return hash(self._value)

    def __str__(self):
        return str(self._value)

    def __repr__(self):
        return f"np.{self._value}_"

    def __format__(self, spec):
        return format(self._value, spec)


for _name, _member in _operators().items():
    setattr(bool_, _name, _member)
bool_.__name__ = "bool"

TRUE = bool_._of(True)
FALSE = bool_._of(False)

int8 = _integer_class("int8", _dtypes.INT8, signedinteger)
int16 = _integer_class("int16", _dtypes.INT16, signedinteger)
int32 = _integer_class("int32", _dtypes.INT32, signedinteger)
int64 = _integer_class("int64", _dtypes.INT64, signedinteger)
uint8 = _integer_class("uint8", _dtypes.UINT8, unsignedinteger)
uint16 = _integer_class("uint16", _dtypes.UINT16, unsignedinteger)
uint32 = _integer_class("uint32", _dtypes.UINT32, unsignedinteger)
uint64 = _integer_class("uint64", _dtypes.UINT64, unsignedinteger)
float32 = _float_class("float32", _dtypes.FLOAT32)
float64 = _float_class("float64", _dtypes.FLOAT64)

bool_.dtype = _dtypes.BOOL
for _class in (
    bool_,
    int8,
    int16,
    int32,
    int64,
    uint8,
    uint16,
    uint32,
    uint64,
    float32,
    float64,
):
    _dtypes.name_scalar(_class.dtype, _class)
    _class.__module__ = "numpy"


def wrap(value, kind):
    """A stored element as a scalar."""
    if kind is _dtypes.FLOAT64:
        return float.__new__(float64, value)
    if kind is _dtypes.BOOL:
        return TRUE if value else FALSE
    if kind is _dtypes.FLOAT32:
        return float.__new__(float32, value)
    if kind is _dtypes.OBJECT:
        return value
    return int.__new__(kind.type, value)


def format_float(value, kind):
    """The shortest text that reads back as the same element."""
    if math.isnan(value):
        return "nan"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    if kind is _dtypes.FLOAT64:
        return repr(value)
    digits, exponent = shortest(value, kind)
    return _positional(value, digits, exponent)


def shortest(value, kind):
    """The fewest significant digits that tell the element apart, and its decimal exponent."""
    wanted = abs(value)
    if kind is _dtypes.FLOAT64:
        text = f"{float(repr(wanted)):.17e}" if wanted == 0 else _shortest64(wanted)
    else:
        text = _shortest32(wanted)
    mantissa, _, exponent = text.partition("e")
    digits = mantissa.replace(".", "").rstrip("0") or "0"
    return digits, int(exponent)


def _shortest64(value):
    text = repr(value)
    count = len(text.partition("e")[0].replace(".", "").lstrip("0"))
    return f"{value:.{max(count, 1) - 1}e}"


def _shortest32(value):
    for digits in range(8):
        text = f"{value:.{digits}e}"
        if array("f", (float(text),))[0] == value:
            return text
    return f"{value:.8e}"


def _positional(value, digits, exponent):
    sign = "-" if math.copysign(1.0, value) < 0 else ""
    if value != 0 and (exponent < -4 or exponent >= 16):
        fraction = f".{digits[1:]}" if len(digits) > 1 else ""
        return f"{sign}{digits[0]}{fraction}e{exponent:+03d}"
    if value == 0:
        return f"{sign}0.0"
    if exponent < 0:
        return f"{sign}0.{'0' * (-exponent - 1)}{digits}"
    whole = digits[: exponent + 1].ljust(exponent + 1, "0")
    return f"{sign}{whole}.{digits[exponent + 1 :] or '0'}"


def no_scalar(name):
    """The exception for a scalar class that is not carried."""
    return missing(f"the data type {name}")

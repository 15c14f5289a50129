"""Element types: what they are called, how they are stored, what they become together."""

from array import array

from numpy._buffers import Objects
from numpy._missing import missing


class dtype:
    """An element type. There is one object of each, so `is` and `==` agree."""

    __slots__ = ("name", "kind", "char", "itemsize", "code", "type", "limits")

    def __new__(cls, kind=None, **_options):
        return find(kind)

    @property
    def str(self):
        """Byte order, kind and size, e.g. `<f4`."""
        if self.kind == "O":
            return "|O"
        order = "|" if self.itemsize == 1 else "<"
        return f"{order}{self.kind}{self.itemsize}"

    @property
    def names(self):
        """None: there are no structured types here."""
        return None

    @property
    def descr(self):
        """The type as a list of fields."""
        return [("", self.str)]

    def __eq__(self, other):
        if isinstance(other, dtype):
            return self is other
        try:
            return find(other) is self
        except (TypeError, NotImplementedError):
            return False

    def __hash__(self):
        return hash(self.name)

    def __str__(self):
        return self.name

    def __repr__(self):
        return f"dtype('{self.name}')"

    def __reduce__(self):
        return (dtype, (self.name,))


def _make(name, kind, char, code, itemsize):
    made = object.__new__(dtype)
    made.name, made.kind, made.char, made.code, made.itemsize = name, kind, char, code, itemsize
    bits = 8 * itemsize
    made.limits = {
        "i": (-(1 << (bits - 1)), (1 << (bits - 1)) - 1),
        "u": (0, (1 << bits) - 1),
    }.get(kind)
    made.type = None
    return made


BOOL = _make("bool", "b", "?", "B", 1)
INT8 = _make("int8", "i", "b", "b", 1)
INT16 = _make("int16", "i", "h", "h", 2)
INT32 = _make("int32", "i", "i", "i", 4)
INT64 = _make("int64", "i", "l", "q", 8)
UINT8 = _make("uint8", "u", "B", "B", 1)
UINT16 = _make("uint16", "u", "H", "H", 2)
UINT32 = _make("uint32", "u", "I", "I", 4)
UINT64 = _make("uint64", "u", "L", "Q", 8)
FLOAT32 = _make("float32", "f", "f", "f", 4)
FLOAT64 = _make("float64", "f", "d", "d", 8)
OBJECT = _make("object", "O", "O", "O", 8)

ALL = (BOOL, INT8, INT16, INT32, INT64, UINT8, UINT16, UINT32, UINT64, FLOAT32, FLOAT64, OBJECT)

_NAMES = {each.name: each for each in ALL}
_NAMES.update({each.str: each for each in ALL})
_NAMES.update({each.str[1:]: each for each in ALL})
_NAMES.update({each.str.replace("<", "="): each for each in ALL})
_NAMES.update({each.char: each for each in ALL})
_NAMES.update(
    {
        "bool_": BOOL,
        "int": INT64,
        "int_": INT64,
        "intp": INT64,
        "uint": UINT64,
        "float": FLOAT64,
        "single": FLOAT32,
        "double": FLOAT64,
        "q": INT64,
        "Q": UINT64,
        bool: BOOL,
        int: INT64,
        float: FLOAT64,
        object: OBJECT,
        "O8": OBJECT,
        None: FLOAT64,
    }
)
_ELSEWHERE = (
    "float16",
    "half",
    "e",
    "f2",
    "complex",
    "str",
    "datetime64",
    "timedelta64",
)


def name_scalar(kind, scalar_class):
    """Connects a type with the class of its scalars."""
    kind.type = scalar_class
    _NAMES[scalar_class] = kind


def find(kind):
    """The type of that name, class or object; None means float64.

    Raises TypeError for what is no type and NotImplementedError for numpy's other types.
    """
    if isinstance(kind, dtype):
        return kind
    try:
        return _NAMES[kind]
    except (KeyError, TypeError):
        pass
    shown = getattr(kind, "__name__", kind)
    if not isinstance(shown, str):
        raise missing("structured data types")
    if shown.startswith(_ELSEWHERE) or shown[:1] in "<>=|SUVM":
        raise missing(f"the data type {shown}")
    raise TypeError(f"data type {shown!r} not understood")


def _promote(first, second):
    if first is second or first is OBJECT:
        return first
    if second is OBJECT or first is BOOL:
        return second
    if second is BOOL:
        return first
    if first.kind == "f" or second.kind == "f":
        narrow = all(each is FLOAT32 or each.itemsize <= 2 for each in (first, second))
        return FLOAT32 if narrow else FLOAT64
    if first.kind == second.kind:
        return first if first.itemsize >= second.itemsize else second
    signed, unsigned = (first, second) if first.kind == "i" else (second, first)
    if unsigned.itemsize < signed.itemsize:
        return signed
    return {1: INT16, 2: INT32, 4: INT64, 8: FLOAT64}[unsigned.itemsize]


_PROMOTED = {(first, second): _promote(first, second) for first in ALL for second in ALL}


def promote(first, second):
    """The type that holds the values of both."""
    return _PROMOTED[first, second]


def can_cast_same_kind(source, target):
    """Whether an in-place operation may store `source` into `target`."""
    order = "buifO"
    if source.kind == "i" and target.kind == "u":
        return False
    return order.index(source.kind) <= order.index(target.kind)


def store(values, kind):
    """An `array.array` of computed values; integers wrap round as in C."""
    if kind is OBJECT:
        return Objects(values)
    if kind.kind in "iu" and not isinstance(values, list):
        values = list(values)
    try:
        return array(kind.code, values)
    except OverflowError:
        low, high = kind.limits
        span = high - low + 1
        return array(kind.code, [(value - low) % span + low for value in values])


def convert(data, source, target):
    """The elements of `data`, of type `source`, as type `target`; shares nothing unless equal."""
    if source is target:
        return data
    if target is OBJECT:
        return Objects(map(bool, data) if source is BOOL else data)
    if source is OBJECT:
        return store([_number(each, target) for each in data], target)
    if target.kind == "f":
        # Through a list: an array given an array of another code appends one by one.
        return array(target.code, data.tolist())
    if target is BOOL:
        return array("B", [value != 0 for value in data])
    if source.kind == "f":
        return store(_truncated(data), target)
    if source.limits and target.limits and source.itemsize == target.itemsize:
        return array(target.code, data.tobytes())
    return store(data.tolist(), target)


def _number(value, target):
    if target.kind == "f":
        return float(value)
    return bool(value) if target is BOOL else int(value)


def _truncated(data):
    try:
        return [int(value) for value in data]
    except (OverflowError, ValueError):
        raise missing("the conversion of NaN or infinity to an integer type") from None


def checked(value, kind):
    """A Python number as an element of `kind`.

    Raises OverflowError for an integer that does not fit, as numpy does.
    """
    if kind is OBJECT:
        return value
    if kind.kind == "f":
        return float(value) if kind is FLOAT64 else array("f", (value,))[0]
    if kind is BOOL:
        return 1 if value else 0
    whole = int(value)
    low, high = kind.limits
    if not low <= whole <= high:
        raise OverflowError(f"Python integer {whole} out of bounds for {kind.name}")
    return whole

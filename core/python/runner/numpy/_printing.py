"""How arrays look in a log, after numpy's own rules for the default options."""

import math

from numpy import _dtypes
from numpy._scalars import format_float, shortest
from numpy._shaping import concatenate

_LINE = 75
_PRECISION = 8
_THRESHOLD = 1000
_EDGE = 3


def show(a):
    """`str(a)`."""
    return _text(a, " ", "")


def represent(a):
    """`repr(a)`."""
    prefix = "array("
    if a.size == 0:
        body = "[]"
    else:
        body = _text(a, ", ", prefix)
    extras = []
    if a.size == 0 and a.shape != (0,):
        extras.append(f"shape={a.shape}")
    if a.dtype not in (_dtypes.INT64, _dtypes.FLOAT64, _dtypes.BOOL) or a.size == 0:
        extras.append(f"dtype={a.dtype.name}")
    if a.size and a.size > _THRESHOLD:
        extras.insert(0, f"shape={a.shape}")
    if not extras:
        return f"{prefix}{body})"
    last = body.rsplit("\n", 1)[-1]
    width = len(last) + (0 if "\n" in body else len(prefix))
    gap = ",\n" + " " * len(prefix) if width + len(", ".join(extras)) + 3 > _LINE else ", "
    return f"{prefix}{body}{gap}{', '.join(extras)})"


def _text(a, separator, prefix):
    if a.size == 0:
        return "[]"
    summary = a.size > _THRESHOLD
    form = _formatter(_edges(a).ravel() if summary else a)
    if not a.shape:
        value = a.item()
        if a.dtype.kind == "f" and not prefix:
            return format_float(value, a.dtype)
        return form(value).strip()
    # Room for the comma or bracket behind the last word, and for each closing bracket.
    width = _LINE - 1 - (a.ndim - 1) - (1 if prefix else 0)
    return _block(a, form, " " * (len(prefix) + 1), separator, summary, width)


def _edges(a):
    for axis in range(a.ndim):
        if a.shape[axis] > 2 * _EDGE:
            before = (slice(None),) * axis
            a = concatenate(
                [a[(*before, slice(None, _EDGE))], a[(*before, slice(-_EDGE, None))]], axis
            )
    return a


def _block(a, form, indent, separator, summary, width):
    extent = a.shape[0]
    if summary and extent > 2 * _EDGE:
        items = [*range(_EDGE), None, *range(extent - _EDGE, extent)]
    else:
        items = range(extent)
    if a.ndim == 1:
        words = ["..." if item is None else form(a.item(item)) for item in items]
        return _lines(words, indent, separator, width)
    gap = separator.rstrip() + "\n" * (a.ndim - 1) + indent
    inner = indent + " "
    parts = [
        "..." if item is None else _block(a[item], form, inner, separator, summary, width)
        for item in items
    ]
    return f"[{gap.join(parts)}]"


def _lines(words, indent, separator, width):
    lines, line = [], indent
    for word in words[:-1]:
        if len(line) + len(word) > width and len(line) > len(indent):
            lines.append(line.rstrip())
            line = indent
        line += word + separator
    word = words[-1]
    if len(line) + len(word) > width and len(line) > len(indent):
        lines.append(line.rstrip())
        line = indent
    lines.append(line + word)
    return f"[{chr(10).join(lines)[len(indent) :]}]"


def _formatter(a):
    values = a.ravel().tolist()
    if a.dtype is _dtypes.OBJECT:
        return repr
    if a.dtype.kind != "f":
        if a.dtype is _dtypes.BOOL:
            return lambda value: str(value).rjust(len("False"))
        width = max(len(str(value)) for value in values)
        return lambda value: str(value).rjust(width)
    return _float_formatter(values, a.dtype)


def _float_formatter(values, kind):
    finite = [value for value in values if math.isfinite(value)]
    nonzero = [abs(value) for value in finite if value != 0]
    special = [format_float(value, kind) for value in values if not math.isfinite(value)]
    scientific = bool(nonzero) and (
        max(nonzero) >= 1e8 or min(nonzero) < 1e-4 or max(nonzero) / min(nonzero) > 1e3
    )
    word = _scientific(finite, kind) if scientific else _positional(finite, kind)
    width = max([len(word(value)) for value in finite] + [len(each) for each in special])

    def form(value):
        text = word(value) if math.isfinite(value) else format_float(value, kind)
        return text.rjust(width)

    return form


def _rounded(value, kind, decimals):
    """Digits after the point that a value needs, `decimals` at most."""
    digits, exponent = shortest(value, kind)
    return min(max(len(digits) - 1 - exponent, 0), decimals)


def _positional(finite, kind):
    places = 0
    for value in finite:
        text = f"{abs(value):.{_rounded(value, kind, _PRECISION)}f}"
        if "." in text:
            places = max(places, len(text.partition(".")[2].rstrip("0")))
    left = max((len(_trim(value, kind, places).partition(".")[0]) for value in finite), default=1)

    def word(value):
        whole, _, fraction = _trim(value, kind, places).partition(".")
        return f"{whole.rjust(left)}.{fraction.ljust(places)}"

    return word


def _trim(value, kind, places):
    text = f"{value:.{_rounded(value, kind, places)}f}"
    whole, _, fraction = text.partition(".")
    return f"{whole}.{fraction.rstrip('0')}" if places else f"{whole}."


def _scientific(finite, kind):
    places = size = 0
    for value in finite:
        digits, _ = shortest(value, kind)
        text = f"{abs(value):.{min(len(digits) - 1, _PRECISION)}e}"
        mantissa, _, exponent = text.partition("e")
        places = max(places, len(mantissa.partition(".")[2].rstrip("0")))
        size = max(size, len(exponent) - 1)

    def word(value):
        mantissa, _, exponent = f"{value:.{places}e}".partition("e")
        point = "" if "." in mantissa else "."
        return f"{mantissa}{point}e{exponent[0]}{exponent[1:].rjust(size, '0')}"

    return word

"""Refuses JSON that is nested too deeply, as an exception instead of a trap.

The decoder written in C calls itself for each level. In WebAssembly the stack
of those calls ends in a trap, which costs the whole instance; CPython's own
check does not see that stack.
"""

import json.decoder
import re
from itertools import accumulate

# As far as CPython goes under its default recursion limit.
DEEPEST = 990

_KEPT = b"[]{}"
_OTHERS = bytes(set(range(256)) - set(_KEPT))
_PASSES = 16
_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"?', re.DOTALL)

_decode = json.decoder.JSONDecoder.decode


def guard():
    """Puts the check before every decoding of JSON."""
    json.decoder.JSONDecoder.decode = _checked_decode


def check(text):
    """Raises RecursionError if `text`, taken as JSON, is nested too deeply."""
    if text.count("[") + text.count("{") > DEEPEST and _may_be_deep(text):
        steps = (1 if each in "[{" else -1 for each in _TEXT.sub("", text) if each in "[]{}")
        if max(accumulate(steps), default=0) > DEEPEST:
            raise RecursionError("maximum recursion depth exceeded while decoding JSON")


def _checked_decode(self, s, *arguments, **options):
    check(s)
    return _decode(self, s, *arguments, **options)


def _may_be_deep(text):
    """A quick upper bound: what is left when the innermost pairs are taken away."""
    left = text.encode("utf-8", "surrogatepass").translate(None, _OTHERS)
    for _ in range(_PASSES):
        left = left.replace(b"[]", b"").replace(b"{}", b"")
        if left.count(b"[") + left.count(b"{") <= DEEPEST - _PASSES:
            return False
    return True

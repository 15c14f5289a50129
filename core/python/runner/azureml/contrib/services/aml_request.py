"""`@rawhttp` and the request that such a `run()` gets."""

from lusk_runner.http import Request

_requested = False


def rawhttp(function):
    """Has `run()` called with the whole request instead of the body's text."""
    global _requested
    _requested = True
    return function


def raw_requested():
    """Whether any function was decorated with `@rawhttp`."""
    return _requested


AMLRequest = Request

"""A light way to give resources of the host back.

The generated bindings attach a `weakref.finalize` to every resource. That costs
about as much as the call to the host itself, and a scoring request makes a
handful of resources. Here the resource simply owns an object that drops it.
"""

import weakref


class Finalizer:
    """Calls `drop` when its owner is gone; used like `weakref.finalize`."""

    __slots__ = ("_call",)

    def __init__(self, owner, drop, /, *arguments):
        self._call = (owner.__class__, drop, arguments, {})

    def detach(self):
        """What would have been called, which now is the caller's to do."""
        call, self._call = self._call, None
        return call

    def __del__(self):
        if self._call is not None:
            _, drop, arguments, _ = self._call
            drop(*arguments)


class _Weakref:
    """Stands in for the module `weakref` in the generated bindings."""

    finalize = Finalizer


_original = weakref.finalize


def install(bindings):
    """Has the modules of the bindings use `Finalizer`.

    The runtime below them looks for `weakref.finalize` once, while the component is built.
    """
    for module in bindings:
        module.weakref = _Weakref
    weakref.finalize = Finalizer


def uninstall():
    """Gives scripts the real thing."""
    weakref.finalize = _original

"""Waits for a debugger before the script is imported."""

import sys

from lusk_runner.script import IMPORT_ERROR, StartFailure


def wait(port):
    """Listens on the loopback and returns when a client is there."""
    try:
        import debugpy
    except ImportError:
        raise StartFailure(
            IMPORT_ERROR,
            f"a debugger is wanted on port {port}, but {sys.executable} has no debugpy; add "
            "`debugpy` to the environment's dependencies, or run "
            f"`{sys.executable} -m pip install debugpy`",
        ) from None
    try:
        debugpy.listen(("127.0.0.1", port))
    except (OSError, RuntimeError) as error:
        raise StartFailure(
            IMPORT_ERROR, f"no debugger can be waited for on 127.0.0.1:{port}: {error}"
        ) from None
    print(f"waiting for a debugger on 127.0.0.1:{port}", flush=True)
    debugpy.wait_for_client()

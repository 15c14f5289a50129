"""The channel to lusk: frames over a socket.

A frame is two lengths (32 bits, little endian), a JSON object of the first
length and raw bytes of the second. lusk speaks first, and then one side after
the other.
"""

import json
import os
import select
import signal
import struct
import threading

_LENGTHS = struct.Struct("<II")
_HEAD_LIMIT = 1 << 20
_JOINED_LIMIT = 64 << 10


class Closed(Exception):
    """lusk is gone."""


class Channel:
    """This end of the socket. What the script starts does not inherit it."""

    def __init__(self):
        self._fd = os.dup(0)  # closed on exec
        self._owner = os.getpid()
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0, inheritable=True)
        os.close(nothing)
        os.register_at_fork(after_in_child=self._forget)

    def close_others(self):
        """Closes every descriptor that is neither the channel nor a standard one."""
        try:
            names = os.listdir("/proc/self/fd")
        except OSError:
            return
        for number in map(int, names):
            if number > 2 and number != self._fd:
                try:
                    os.close(number)
                except OSError:  # the one that listed them
                    pass

    def watch(self):
        """Ends this process and its group when lusk is gone, whatever the script does."""
        threading.Thread(target=self._await_end, name="lusk-channel", daemon=True).start()

    def receive(self):
        """The next frame: its head, and its body as bytes."""
        head, body = _LENGTHS.unpack(self._read(_LENGTHS.size))
        return json.loads(self._read(head)), self._read(body)

    def send(self, head, body=b""):
        """Sends a frame; ValueError if the head is too large."""
        text = json.dumps(head).encode("ascii")
        if len(text) > _HEAD_LIMIT:
            raise ValueError(
                f"the headers have {len(text)} bytes, at most {_HEAD_LIMIT} are possible"
            )
        start = _LENGTHS.pack(len(text), len(body)) + text
        if len(body) <= _JOINED_LIMIT:
            self._write(start + body)
        else:
            self._write(start)
            self._write(body)

    def _read(self, size):
        parts = []
        while size:
            part = os.read(self._fd, min(size, 1 << 20))
            if not part:
                raise Closed
            parts.append(part)
            size -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _write(self, data):
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._fd, rest) :]
            except (BrokenPipeError, ConnectionResetError):
                raise Closed from None

    def _await_end(self):
        poll = select.poll()
        poll.register(self._fd, 0)
        while not poll.poll():
            pass
        os.killpg(os.getpgrp(), signal.SIGKILL)

    def _forget(self):
        """A forked child must not hold the channel open."""
        if self._fd is not None:
            fd, self._fd = self._fd, None
            os.close(fd)

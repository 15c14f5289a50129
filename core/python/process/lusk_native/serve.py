"""Starts the entry script and answers requests, one after the other."""

import faulthandler
import os
import sys
import traceback
from time import perf_counter_ns

from lusk_native import carried, packages
from lusk_native.channel import Channel, Closed


def main(folder):
    """Serves until lusk closes the channel; `folder` holds the carried modules."""
    code = 0
    try:
        _serve(folder)
    except Closed:
        pass
    except BaseException:  # lusk's own fault, or an interrupt between two requests
        traceback.print_exc()
        code = 1
    # Threads and exit handlers of the script must not keep the process.
    os._exit(code)


def _serve(folder):
    channel = Channel()
    channel.close_others()
    # Nothing of the user's is imported before lusk has set the limits and said so.
    order, _ = channel.receive()
    channel.watch()
    _prepare(folder, order)
    if _start(channel, order):
        while True:
            _answer(channel, order["replyLimit"])


def _prepare(folder, order):
    # A line is one write to the log, instead of one for each part of it.
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(
            encoding="utf-8", errors="backslashreplace", line_buffering=True, write_through=False
        )
    faulthandler.enable()
    carried.install(folder)
    if order["packages"]:
        packages.add(order["packages"], order["compiled"], folder)


def _start(channel, order):
    """Says whether the script is ready, and tells lusk."""
    try:
        # Imported late: the environment may have packages of the same names.
        from lusk_runner import failure, scoring, script
    except Exception as error:
        channel.send({"failed": f"UserScriptImportError: {type(error).__name__}: {error}"})
        return False
    managed = bool(order["packages"])
    failure.hint_for_package = lambda package: packages.hint(package, managed)
    try:
        if order["debugPort"]:
            from lusk_native import debugger

            debugger.wait(order["debugPort"])
        scoring.start()
        schema = scoring.answer(scoring.SCHEMA_METHOD, "/swagger.json", [], "").body
    except script.StartFailure as failed:
        channel.send({"failed": failed.text})
        return False
    except Exception as error:
        channel.send({"failed": f"UserScriptInitFailed: no schema: {failure.summary(error)}"})
        return False
    channel.send({"ready": True}, schema.encode("utf-8"))
    return True


def _answer(channel, limit):
    from lusk_runner import scoring

    head, body = channel.receive()
    started = perf_counter_ns()
    try:
        reply = scoring.answer(head["method"], head["target"], head["headers"], body)
    except scoring.BadRequest as refused:
        channel.send({"badRequest": str(refused)})
    except scoring.ScriptFailure as failed:
        channel.send({"raised": failed.summary})
    else:
        took = perf_counter_ns() - started
        _reply(channel, reply, took, limit)


def _reply(channel, reply, took, limit):
    body = reply.body
    if isinstance(body, str):
        body = body.encode("utf-8", "replace")
    if len(body) > limit:
        problem = f"the reply has {len(body)} bytes, at most {limit} are possible"
        print(problem, file=sys.stderr, flush=True)
        return channel.send({"raised": problem})
    head = {"status": reply.status, "headers": reply.headers, "nanoseconds": took}
    try:
        channel.send(head, body)
    except ValueError as problem:
        channel.send({"raised": str(problem)})

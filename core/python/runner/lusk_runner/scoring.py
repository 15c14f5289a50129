"""Answers requests: what `run()` gets for each kind of script, and what is made of its result."""

import inspect
import json
import sys

from lusk_runner import failure, script, swagger
from lusk_runner.http import FAILED_HEADER, JSON_TYPE, BadRequest, Request, Response
from lusk_runner.multidict import Headers, MultiDict

from urllib.parse import parse_qsl

# Not a method of HTTP: the host asks for the script's schema by it.
SCHEMA_METHOD = "SCHEMA"

_REQUIRED = inspect.Parameter.empty
_JSON_HEADERS = [("content-type", JSON_TYPE), (FAILED_HEADER, "False")]

_current = None


class ScriptFailure(Exception):
    """`run()` raised; the traceback is in the log and `summary` is its last line."""

    def __init__(self, summary):
        self.summary = summary
        super().__init__(summary)


class Reply:
    """What goes back to the host."""

    __slots__ = ("status", "headers", "body")

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body


def start():
    """Loads the entry script and calls its `init()`.

    Raises `script.StartFailure`.
    """
    global _current
    try:
        loaded = script.load()
        try:
            loaded.init()
        except BaseException as error:  # an exit or an interrupt is a failed start, too
            raise script.StartFailure.caused_by(script.INIT_FAILED, error) from None
        _current = loaded
    finally:
        _flush()


def answer(method, target, headers, body):
    """The reply to one request; `headers` are pairs, `body` is text or bytes.

    Raises `BadRequest` or `ScriptFailure`.
    """
    if _current is None:
        raise ScriptFailure("the entry script was not started")
    if method == SCHEMA_METHOD:
        return Reply(200, _JSON_HEADERS, json.dumps(swagger.describe(_current)))
    try:
        arguments = _ARGUMENTS[_current.kind](_current, method, target, headers, body)
        if isinstance(arguments, Reply):
            return arguments
        if _current.wants_headers:
            arguments["request_headers"] = Headers(headers).to_dict()
        try:
            result = _current.run(**arguments)
        except BaseException as error:  # sys.exit() in a script must not end the replica
            raise _failed(error) from None
        return _reply(result)
    finally:
        _flush()


def _plain_arguments(current, method, target, headers, body):
    name = current.parameters[0].name
    if method == "GET":
        return {name: json.dumps(_query(target))}
    if not isinstance(body, str):
        try:
            body = str(body, "utf-8")
        except UnicodeDecodeError as error:
            raise BadRequest(f"the body is not UTF-8: {error}") from None
    return {name: body}


def _schema_arguments(current, method, target, headers, body):
    if method == "GET":
        values = _query(target)
    else:
        request = Request(method, target, headers, body)
        if not request.is_json:
            return _refusal(415, "the script takes JSON: send Content-Type: application/json")
        values = _json_object(body)
    arguments = {}
    for parameter in current.parameters:
        value = values.get(parameter.name, parameter.default)
        if value is _REQUIRED:
            raise BadRequest(f"the input lacks a value for the parameter `{parameter.name}`")
        arguments[parameter.name] = value
    return arguments


def _raw_arguments(current, method, target, headers, body):
    return {current.parameters[0].name: Request(method, target, headers, body)}


_ARGUMENTS = {
    script.PLAIN: _plain_arguments,
    script.SCHEMA: _schema_arguments,
    script.RAW: _raw_arguments,
}


def _json_object(body):
    if not body:
        raise BadRequest("the body is empty; the script takes a JSON object")
    try:
        values = json.loads(body)
    except ValueError as error:
        raise BadRequest(f"the body is not JSON: {error}") from None
    except RecursionError:
        raise BadRequest("the body is JSON that is nested too deeply") from None
    if not isinstance(values, dict):
        raise BadRequest("the body is JSON, but not an object with the script's parameters")
    return values


def _query(target):
    """The query's parameters, each value as JSON where it is JSON."""
    pairs = parse_qsl(target.partition("?")[2], keep_blank_values=True)
    values = {}
    for name, texts in MultiDict(pairs).lists():
        parsed = [_json_or_text(text) for text in texts]
        values[name] = parsed if len(parsed) > 1 else parsed[0]
    return values


def _json_or_text(text):
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _reply(result):
    if isinstance(result, Response):
        return _own_reply(result)
    if _is_foreign_response(result):
        return _own_reply(_taken_over(result))
    try:
        body = json.dumps({} if result is None else result)
    except BaseException as error:
        _log_result(result, error)
        return _refusal(500, "an internal error occurred while the result was written")
    return Reply(200, _JSON_HEADERS, body)


def _is_foreign_response(result):
    """Whether it is Flask's response, or one that is made like it."""
    return hasattr(result, "status_code") and callable(getattr(result, "get_data", None))


def _taken_over(result):
    taken = Response(result.get_data(), result.status_code)
    taken.headers = Headers(result.headers.items())
    return taken


def _own_reply(response):
    if response.status_code >= 500:
        response.headers[FAILED_HEADER] = "True"
    elif FAILED_HEADER not in response.headers:
        response.headers[FAILED_HEADER] = "False"
    return Reply(response.status_code, response.headers.lines(), response.body())


def _refusal(status, message):
    return Reply(status, _JSON_HEADERS, json.dumps({"message": message}))


def _failed(error):
    failure.report(error)
    return ScriptFailure(failure.summary(error))


def _log_result(result, error):
    print(
        f"run() returned a {type(result).__name__} that is not JSON-serialisable: "
        f"{failure.summary(error)}",
        file=sys.stderr,
    )


def _flush():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):  # closed by the script: its log ends here
            pass

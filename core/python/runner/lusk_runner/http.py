"""Requests and responses with the interface that scripts know from Flask."""

import json
from collections.abc import Iterable, Mapping
from urllib.parse import parse_qsl

from lusk_runner.multidict import Headers, MultiDict

JSON_TYPE = "application/json"
FORM_TYPE = "application/x-www-form-urlencoded"
TEXT_TYPE = "text/html; charset=utf-8"

FAILED_HEADER = "x-ms-run-function-failed"


class BadRequest(Exception):
    """The request does not hold what was asked of it."""

    code = 400


class UnsupportedMediaType(BadRequest):
    """The request's content type is not JSON."""

    code = 415


class Request:
    """A scoring request, as a script with `@rawhttp` gets it."""

    def __init__(self, method, target, headers, body):
        self.method = method
        self.headers = Headers(headers)
        self.path, _, query = target.partition("?")
        self.query_string = query.encode("utf-8", "surrogateescape")
        self._query = query
        self._body = body
        self._json = None
        self._args = None
        self._form = None

    @property
    def data(self):
        """The body as bytes."""
        return self.get_data()

    def get_data(self, cache=True, as_text=False, parse_form_data=False):
        """The body, as bytes or as text."""
        body = self._body
        if as_text:
            return body if isinstance(body, str) else body.decode("utf-8", "replace")
        return body.encode("utf-8") if isinstance(body, str) else body

    @property
    def stream(self):
        """The body as a binary file."""
        from io import BytesIO

        return BytesIO(self.get_data())

    @property
    def args(self):
        """The query's parameters."""
        if self._args is None:
            self._args = MultiDict(parse_qsl(self._query, keep_blank_values=True))
        return self._args

    @property
    def form(self):
        """The parameters of a url-encoded body."""
        if self._form is None:
            if self.mimetype == "multipart/form-data":
                raise NotImplementedError("multipart forms are not carried; read `data`")
            coded = self.get_data(as_text=True) if self.mimetype == FORM_TYPE else ""
            self._form = MultiDict(parse_qsl(coded, keep_blank_values=True))
        return self._form

    @property
    def values(self):
        """The parameters of the query and of a url-encoded body."""
        return MultiDict([*self.args.items(multi=True), *self.form.items(multi=True)])

    @property
    def files(self):
        """Not carried."""
        raise NotImplementedError("uploaded files are not carried; read `data`")

    @property
    def json(self):
        """The body as JSON."""
        return self.get_json()

    def get_json(self, force=False, silent=False, cache=True):
        """The body as JSON; `silent` gives None where it is not."""
        if not (force or self.is_json):
            if silent:
                return None
            raise UnsupportedMediaType("the content type of the request is not application/json")
        if self._json is None or not cache:
            try:
                self._json = json.loads(self._body)
            except ValueError as error:
                if silent:
                    return None
                raise BadRequest(f"the body of the request is not JSON: {error}") from error
        return self._json

    @property
    def content_type(self):
        """The header `Content-Type`, or None."""
        return self.headers.get("content-type")

    @property
    def mimetype(self):
        """The content type without its parameters, in lower case."""
        return (self.content_type or "").partition(";")[0].strip().lower()

    @property
    def is_json(self):
        """Whether the content type is JSON."""
        kind = self.mimetype
        return kind == JSON_TYPE or (kind.startswith("application/") and kind.endswith("+json"))

    @property
    def content_length(self):
        """The header `Content-Length` as a number, or None."""
        length = self.headers.get("content-length", "")
        return int(length) if length.isdigit() else None

    @property
    def full_path(self):
        """Path and query, always with a question mark."""
        return f"{self.path}?{self._query}"

    @property
    def host(self):
        """The header `Host`."""
        return self.headers.get("host", "localhost")

    @property
    def scheme(self):
        """`http`, or what the proxy in front says."""
        return self.headers.get("x-forwarded-proto", "http")

    @property
    def host_url(self):
        """Scheme and host, with a slash at the end."""
        return f"{self.scheme}://{self.host}/"

    @property
    def base_url(self):
        """The URL without the query."""
        return f"{self.scheme}://{self.host}{self.path}"

    @property
    def url(self):
        """The whole URL."""
        return f"{self.base_url}?{self._query}" if self._query else self.base_url

    @property
    def cookies(self):
        """The cookies by name."""
        pairs = (pair.partition("=") for pair in self.headers.get("cookie", "").split(";"))
        return {name.strip(): value.strip() for name, _, value in pairs if name.strip()}

    def __repr__(self):
        return f"<{type(self).__name__} '{self.url}' [{self.method}]>"


class Response:
    """An answer as a script can build it itself."""

    def __init__(self, response=None, status=200, headers=None, mimetype=None, content_type=None):
        self.status_code = _status_code(status)
        self.headers = Headers(_pairs(headers))
        self.set_data(response if response is not None else b"")
        kind = content_type or mimetype
        if kind or "content-type" not in self.headers:
            self.headers["Content-Type"] = kind or TEXT_TYPE

    @property
    def status(self):
        """The status as text."""
        return str(self.status_code)

    @status.setter
    def status(self, value):
        self.status_code = _status_code(value)

    def get_data(self, as_text=False):
        """The body, as bytes or as text."""
        body = self._body
        if as_text:
            return body if isinstance(body, str) else bytes(body).decode("utf-8")
        return body.encode("utf-8") if isinstance(body, str) else bytes(body)

    def set_data(self, value):
        """Replaces the body by text, bytes, or an iterable of both."""
        if isinstance(value, (str, bytes)):
            self._body = value
        elif isinstance(value, (bytearray, memoryview)):
            self._body = bytes(value)
        elif isinstance(value, Iterable) and not isinstance(value, Mapping):
            self._body = b"".join(_bytes(part) for part in value)
        else:
            raise TypeError(
                f"the body of a response is text, bytes or an iterable of them, "
                f"not {type(value).__name__}"
            )

    data = property(get_data, set_data)

    @property
    def json(self):
        """The body as JSON."""
        return json.loads(self._body)

    def get_json(self, force=False, silent=False):
        """The body as JSON; `silent` gives None where it is not."""
        try:
            return self.json
        except ValueError:
            if silent:
                return None
            raise

    @property
    def content_type(self):
        """The header `Content-Type`."""
        return self.headers.get("content-type")

    @content_type.setter
    def content_type(self, value):
        self.headers["Content-Type"] = value

    mimetype = content_type

    def body(self):
        """The body as it goes out: text or bytes."""
        return self._body

    def __repr__(self):
        return f"<{type(self).__name__} {len(self._body)} [{self.status}]>"


def _pairs(headers):
    if headers is None:
        return ()
    return headers.items() if isinstance(headers, Mapping) else headers


def _status_code(status):
    code = int(status.split(None, 1)[0]) if isinstance(status, str) else int(status)
    if not 200 <= code <= 599:
        raise ValueError(f"the status of a response lies between 200 and 599, not at {code}")
    return code


def _bytes(part):
    if isinstance(part, str):
        return part.encode("utf-8")
    if isinstance(part, int):
        raise TypeError("the body of a response is text, bytes or an iterable of them")
    return bytes(part)

"""The response that an entry script can build itself."""

import json

from lusk_runner.http import FAILED_HEADER, JSON_TYPE, Response


class AMLResponse(Response):
    """An answer with a status, headers and a body of the script's choice."""

    def __init__(
        self,
        message,
        status_code,
        response_headers=None,
        json_str=False,
        run_function_failed=False,
    ):
        headers = response_headers or {}
        if message is None:
            super().__init__("{}", status_code, mimetype=JSON_TYPE)
        elif json_str:
            super().__init__(json.dumps(message), status_code, mimetype=JSON_TYPE)
        else:
            super().__init__(message, status_code)
        self.headers[FAILED_HEADER] = str(bool(run_function_failed))
        for name, value in headers.items():
            self._set_lines(name, str(value))

    def _set_lines(self, name, value):
        if name.lower() == "content-type":
            self.headers.remove(name)
        for part in value.split(","):
            self.headers.add(name, part.strip())

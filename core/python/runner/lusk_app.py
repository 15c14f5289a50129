"""The component: what the world `entry-script` exports, in Python.

Everything that takes time at import happens here, once, when lusk is built:
the component is a snapshot of the interpreter after this module was loaded.
"""

import lusk_runner.preload  # noqa: F401  (imports the standard library's usual modules)
from lusk_runner import depth, handles, library, scoring, script

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports import errors, graph, inference, tensor
from wit_world.imports.types import (
    Payload_Bytes,
    Payload_Text,
    Response,
    RunError_BadRequest,
    RunError_Script,
)

import azureml.core  # noqa: F401
import azureml.contrib.services.aml_response  # noqa: F401
import azureml.monitoring  # noqa: F401
import azureml_inference_server_http.api.aml_response  # noqa: F401
import inference_schema.schema_decorators  # noqa: F401
import lusk.core  # noqa: F401
import numpy  # noqa: F401
import onnxruntime  # noqa: F401


class Entry(exports.Entry):
    """The exported interface `lusk:scoring/entry`."""

    def init(self):
        handles.uninstall()
        try:
            scoring.start()
        except script.StartFailure as failure:
            problem = failure.text
        else:
            return
        raise Err(problem)

    def run(self, req):
        try:
            reply = scoring.answer(req.method, req.target, req.headers, req.body.value)
        except scoring.BadRequest as refused:
            problem = RunError_BadRequest(str(refused))
        except scoring.ScriptFailure as failure:
            problem = RunError_Script(failure.summary)
        else:
            body = reply.body
            payload = Payload_Text(body) if isinstance(body, str) else Payload_Bytes(body)
            return Response(reply.status, reply.headers, payload)
        raise Err(problem)


depth.guard()
handles.install((errors, graph, inference, tensor))
library.freeze()

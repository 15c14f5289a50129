"""What a script says of its input and output, for the service's swagger document."""

import inference_schema.schema_util

UNKNOWN = {"type": "object", "example": {}}


def describe(current):
    """Kind of `run`, and the Swagger 2 schemas of its input and output."""
    util = inference_schema.schema_util
    return {
        "kind": current.kind,
        "input": _schema(util.get_input_schema, current.run),
        "output": _schema(util.get_output_schema, current.run),
    }


def _schema(told, run):
    """What the decorators recorded; the package may be the original, which has its own ways."""
    if not inference_schema.schema_util.is_schema_decorated(run):
        return UNKNOWN
    try:
        schema = told(run)
    except Exception:  # the original raises where one of the two decorators is missing
        return UNKNOWN
    return schema if isinstance(schema, dict) and len(schema) > 1 else UNKNOWN

"""What a script says of its input and output, for the service's swagger document."""

import inference_schema.schema_util

UNKNOWN = {"type": "object", "example": {}}


def describe(current):
    """Kind of `run`, and the Swagger 2 schemas of its input and output."""
    return {
        "kind": current.kind,
        "input": inference_schema.schema_util.get_input_schema(current.run) or UNKNOWN,
        "output": inference_schema.schema_util.get_output_schema(current.run) or UNKNOWN,
    }

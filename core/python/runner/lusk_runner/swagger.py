"""What a script says of its input and output, for the service's swagger document."""

import inference_schema.schema_util

UNKNOWN = {"type": "object", "example": {}}


def describe(current):
    """Kind of `run`, and the Swagger 2 schemas of its input and output."""
    schemas = inference_schema.schema_util.schemas_of(current.run)
    return {
        "kind": current.kind,
        "input": schemas.input if schemas and schemas.input else UNKNOWN,
        "output": schemas.output if schemas and schemas.output else UNKNOWN,
    }

"""What the decorators have recorded of a function."""

_MARK = "__inference_schema__"


class Schemas:
    """The schemas of one function, as far as it was decorated."""

    def __init__(self):
        self.input = None
        self.output = None


def schemas_of(function):
    """The schemas recorded on a function, or None."""
    return getattr(function, _MARK, None)


def record_on(wrapper, function):
    """The schemas of `function`, shared with the `wrapper` around it."""
    schemas = schemas_of(function) or Schemas()
    setattr(wrapper, _MARK, schemas)
    return schemas


def is_schema_decorated(function):
    """Whether `@input_schema` or `@output_schema` stands over the function."""
    return schemas_of(function) is not None


def get_input_schema(function):
    """The Swagger 2 schema of the input; a bare object where none was given."""
    schemas = schemas_of(function)
    return schemas.input if schemas and schemas.input else {"type": "object"}


def get_output_schema(function):
    """The Swagger 2 schema of the output; a bare object where none was given."""
    schemas = schemas_of(function)
    return schemas.output if schemas and schemas.output else {"type": "object"}


def get_supported_versions(_function):
    """The swagger versions that the document can be had in."""
    return ["2.0", "3.0", "3.1"]

"""Data frames are not carried."""

from inference_schema.parameter_types.abstract_parameter_type import AbstractParameterType


class PandasParameterType(AbstractParameterType):
    """Exists so that its import works and the reason is told where it is used."""

    def __init__(self, *_arguments, **_options):
        raise NotImplementedError(
            "PandasParameterType needs pandas, which has native code and is not in the sandbox; "
            "the `process` runtime (`python.userManagedDependencies: true`) runs such a script"
        )

    def deserialize_input(self, input_data):
        raise NotImplementedError

    def input_to_swagger(self):
        raise NotImplementedError

"""Parameters that are arrays."""

import numpy

from inference_schema.parameter_types.abstract_parameter_type import AbstractParameterType

_FORMATS = {
    "bool": {"type": "boolean"},
    "float32": {"type": "number", "format": "float"},
    "float64": {"type": "number", "format": "double"},
}


class NumpyParameterType(AbstractParameterType):
    """An array like the sample; its first dimension may have any length."""

    def __init__(self, sample_input, enforce_column_type=True, enforce_shape=True):
        if not isinstance(sample_input, numpy.ndarray):
            raise TypeError(
                f"the sample is a numpy array, not a value of type {type(sample_input).__name__}"
            )
        super().__init__(sample_input)
        self.enforce_column_type = enforce_column_type
        self.enforce_shape = enforce_shape

    def deserialize_input(self, input_data):
        if isinstance(input_data, numpy.ndarray):
            return input_data
        if not isinstance(input_data, list):
            raise ValueError(
                f"the input is of type {type(input_data).__name__}, an array is expected"
            )
        kind = self.sample_input.dtype if self.enforce_column_type else None
        array = numpy.array(input_data, dtype=kind)
        if self.enforce_shape:
            self._check_shape(array.shape)
        return array

    def _check_shape(self, shape):
        wanted = self.sample_input.shape
        if len(shape) != len(wanted) or shape[1:] != wanted[1:]:
            extents = ", ".join(["any", *map(str, wanted[1:])])
            raise ValueError(
                f"the input has the shape {shape}, ({extents}) is expected: "
                f"{len(wanted)} dimension(s)"
            )

    def input_to_swagger(self):
        name = self.sample_input.dtype.name
        schema = dict(_FORMATS.get(name) or {"type": "integer", "format": name})
        for _ in self.sample_input.shape:
            schema = {"type": "array", "items": schema}
        schema["example"] = self.sample_input.tolist()
        schema["format"] = "numpy.ndarray"
        return schema

"""Parameters that are data frames."""

import json

from inference_schema.parameter_types.abstract_parameter_type import AbstractParameterType
from inference_schema.parameter_types.standard_py_parameter_type import (
    StandardPythonParameterType,
)

ORIENTS = ("split", "records", "index", "columns", "values", "table")


class PandasParameterType(AbstractParameterType):
    """A frame like the sample; it may have any number of rows."""

    def __init__(
        self,
        sample_input,
        enforce_column_type=True,
        enforce_shape=True,
        apply_column_names=False,
        orient="records",
    ):
        if not isinstance(sample_input, _pandas().DataFrame):
            raise TypeError(
                f"the sample is a data frame, not a value of type {type(sample_input).__name__}"
            )
        if orient not in ORIENTS:
            raise ValueError(f"the orient `{orient}` is none of {', '.join(ORIENTS)}")
        super().__init__(sample_input)
        self.enforce_column_type = enforce_column_type
        self.enforce_shape = enforce_shape
        self.apply_column_names = apply_column_names
        self.orient = orient

    def deserialize_input(self, input_data):
        pandas = _pandas()
        if isinstance(input_data, pandas.DataFrame):
            return input_data
        if not isinstance(input_data, (list, dict)):
            raise ValueError(
                f"the input is of type {type(input_data).__name__}, a data frame as JSON is expected"
            )
        frame = self._frame(pandas, input_data)
        if self.apply_column_names:
            frame.columns = list(self.sample_input.columns)
        if self.enforce_shape and frame.shape[1] != self.sample_input.shape[1]:
            raise ValueError(
                f"the input has {frame.shape[1]} column(s), "
                f"{self.sample_input.shape[1]} are expected"
            )
        if self.enforce_column_type:
            kinds = self.sample_input.dtypes.to_dict()
            frame = frame.astype({name: kinds[name] for name in frame.columns if name in kinds})
        return frame

    def _frame(self, pandas, data):
        if self.orient in ("index", "columns"):
            return pandas.DataFrame.from_dict(data, orient=self.orient)
        if self.orient == "split":
            return pandas.DataFrame(data["data"], data.get("index"), data.get("columns"))
        if self.orient == "table":
            from io import StringIO

            return pandas.read_json(StringIO(json.dumps(data)), orient="table")
        return pandas.DataFrame(data)

    def input_to_swagger(self):
        sample = self.sample_input.to_json(orient=self.orient, date_format="iso")
        schema = StandardPythonParameterType(json.loads(sample)).input_to_swagger()
        schema["format"] = f"pandas.DataFrame:{self.orient}"
        return schema


def _pandas():
    try:
        import pandas
    except ModuleNotFoundError as error:
        raise NotImplementedError(
            "PandasParameterType needs pandas, which has native code and is not in the sandbox; "
            "the `process` runtime (`python.userManagedDependencies: true`) runs such a script"
        ) from error
    return pandas

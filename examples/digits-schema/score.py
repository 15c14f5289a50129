import numpy as np
import onnxruntime
from azureml.core.model import Model
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
from inference_schema.schema_decorators import input_schema, output_schema

sample_input = np.zeros((1, 64), dtype=np.float32)
sample_output = {"label": [7]}


def init():
    global session, input_name

    session = onnxruntime.InferenceSession(Model.get_model_path("digits"))
    input_name = session.get_inputs()[0].name


@input_schema("data", NumpyParameterType(sample_input))
@output_schema(StandardPythonParameterType(sample_output))
def run(data):
    labels = session.run(None, {input_name: data.astype(np.float32)})[0]
    return {"label": labels.tolist()}

import json
import os

import numpy as np
import onnxruntime


def init():
    global session, input_name

    model_path = os.path.join(os.getenv("AZUREML_MODEL_DIR"), "digits.onnx")
    session = onnxruntime.InferenceSession(model_path)
    input_name = session.get_inputs()[0].name
    print("loaded", model_path)


def run(raw_data):
    data = np.array(json.loads(raw_data)["data"], dtype=np.float32)
    labels, probabilities = session.run(None, {input_name: data})
    return {"label": labels.tolist(), "probabilities": probabilities.tolist()}

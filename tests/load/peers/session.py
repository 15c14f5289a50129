"""The digits model in onnxruntime, one thread: what all Python peers have in common."""

import os

import numpy as np
import onnxruntime


def session():
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(
        os.environ["LOAD_MODEL"], options, providers=["CPUExecutionProvider"]
    )


def predict(model, rows):
    """Labels and probabilities of rows of 64 floats."""
    return model.run(None, {"X": np.asarray(rows, dtype=np.float32)})

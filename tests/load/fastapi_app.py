"""The peer: the digits model behind FastAPI and onnxruntime, one worker."""

import os

import numpy as np
import onnxruntime
from fastapi import FastAPI
from pydantic import BaseModel

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
options.inter_op_num_threads = 1
options.add_session_config_entry("session.intra_op.allow_spinning", "0")
session = onnxruntime.InferenceSession(
    os.environ["LOAD_MODEL"], options, providers=["CPUExecutionProvider"]
)
app = FastAPI()


class Body(BaseModel):
    data: list[list[float]]


@app.post("/score")
async def score(body: Body):
    rows = np.asarray(body.data, dtype=np.float32)
    labels, probabilities = session.run(None, {"X": rows})
    return {"label": labels.tolist(), "probabilities": probabilities.tolist()}

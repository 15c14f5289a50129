"""The digits model as an entry script of the original's scoring server."""

import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from session import predict, session  # noqa: E402


def init():
    global model
    model = session()


def run(raw_data):
    labels, probabilities = predict(model, json.loads(raw_data)["data"])
    return {"label": labels.tolist(), "probabilities": probabilities.tolist()}

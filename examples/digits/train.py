"""Trains the digits model that this example deploys.

    pip install numpy scikit-learn skl2onnx
    python train.py

The data set comes with scikit-learn: 1,797 handwritten digits of 8x8 pixels.
The result is committed, so nobody needs to run this to try the example.
"""

import json
import pathlib

import numpy as np
from skl2onnx import to_onnx
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

HERE = pathlib.Path(__file__).resolve().parent

pixels, labels = load_digits(return_X_y=True)
pixels = (pixels / 16).astype(np.float32)
train, test, train_labels, test_labels = train_test_split(
    pixels, labels, test_size=0.2, random_state=7, stratify=labels
)
classifier = MLPClassifier(hidden_layer_sizes=(100,), max_iter=400, random_state=7)
classifier.fit(train, train_labels)
print(f"accuracy on unseen digits: {classifier.score(test, test_labels):.3f}")

# ZipMap would turn the probabilities into a list of dictionaries.
model = to_onnx(classifier, train[:1], options={id(classifier): {"zipmap": False}}, target_opset=15)
(HERE / "model").mkdir(exist_ok=True)
(HERE / "model" / "digits.onnx").write_bytes(model.SerializeToString())

seven = test[test_labels == 7][0]
body = {"data": [[round(float(pixel), 4) for pixel in seven]]}
(HERE / "digit-seven.json").write_text(json.dumps(body) + "\n")

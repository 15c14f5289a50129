"""Trains the model: a logistic regression on scikit-learn's own iris data.

    python3 train.py model/iris.pkl
"""

import sys

import joblib
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

x, y = load_iris(return_X_y=True)
model = make_pipeline(StandardScaler(), LogisticRegression(random_state=0)).fit(x, y)
print("right on its own data:", model.score(x, y))
joblib.dump(model, sys.argv[1])

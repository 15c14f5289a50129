"""One estimator, what it learns from and what it is asked."""

import dataclasses
import typing

import numpy as np

# A classifier's scores as a table, or as a map from label to score for each row.
ZIPPED = {"flat": {"zipmap": False}, "maps": {}}
PLAIN = {"": {}}


def classified(estimator, rows):
    return [estimator.predict(rows), estimator.predict_proba(rows)]


def scored(estimator, rows):
    """Of a classifier without probabilities; two classes have one margin."""
    margin = estimator.decision_function(rows)
    return [estimator.predict(rows), np.c_[-margin, margin] if margin.ndim == 1 else margin]


def predicted(estimator, rows):
    return [estimator.predict(rows)]


def transformed(estimator, rows):
    answer = estimator.transform(rows)
    return [answer.toarray() if hasattr(answer, "toarray") else answer]


@dataclasses.dataclass
class Case:
    name: str
    estimator: typing.Any
    learn: typing.Any
    target: typing.Any
    rows: typing.Any
    # From estimator and rows to a list of arrays, one for each output.
    answers: typing.Callable
    # Exports with different options; the key is the end of the name.
    forms: dict = dataclasses.field(default_factory=lambda: PLAIN)
    # The inputs' names and types, where they are not one table of 32-bit floats.
    kinds: typing.Any = None
    # The library whose converter is to be used, if it is not skl2onnx.
    booster: typing.Any = None
    # From rows to a list of arrays, one for each input.
    enter: typing.Any = None
    # From estimator to the words that name the columns of its input.
    vocabulary: typing.Any = None

    def fit(self):
        self.estimator.fit(self.learn, self.target)

    def inputs(self):
        if self.enter:
            return self.enter(self.rows)
        whole = np.asarray(self.rows).dtype.kind == "i"
        return [np.asarray(self.rows).astype(np.int64 if whole else np.float32)]


def classifier(name, estimator, split, answers=classified, forms=ZIPPED, **more):
    return Case(name, estimator, *split, answers, forms, **more)


def regressor(name, estimator, split, **more):
    return Case(name, estimator, *split, predicted, **more)


def transformer(name, estimator, split, **more):
    return Case(name, estimator, *split, transformed, **more)

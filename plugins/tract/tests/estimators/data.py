"""scikit-learn's bundled data, split in rows to learn from and rows to be asked about.

Numbers are multiples of 1/1024: a 32-bit float holds them, and the mean of two, which trees
choose as thresholds. A model is asked with floats of 32 bits and exported with such thresholds;
what it answers beside a rounded threshold would say nothing about who computes it.
"""

import functools

import numpy as np
from sklearn import datasets
from sklearn.model_selection import train_test_split

NAMES = {"iris": datasets.load_iris, "wine": datasets.load_wine, "cancer": datasets.load_breast_cancer,
         "digits": datasets.load_digits, "diabetes": datasets.load_diabetes, "linnerud": datasets.load_linnerud}


@functools.cache
def split(name):
    """What to learn from, its target, what to ask about."""
    data, target = NAMES[name](return_X_y=True)
    if name == "diabetes":
        # Unscaled, as a patient's record has it.
        data = datasets.load_diabetes(scaled=False)["data"]
    data = np.round(data * 1024) / 1024
    learn, ask, known, _ = train_test_split(data, target, test_size=0.4, random_state=0)
    return learn, known, ask


def named(name):
    """The same with the names of the classes as target."""
    learn, known, ask = split(name)
    return learn, NAMES[name]()["target_names"][known].astype(object), ask


def whole(name, steps=5):
    """The same with small whole numbers in place of measures."""
    learn, known, ask = split(name)
    edges = np.quantile(learn, np.linspace(0, 1, steps + 1)[1:-1], axis=0)
    count = lambda rows: (rows[:, None, :] > edges[None]).sum(axis=1).astype(np.int64)
    return count(learn), known, count(ask)


def gaps(name):
    """The same with every seventh number missing."""
    learn, known, ask = (part.copy() for part in split(name))
    learn.ravel()[::7] = np.nan
    ask.ravel()[3::7] = np.nan
    return learn, known, ask


def words(name, steps=("low", "middle", "high")):
    """The same with words in place of measures."""
    learn, known, ask = whole(name, len(steps))
    return np.array(steps, object)[learn], known, np.array(steps, object)[ask]

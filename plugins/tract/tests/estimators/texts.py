"""Texts as columns: words counted and weighed. They are what scikit-learn says of its own data."""

import re

import numpy as np
from sklearn import datasets, ensemble, linear_model, pipeline
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.model_selection import train_test_split
from skl2onnx.common.data_types import StringTensorType

from case import classifier, transformer

ABOUT = {"flowers": datasets.load_iris, "wines": datasets.load_wine, "tumours": datasets.load_breast_cancer}
KINDS = [("X", StringTensorType([None, 1]))]
# The export knows words by this expression, and not by the edges of words.
WORDS = {"token_pattern": "[a-zA-Z0-9_]+"}


def sentences():
    """Sentences of descriptions, and what they describe."""
    told = {topic: re.split(r"[.\n]\s+", load().DESCR) for topic, load in ABOUT.items()}
    told = [(text, topic) for topic, texts in told.items() for text in texts if text.isascii() and len(text) > 20]
    texts, topics = (np.array(column, object) for column in zip(*told))
    learn, ask, known, _ = train_test_split(texts, topics, test_size=0.4, random_state=0)
    return learn, known, ask


def as_column(texts):
    return [texts.reshape(-1, 1)]


def cases():
    given = {"kinds": KINDS, "enter": as_column}
    split = sentences()
    yield transformer("texts_counted", CountVectorizer(**WORDS), split, **given)
    yield transformer("texts_present", CountVectorizer(binary=True, **WORDS), split, **given)
    yield transformer("texts_pairs", CountVectorizer(ngram_range=(1, 2), **WORDS), split, **given)
    yield transformer("texts_weighed", TfidfVectorizer(**WORDS), split, **given)
    yield transformer("texts_stopped", TfidfVectorizer(stop_words=["the", "of"], **WORDS), split, **given)
    logistic = linear_model.LogisticRegression()
    yield classifier("texts_logistic", pipeline.make_pipeline(TfidfVectorizer(**WORDS), logistic), split, **given)
    forest = ensemble.RandomForestClassifier(20, random_state=0)
    yield classifier("texts_forest", pipeline.make_pipeline(CountVectorizer(**WORDS), forest), split, **given)

"""Pipelines of several columns and kinds, as tables of records are prepared."""

import numpy as np
import pandas
from sklearn import compose, decomposition, ensemble, feature_extraction, impute, linear_model
from sklearn import pipeline, preprocessing, svm, datasets
from sklearn.model_selection import train_test_split
from skl2onnx.common.data_types import DictionaryType, FloatTensorType, Int64TensorType, StringTensorType

from case import classifier, regressor, transformer
from data import named, split

SEED = {"random_state": 0}


def records():
    """Patients with columns of numbers, whole numbers and words, and their illness's progress."""
    frame = datasets.load_diabetes(scaled=False, as_frame=True).frame
    table = (frame[["bmi", "bp", "s5"]] * 1024).round() / 1024
    table["age"] = frame["age"].astype(np.int64)
    table["sex"] = np.where(frame["sex"] == 1, "female", "male").astype(object)
    table["sugar"] = pandas.cut(frame["s6"], [0, 80, 95, 110, 1000], labels=["low", "normal", "high", "alarming"]).astype(object)
    learn, ask, known, _ = train_test_split(table, frame["target"], test_size=0.4, random_state=0)
    return learn, known, ask


NUMBERS, WHOLE, WORDS = ["bmi", "bp", "s5"], ["age"], ["sex", "sugar"]
KINDS = [(name, FloatTensorType([None, 1])) for name in NUMBERS] + [("age", Int64TensorType([None, 1]))] \
    + [(name, StringTensorType([None, 1])) for name in WORDS]


def columns_of(rows):
    """One input for each column, as skl2onnx has it for tables with named columns."""
    def values(name):
        column = rows[[name]].to_numpy()
        return column.astype(np.float32) if name in NUMBERS else column
    return [values(name) for name, _ in KINDS]


def prepared():
    """Numbers scaled, words one column each."""
    return compose.ColumnTransformer([
        ("numbers", preprocessing.StandardScaler(), NUMBERS + WHOLE),
        ("words", preprocessing.OneHotEncoder(handle_unknown="ignore", sparse_output=False), WORDS),
    ])


def ranked():
    """Numbers as they are, as trees take them, words as their rank."""
    return compose.ColumnTransformer([
        ("numbers", impute.SimpleImputer(), NUMBERS),
        ("words", preprocessing.OrdinalEncoder(), WORDS),
    ], remainder="drop")


def dictionaries():
    """Flowers as dictionaries that leave out what is too short to matter."""
    names = [name.split(" (")[0] for name in datasets.load_iris()["feature_names"]]
    learn, known, ask = named("iris")
    entries = lambda rows: [{name: value for name, value in zip(names, row) if value > 1} for row in rows]
    return entries(learn), known, entries(ask)


def words_of(estimator):
    return estimator[0].get_feature_names_out()


def as_table(words, rows):
    """The same with a column for each word that was learnt."""
    return [np.array([[row.get(word, 0) for word in words] for row in rows], np.float32)]


def tables():
    """The same estimators behind transformers of plain numbers."""
    halves = compose.ColumnTransformer([("scale", preprocessing.StandardScaler(), slice(0, 6)),
                                        ("range", preprocessing.MinMaxScaler(), slice(6, 13))])
    forest = ensemble.RandomForestClassifier(20, **SEED)
    return {
        "columns_logistic": pipeline.make_pipeline(halves, linear_model.LogisticRegression()),
        "columns_forest": pipeline.make_pipeline(halves, forest),
        "pca_logistic": pipeline.make_pipeline(preprocessing.StandardScaler(), decomposition.PCA(5), linear_model.LogisticRegression()),
        "polynomial_logistic": pipeline.make_pipeline(preprocessing.MinMaxScaler(), preprocessing.PolynomialFeatures(),
                                                      linear_model.LogisticRegression()),
        "bins_boosting": pipeline.make_pipeline(preprocessing.KBinsDiscretizer(encode="ordinal", strategy="uniform"),
                                                ensemble.GradientBoostingClassifier(n_estimators=10, **SEED)),
        "union_svc": pipeline.make_pipeline(pipeline.make_union(preprocessing.StandardScaler(), decomposition.PCA(2)),
                                            svm.SVC(probability=True, **SEED)),
        "normalized_forest": pipeline.make_pipeline(preprocessing.Normalizer(), forest),
    }


def cases():
    flowers = pipeline.make_pipeline(feature_extraction.DictVectorizer(sparse=False), linear_model.LogisticRegression())
    kind = DictionaryType(StringTensorType([1]), FloatTensorType([1]))
    yield classifier("dictionaries", flowers, dictionaries(), kinds=[("X", kind)],
                     enter=lambda rows: as_table(words_of(flowers), rows), vocabulary=words_of)
    for name, estimator in tables().items():
        yield classifier(f"{name}_three", estimator, split("wine"))
    learn, known, ask = records()
    given = {"kinds": KINDS, "enter": columns_of}
    worse = (known > known.median()).map({True: "worse", False: "better"}).to_numpy().astype(object)
    yield transformer("records_prepared", prepared(), (learn, known, ask), **given)
    yield transformer("records_ranked", ranked(), (learn, known, ask), **given)
    linear, logistic = linear_model.LinearRegression(), linear_model.LogisticRegression()
    forest = ensemble.RandomForestClassifier(20, **SEED)
    boosting = ensemble.GradientBoostingClassifier(n_estimators=20, **SEED)
    number = ensemble.RandomForestRegressor(20, **SEED)
    for name, steps in (("logistic", (prepared(), logistic)), ("forest", (ranked(), forest)), ("boosting", (ranked(), boosting))):
        yield classifier(f"records_{name}", pipeline.make_pipeline(*steps), (learn, worse, ask), **given)
    for name, steps in (("linear", (prepared(), linear)), ("forest", (ranked(), number)), ("svr", (prepared(), svm.SVR(C=100.0)))):
        yield regressor(f"records_{name}_number", pipeline.make_pipeline(*steps), (learn, known, ask), **given)

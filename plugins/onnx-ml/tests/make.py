"""Writes models and what they answer, for `cases.rs`.

    python make.py FOLDER           the few small cases that are checked in (FOLDER is `cases`)
    python make.py FOLDER --all     all estimators, larger and with more rows

Needs onnx, onnxruntime, scikit-learn, skl2onnx; with --all also xgboost, lightgbm and
onnxmltools. For every export there is one case with what onnxruntime answers and, where it
is an estimator, one with what scikit-learn itself answers.
"""

import json
import pathlib
import sys
import warnings

import numpy as np
import onnx
import onnx.helper
import onnxruntime
from skl2onnx import to_onnx
from sklearn import calibration, cluster, compose, datasets, decomposition, discriminant_analysis
from sklearn import dummy, ensemble, feature_selection, impute, isotonic, kernel_ridge, linear_model, mixture
from sklearn import multiclass, multioutput, naive_bayes, neighbors, neural_network, pipeline
from sklearn import preprocessing, svm, tree

warnings.filterwarnings("ignore")
# skl2onnx 1.20 writes some integers as numpy's bytes and bools, which onnx 1.23 does not take.
MAKE = onnx.helper.make_attribute


def make_attribute(key, value, *more, **named):
    if key == "nodes_missing_value_tracks_true":
        value = [int(v) for v in value]
    return MAKE(key, value, *more, **named)


onnx.helper.make_attribute = make_attribute
onnxruntime.set_default_logger_severity(3)
OUT = pathlib.Path(sys.argv[1])
ALL = "--all" in sys.argv
ROWS = 40 if ALL else 9
SIZE = {"n_estimators": 20 if ALL else 3, "max_depth": 6 if ALL else 3, "random_state": 0}
OPSET = {"": 18, "ai.onnx.ml": 3}


def plain(array):
    array = np.asarray(array)
    kind = "string" if array.dtype.kind in "UO" else str(array.dtype)
    data = array.ravel().tolist()
    if array.dtype.kind == "f":
        data = [v if np.isfinite(v) else str(v) for v in data]
    return {"kind": kind, "shape": list(array.shape), "data": data}


def save(name, model, inputs, outputs, **more):
    content = model if isinstance(model, bytes) else model.SerializeToString()
    base = name.split(".")[0]
    (OUT / f"{base}.onnx").write_bytes(content)
    case = {"model": f"{base}.onnx", "inputs": [plain(i) for i in inputs],
            "outputs": [None if o is None else plain(o) for o in outputs], **more}
    (OUT / f"{name}.json").write_text(json.dumps(case) + "\n")


def runtime(model, inputs):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    feed = {i.name: x for i, x in zip(session.get_inputs(), inputs)}
    outputs = session.run(None, feed)
    # ZipMap: the maps of all rows as one table.
    return [np.array([list(row.values()) for row in o], np.float32) if isinstance(o, list) else o for o in outputs]


def answers(estimator, rows):
    if hasattr(estimator, "predict_proba"):
        return [estimator.predict(rows), estimator.predict_proba(rows).astype(np.float32)]
    if hasattr(estimator, "predict"):
        found = estimator.predict(rows)
        if found.dtype.kind == "f":
            return [found.reshape(len(rows), -1).astype(np.float32)]
        return [found]
    return [estimator.transform(rows).astype(np.float32)]


def export(name, estimator, data, target, options=None, kind=np.float32, tolerance=1e-5, own=True, open=True):
    """Trains, exports and writes both cases."""
    try:
        data = data.astype(kind)
        estimator.fit(data, target)
        rows = data[:: max(1, len(data) // ROWS)][:ROWS]
        given = {id(estimator): options} if options else None
        model = to_onnx(estimator, data[:1], options=given, target_opset=OPSET)
    except Exception as error:
        print(f"{name}: not exported: {type(error).__name__}: {str(error)[:150]}")
        return
    found = runtime(model, [rows])
    save(f"{name}.runtime", model, [rows], found, tolerance=tolerance, open=open)
    if not own:
        return
    expected = answers(estimator, rows)
    fitted = []
    for position, seen in enumerate(found):
        value = expected[position] if position < len(expected) else None
        if value is not None and value.dtype.kind in "iu":
            value = value.astype(np.int64)
        if value is not None and value.shape != seen.shape:
            value = value.reshape(seen.shape) if value.size == seen.size else None
        if value is not None and seen.dtype.kind == "f":
            off = np.abs(value - seen).max() / max(0.1, np.abs(value).max())
            if off > 1e-3:
                print(f"{name}: onnxruntime itself is {off:.1e} off scikit-learn in output {position}")
        fitted.append(value)
    save(f"{name}.sklearn", model, [rows], fitted, tolerance=max(tolerance, 2e-5), open=open)


def classifiers(X, y, binary):
    flat = {"zipmap": False}
    for kind, target in (("three", y), ("two", binary)):
        forest = ensemble.RandomForestClassifier(**SIZE)
        export(f"forest_{kind}", forest, X, target, flat)
        boosting = ensemble.GradientBoostingClassifier(**SIZE)
        export(f"boosting_{kind}", boosting, X, target, flat)
        export(f"logistic_{kind}", linear_model.LogisticRegression(max_iter=500), X, target, flat)
        export(f"svc_{kind}", svm.SVC(probability=False), X, target, flat, own=False)
        export(f"svc_probability_{kind}", svm.SVC(probability=True, random_state=0), X, target, flat, tolerance=2e-3)
        steps = [preprocessing.StandardScaler(), linear_model.LogisticRegression()]
        export(f"scaled_logistic_{kind}", pipeline.make_pipeline(*steps), X, target)
        if not ALL:
            continue
        export(f"tree_{kind}", tree.DecisionTreeClassifier(random_state=0), X, target, flat)
        export(f"extra_{kind}", ensemble.ExtraTreesClassifier(**SIZE), X, target, flat)
        export(f"extra_tree_{kind}", tree.ExtraTreeClassifier(random_state=0), X, target, flat)
        export(f"histogram_{kind}", ensemble.HistGradientBoostingClassifier(max_iter=20), X, target, flat)
        export(f"bagging_{kind}", ensemble.BaggingClassifier(random_state=0), X, target, flat)
        export(f"ada_{kind}", ensemble.AdaBoostClassifier(random_state=0), X, target, flat, tolerance=1e-4)
        voters = [("a", linear_model.LogisticRegression()), ("b", ensemble.RandomForestClassifier(**SIZE))]
        export(f"voting_{kind}", ensemble.VotingClassifier(voters, voting="soft", flatten_transform=False), X, target, flat)
        export(f"stacking_{kind}", ensemble.StackingClassifier(voters), X, target, flat)
        for shape in ("linear", "poly", "sigmoid"):
            machine = svm.SVC(kernel=shape, probability=True, random_state=0)
            export(f"svc_{shape}_{kind}", machine, X, target, flat, tolerance=2e-3)
        export(f"nusvc_{kind}", svm.NuSVC(probability=True, random_state=0), X, target, flat, tolerance=2e-3)
        export(f"linear_svc_{kind}", svm.LinearSVC(), X, target, own=False)
        export(f"sgd_{kind}", linear_model.SGDClassifier(loss="log_loss", random_state=0), X, target, flat, tolerance=1e-4)
        export(f"ridge_{kind}", linear_model.RidgeClassifier(), X, target, own=False)
        export(f"perceptron_{kind}", linear_model.Perceptron(), X, target, own=False)
        export(f"passive_{kind}", linear_model.PassiveAggressiveClassifier(), X, target, own=False)
        export(f"multinomial_{kind}", linear_model.LogisticRegressionCV(cv=3), X, target, flat)
        export(f"gaussian_bayes_{kind}", naive_bayes.GaussianNB(), X, target, flat, tolerance=1e-3)
        export(f"bernoulli_bayes_{kind}", naive_bayes.BernoulliNB(), X, target, flat, tolerance=1e-4)
        export(f"counting_bayes_{kind}", naive_bayes.MultinomialNB(), X, target, flat, tolerance=1e-4)
        export(f"neighbours_{kind}", neighbors.KNeighborsClassifier(), X, target, flat)
        export(f"layers_{kind}", neural_network.MLPClassifier((8,), max_iter=300, random_state=0), X, target, flat)
        export(f"lda_{kind}", discriminant_analysis.LinearDiscriminantAnalysis(), X, target, flat, tolerance=1e-4)
        export(f"qda_{kind}", discriminant_analysis.QuadraticDiscriminantAnalysis(), X, target, flat, tolerance=1e-2)
        export(f"rest_{kind}", multiclass.OneVsRestClassifier(linear_model.LogisticRegression()), X, target, flat)
        export(f"calibrated_{kind}", calibration.CalibratedClassifierCV(linear_model.LogisticRegression(), cv=3), X, target, flat, tolerance=1e-4)
        export(f"dummy_{kind}", dummy.DummyClassifier(), X, target, flat)
        for name, estimator in (("forest", ensemble.RandomForestClassifier(**SIZE)), ("boosting", ensemble.GradientBoostingClassifier(**SIZE)),
                                ("svc", svm.SVC(probability=True)), ("logistic", linear_model.LogisticRegression())):
            export(f"maps_{name}_{kind}", estimator, X, target, tolerance=2e-3 if name == "svc" else 1e-5)
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    export("forest_names", ensemble.RandomForestClassifier(**SIZE), X, names, flat)
    export("logistic_names", linear_model.LogisticRegression(max_iter=500), X, names, flat)
    export("forest_doubles", ensemble.RandomForestClassifier(**SIZE), X, y, flat, kind=np.float64, own=False)


def regressors(X, y):
    export("forest_number", ensemble.RandomForestRegressor(**SIZE), X, y)
    export("boosting_number", ensemble.GradientBoostingRegressor(**SIZE), X, y)
    export("linear_number", linear_model.LinearRegression(), X, y)
    export("svr", svm.SVR(), X[:60], y[:60])
    if not ALL:
        return
    export("tree_number", tree.DecisionTreeRegressor(random_state=0), X, y)
    export("tree_numbers", tree.DecisionTreeRegressor(max_depth=6, random_state=0), X, np.c_[y, -y])
    export("forest_numbers", ensemble.RandomForestRegressor(**SIZE), X, np.c_[y, -y])
    export("extra_number", ensemble.ExtraTreesRegressor(**SIZE), X, y)
    export("histogram_number", ensemble.HistGradientBoostingRegressor(max_iter=20), X, y)
    export("bagging_number", ensemble.BaggingRegressor(random_state=0), X, y)
    export("ada_number", ensemble.AdaBoostRegressor(random_state=0), X, y)
    for shape in ("linear", "poly", "sigmoid"):
        export(f"svr_{shape}", svm.SVR(kernel=shape), X, y, tolerance=1e-4)
    export("nusvr", svm.NuSVR(), X, y)
    export("linear_svr", svm.LinearSVR(), X, y)
    for estimator in (linear_model.Ridge(), linear_model.Lasso(), linear_model.ElasticNet(), linear_model.BayesianRidge(),
                      linear_model.HuberRegressor(), linear_model.SGDRegressor(random_state=0), linear_model.Lars(),
                      linear_model.PoissonRegressor(), neighbors.KNeighborsRegressor(), kernel_ridge.KernelRidge(),
                      neural_network.MLPRegressor(hidden_layer_sizes=(8,), random_state=0), linear_model.TheilSenRegressor(random_state=0),
                      linear_model.RANSACRegressor(random_state=0), dummy.DummyRegressor()):
        export(type(estimator).__name__.lower(), estimator, X, y)
    export("linear_numbers", linear_model.LinearRegression(), X, np.c_[y, -y])
    export("outliers", ensemble.IsolationForest(n_estimators=20, random_state=0), X, None, own=False)
    export("one_class", svm.OneClassSVM(), X, None, own=False)


def preprocessors(X):
    gaps = X.copy()
    gaps[::3, 1] = np.nan
    export("imputer", impute.SimpleImputer(), gaps, None)
    export("normalizer", preprocessing.Normalizer(), X, None)
    whole = np.c_[X[:, 0] > 5.5, X[:, 2] > 3, X[:, 3].astype(int)].astype(np.int64)
    export("one_hot", preprocessing.OneHotEncoder(sparse_output=False), whole, None, kind=np.int64)
    if not ALL:
        return
    for norm in ("l1", "max"):
        export(f"normalizer_{norm}", preprocessing.Normalizer(norm=norm), X, None)
    for estimator in (preprocessing.StandardScaler(), preprocessing.MinMaxScaler(), preprocessing.MaxAbsScaler(),
                      preprocessing.RobustScaler(), preprocessing.Binarizer(threshold=2.0), preprocessing.PolynomialFeatures(),
                      preprocessing.KBinsDiscretizer(encode="ordinal"), preprocessing.KBinsDiscretizer(encode="onehot-dense"),
                      decomposition.PCA(2), decomposition.TruncatedSVD(2), feature_selection.VarianceThreshold(0.3),
                      preprocessing.PowerTransformer(), cluster.KMeans(3, random_state=0, n_init=2), mixture.GaussianMixture(3, random_state=0)):
        name = type(estimator).__name__.lower() + str(getattr(estimator, "encode", "")).replace("-", "_")
        export(name, estimator, X, None, tolerance=1e-3 if "mixture" in name else 1e-4)
    export("imputer_most", impute.SimpleImputer(strategy="most_frequent"), gaps, None)
    export("ordinal", preprocessing.OrdinalEncoder(), whole, None, kind=np.int64)
    text = np.array(["a", "b", "c"], object)[np.arange(60) % 3].reshape(-1, 1)
    columns = compose.ColumnTransformer([("scale", preprocessing.StandardScaler(), [0, 1]), ("min", preprocessing.MinMaxScaler(), [2, 3])])
    y = (X[:, 0] > 5.8).astype(int)
    for name, last in (("forest", ensemble.RandomForestClassifier(**SIZE)), ("logistic", linear_model.LogisticRegression())):
        export(f"columns_{name}", pipeline.make_pipeline(columns, last), X, y, {"zipmap": False})
        export(f"columns_maps_{name}", pipeline.make_pipeline(columns, last), X, y)
    try:
        for encoder in (preprocessing.OneHotEncoder(sparse_output=False), preprocessing.OrdinalEncoder()):
            encoder.fit(text)
            model = to_onnx(encoder, text[:1].astype(str), target_opset=OPSET)
            rows = text[:7].astype(str)
            save(f"text_{type(encoder).__name__.lower()}.runtime", model, [rows], runtime(model, [rows]))
        encoder = preprocessing.LabelEncoder().fit(text.ravel())
        model = to_onnx(encoder, text[:1].ravel().astype(str), target_opset=OPSET)
        rows = text[:7].ravel().astype(str)
        save("text_label.runtime", model, [rows], runtime(model, [rows]))
    except Exception as error:
        print("text:", error)


def others(X, y, binary, numbers, target):
    """XGBoost and LightGBM."""
    import lightgbm
    import onnxmltools
    import xgboost
    from onnxmltools.convert.common.data_types import FloatTensorType

    gaps = X.copy()
    gaps[::4, 2] = np.nan
    cases = []
    for kind, labels in (("three", y), ("two", binary)):
        cases += [(f"xgb_{kind}", xgboost.XGBClassifier(n_estimators=10, max_depth=4), gaps, labels),
                  (f"lgbm_{kind}", lightgbm.LGBMClassifier(n_estimators=10, verbose=-1), gaps, labels)]
    cases += [("xgb_number", xgboost.XGBRegressor(n_estimators=10, max_depth=4), numbers, target),
              ("lgbm_number", lightgbm.LGBMRegressor(n_estimators=10, verbose=-1), numbers, target)]
    for name, estimator, data, labels in cases:
        data = data.astype(np.float32)
        estimator.fit(data, labels)
        rows = data[:: len(data) // ROWS][:ROWS]
        convert = onnxmltools.convert_xgboost if name.startswith("xgb") else onnxmltools.convert_lightgbm
        try:
            model = convert(estimator, initial_types=[("X", FloatTensorType([None, data.shape[1]]))], target_opset=15)
        except Exception as error:
            print(f"{name}: not exported: {str(error)[:150]}")
            continue
        found = runtime(model, [rows])
        save(f"{name}.runtime", model, [rows], found)
        expected = answers(estimator, rows)
        save(f"{name}.own", model, [rows], [e.astype(f.dtype).reshape(f.shape) for e, f in zip(expected, found)], tolerance=2e-5)


OUT.mkdir(parents=True, exist_ok=True)
X, y = datasets.load_iris(return_X_y=True)
binary = (y == 1).astype(int)
numbers, target = datasets.load_diabetes(return_X_y=True)
numbers = numbers * 20
classifiers(X, y, binary)
regressors(numbers, target)
preprocessors(X)
if ALL:
    digits, figure = datasets.load_digits(return_X_y=True)
    flat = {"zipmap": False}
    export("digits_forest", ensemble.RandomForestClassifier(50, random_state=0), digits, figure, flat)
    export("digits_boosting", ensemble.GradientBoostingClassifier(n_estimators=10, random_state=0), digits, figure, flat)
    export("digits_svc", svm.SVC(probability=True, random_state=0), digits[:500], figure[:500], flat, tolerance=5e-3)
    others(X, y, binary, numbers, target)
print(f"{sum(1 for _ in OUT.glob('*.json'))} cases, {sum(f.stat().st_size for f in OUT.iterdir())} bytes")

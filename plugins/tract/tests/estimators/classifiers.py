"""Classifiers, on two and three classes, with numbers and words as labels."""

from sklearn import calibration, discriminant_analysis, ensemble, linear_model
from sklearn import model_selection, multiclass, naive_bayes, neighbors, neural_network
from sklearn import preprocessing, svm, tree
from sklearn.pipeline import make_pipeline

from case import PLAIN, ZIPPED, classifier, scored
from data import named, split, whole

SEED = {"random_state": 0}
# Margins in place of probabilities.
RAW = {"raw": {"zipmap": False, "raw_scores": True}}
# One output for each class.
COLUMNS = {"columns": {"zipmap": "columns"}}


def scaled(estimator):
    return make_pipeline(preprocessing.StandardScaler(), estimator)


def logistic():
    return linear_model.LogisticRegression(max_iter=5000)


def with_probabilities():
    forest = ensemble.RandomForestClassifier(20, **SEED)
    voters = [("logistic", scaled(logistic())), ("forest", ensemble.RandomForestClassifier(20, **SEED))]
    return {
        "forest": forest,
        "extra_trees": ensemble.ExtraTreesClassifier(20, **SEED),
        "boosting": ensemble.GradientBoostingClassifier(n_estimators=20, **SEED),
        "histogram_boosting": ensemble.HistGradientBoostingClassifier(max_iter=20),
        "ada_boost": ensemble.AdaBoostClassifier(n_estimators=20, **SEED),
        "bagging": ensemble.BaggingClassifier(**SEED),
        "voting": ensemble.VotingClassifier(voters, voting="soft", flatten_transform=False),
        "stacking": ensemble.StackingClassifier(voters),
        "tree": tree.DecisionTreeClassifier(**SEED),
        "extra_tree": tree.ExtraTreeClassifier(**SEED),
        "logistic": scaled(logistic()),
        "logistic_cv": scaled(linear_model.LogisticRegressionCV(cv=3)),
        "sgd_log": scaled(linear_model.SGDClassifier(loss="log_loss", **SEED)),
        "sgd_huber": scaled(linear_model.SGDClassifier(loss="modified_huber", **SEED)),
        "svc": scaled(svm.SVC(probability=True, **SEED)),
        "svc_linear": scaled(svm.SVC(kernel="linear", probability=True, **SEED)),
        "svc_poly": scaled(svm.SVC(kernel="poly", probability=True, **SEED)),
        "svc_sigmoid": scaled(svm.SVC(kernel="sigmoid", probability=True, **SEED)),
        "nu_svc": scaled(svm.NuSVC(nu=0.1, probability=True, **SEED)),
        "layers": scaled(neural_network.MLPClassifier((16,), max_iter=2000, **SEED)),
        "neighbours": neighbors.KNeighborsClassifier(),
        "neighbours_weighted": neighbors.KNeighborsClassifier(3, weights="distance"),
        "gaussian_bayes": naive_bayes.GaussianNB(),
        "bernoulli_bayes": naive_bayes.BernoulliNB(binarize=5.0),
        "multinomial_bayes": make_pipeline(preprocessing.MinMaxScaler(clip=True), naive_bayes.MultinomialNB()),
        "complement_bayes": make_pipeline(preprocessing.MinMaxScaler(clip=True), naive_bayes.ComplementNB()),
        "lda": discriminant_analysis.LinearDiscriminantAnalysis(),
        "qda": discriminant_analysis.QuadraticDiscriminantAnalysis(reg_param=0.1),
        "one_vs_rest": scaled(multiclass.OneVsRestClassifier(logistic())),
        "calibrated": calibration.CalibratedClassifierCV(logistic(), cv=3),
        "calibrated_isotonic": calibration.CalibratedClassifierCV(naive_bayes.GaussianNB(), method="isotonic", cv=3),
        "grid_search": scaled(model_selection.GridSearchCV(logistic(), {"C": [0.1, 1.0]}, cv=3)),
    }


def with_margins():
    return {
        "perceptron": (scaled(linear_model.Perceptron()), ZIPPED),
        "sgd": (scaled(linear_model.SGDClassifier(**SEED)), ZIPPED),
        "logistic_raw": (scaled(logistic()), RAW),
        "boosting_raw": (ensemble.GradientBoostingClassifier(n_estimators=20, **SEED), RAW),
        "svc_raw": (scaled(svm.SVC(**SEED)), RAW),
    }


def with_one_margin():
    return {
        "ridge": scaled(linear_model.RidgeClassifier()),
        "ridge_cv": scaled(linear_model.RidgeClassifierCV()),
        "linear_svc": svm.LinearSVC(max_iter=100000),
    }


def margin(estimator, rows):
    """As skl2onnx exports these: two classes have one column, and there is no ZipMap."""
    return [estimator.predict(rows), estimator.decision_function(rows)]


def each_column(estimator, rows):
    return [estimator.predict(rows), *estimator.predict_proba(rows).T]


def cases():
    for kind, given in (("two", split("cancer")), ("three", split("wine")), ("named", named("iris"))):
        for name, estimator in with_probabilities().items():
            yield classifier(f"{name}_{kind}", estimator, given)
        for name, (estimator, forms) in with_margins().items():
            yield classifier(f"{name}_{kind}", estimator, given, scored, forms)
        for name, estimator in with_one_margin().items():
            yield classifier(f"{name}_{kind}", estimator, given, margin, PLAIN)
        yield classifier(f"logistic_by_class_{kind}", scaled(logistic()), given, each_column, COLUMNS)
    yield classifier("categorical_bayes_three", naive_bayes.CategoricalNB(), whole("wine"))
    yield classifier("one_vs_one_three", scaled(multiclass.OneVsOneClassifier(logistic())), split("wine"), scored)
    yield classifier("radius_three", scaled(neighbors.RadiusNeighborsClassifier(20.0)), split("wine"), forms=PLAIN)
    for name, estimator in (("forest", ensemble.RandomForestClassifier(50, **SEED)), ("logistic", scaled(logistic())),
                            ("svc", svm.SVC(probability=True, **SEED)), ("layers", neural_network.MLPClassifier((32,), **SEED)),
                            ("boosting", ensemble.GradientBoostingClassifier(n_estimators=5, **SEED))):
        yield classifier(f"{name}_digits", estimator, split("digits"))

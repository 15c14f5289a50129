"""Regressors, with one and with several targets."""

import numpy as np
from sklearn import cross_decomposition, ensemble, gaussian_process, linear_model
from sklearn import multioutput, neighbors, neural_network, preprocessing, svm, tree
from sklearn.pipeline import make_pipeline

from case import regressor
from data import gaps, split

SEED = {"random_state": 0}


def scaled(estimator):
    return make_pipeline(preprocessing.StandardScaler(), estimator)


def linear():
    return {
        "linear": linear_model.LinearRegression(),
        "ridge_number": linear_model.Ridge(),
        "ridge_cv_number": linear_model.RidgeCV(),
        "lasso": linear_model.Lasso(),
        "lasso_cv": linear_model.LassoCV(cv=3),
        "elastic_net": linear_model.ElasticNet(),
        "lars": linear_model.Lars(),
        "lasso_lars": linear_model.LassoLars(),
        "orthogonal_pursuit": linear_model.OrthogonalMatchingPursuit(),
        "bayesian_ridge": linear_model.BayesianRidge(),
        "ard": linear_model.ARDRegression(),
        "huber": scaled(linear_model.HuberRegressor(max_iter=1000)),
        "theil_sen": linear_model.TheilSenRegressor(**SEED),
        "ransac": linear_model.RANSACRegressor(**SEED),
        "quantile": linear_model.QuantileRegressor(alpha=0.1),
        "sgd_number": scaled(linear_model.SGDRegressor(**SEED)),
        "poisson": scaled(linear_model.PoissonRegressor()),
        "gamma": scaled(linear_model.GammaRegressor()),
        "tweedie": scaled(linear_model.TweedieRegressor(power=1.5)),
        "linear_svr": scaled(svm.LinearSVR(max_iter=10000)),
    }


def others():
    voters = [("linear", scaled(linear_model.LinearRegression())), ("forest", ensemble.RandomForestRegressor(20, **SEED))]
    return {
        "forest_number": ensemble.RandomForestRegressor(20, **SEED),
        "extra_trees_number": ensemble.ExtraTreesRegressor(20, **SEED),
        "boosting_number": ensemble.GradientBoostingRegressor(**SEED),
        "histogram_boosting_number": ensemble.HistGradientBoostingRegressor(max_iter=50),
        "ada_boost_number": ensemble.AdaBoostRegressor(n_estimators=20, **SEED),
        "bagging_number": ensemble.BaggingRegressor(**SEED),
        "voting_number": ensemble.VotingRegressor(voters),
        "stacking_number": ensemble.StackingRegressor(voters),
        "tree_number": tree.DecisionTreeRegressor(**SEED),
        "extra_tree_number": tree.ExtraTreeRegressor(**SEED),
        "svr": scaled(svm.SVR(C=100.0)),
        "svr_linear": scaled(svm.SVR(kernel="linear")),
        "svr_poly": scaled(svm.SVR(kernel="poly")),
        "svr_sigmoid": scaled(svm.SVR(kernel="sigmoid")),
        "nu_svr": scaled(svm.NuSVR(C=100.0)),
        "layers_number": scaled(neural_network.MLPRegressor(hidden_layer_sizes=(16,), max_iter=500, **SEED)),
        "neighbours_number": neighbors.KNeighborsRegressor(),
        "radius_number": scaled(neighbors.RadiusNeighborsRegressor(20.0)),
        "gaussian_process_number": scaled(gaussian_process.GaussianProcessRegressor(alpha=0.1, normalize_y=True)),
    }


def several():
    return {
        "linear": linear_model.LinearRegression(),
        "forest": ensemble.RandomForestRegressor(20, **SEED),
        "tree": tree.DecisionTreeRegressor(**SEED),
        "multi_task_lasso": linear_model.MultiTaskLasso(),
        "multi_task_elastic_net": linear_model.MultiTaskElasticNet(),
        "neighbours": neighbors.KNeighborsRegressor(),
        "pls": cross_decomposition.PLSRegression(2),
        "multi_output": multioutput.MultiOutputRegressor(ensemble.GradientBoostingRegressor(n_estimators=10, **SEED)),
    }


def cases():
    for name, estimator in {**linear(), **others()}.items():
        yield regressor(name, estimator, split("diabetes"))
    for name, estimator in several().items():
        yield regressor(f"{name}_numbers", estimator, split("linnerud"))
    yield regressor("histogram_boosting_gaps", ensemble.HistGradientBoostingRegressor(max_iter=50), gaps("diabetes"))
    yield regressor("forest_gaps", ensemble.RandomForestRegressor(20, **SEED), gaps("diabetes"))
    learn, known, ask = split("diabetes")
    logged = lambda: scaled(linear_model.LinearRegression())
    yield regressor("linear_logs", logged(), (learn, np.log(known), ask))

"""XGBoost and LightGBM, with their own converters."""

import lightgbm
import xgboost

from case import PLAIN, ZIPPED, classifier, regressor
from data import gaps, split

SIZE = {"n_estimators": 20, "max_depth": 4, "random_state": 0, "n_jobs": 1}
QUIET = {"verbose": -1}


def cases():
    for kind, given in (("two", split("cancer")), ("three", split("wine")), ("ten", split("digits")), ("gaps", gaps("wine"))):
        yield classifier(f"xgboost_{kind}", xgboost.XGBClassifier(**SIZE), given, forms=PLAIN, booster="xgboost")
        yield classifier(f"lightgbm_{kind}", lightgbm.LGBMClassifier(**SIZE, **QUIET), given, forms=ZIPPED, booster="lightgbm")
    forest = xgboost.XGBRFClassifier(**SIZE)
    yield classifier("xgboost_forest_two", forest, split("cancer"), forms=PLAIN, booster="xgboost")
    for kind, given in (("number", split("diabetes")), ("number_gaps", gaps("diabetes"))):
        yield regressor(f"xgboost_{kind}", xgboost.XGBRegressor(**SIZE), given, booster="xgboost")
        yield regressor(f"lightgbm_{kind}", lightgbm.LGBMRegressor(**SIZE, **QUIET), given, booster="lightgbm")
    for objective in ("count:poisson", "reg:tweedie", "reg:gamma"):
        name = "xgboost_" + objective.split(":")[1]
        yield regressor(name, xgboost.XGBRegressor(objective=objective, **SIZE), split("diabetes"), booster="xgboost")
    for objective in ("poisson", "tweedie", "gamma", "mae", "quantile"):
        estimator = lightgbm.LGBMRegressor(objective=objective, **SIZE, **QUIET)
        yield regressor(f"lightgbm_{objective}", estimator, split("diabetes"), booster="lightgbm")

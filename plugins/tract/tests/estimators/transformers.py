"""What changes a table: scalers, encoders, selections, projections, clusters, outliers."""

from sklearn import cluster, decomposition, ensemble, feature_selection, impute, mixture, neighbors
from sklearn import kernel_approximation, linear_model, preprocessing, random_projection, svm
from sklearn.pipeline import make_pipeline, make_union
from skl2onnx.common.data_types import StringTensorType

from case import Case, PLAIN, transformer
from data import gaps, split, whole, words

SEED = {"random_state": 0}


def of_numbers():
    forest = ensemble.RandomForestClassifier(10, **SEED)
    return {
        "standard_scaler": preprocessing.StandardScaler(),
        "min_max_scaler": preprocessing.MinMaxScaler(),
        "max_abs_scaler": preprocessing.MaxAbsScaler(),
        "robust_scaler": preprocessing.RobustScaler(),
        "normalizer": preprocessing.Normalizer(),
        "normalizer_l1": preprocessing.Normalizer(norm="l1"),
        "normalizer_max": preprocessing.Normalizer(norm="max"),
        "binarizer": preprocessing.Binarizer(threshold=2.5),
        "polynomial": preprocessing.PolynomialFeatures(),
        "polynomial_interactions": preprocessing.PolynomialFeatures(interaction_only=True, include_bias=False),
        "power_yeo_johnson": preprocessing.PowerTransformer(),
        "power_box_cox": preprocessing.PowerTransformer(method="box-cox"),
        "quantiles": preprocessing.QuantileTransformer(n_quantiles=20),
        "bins_ordinal": preprocessing.KBinsDiscretizer(encode="ordinal", quantile_method="averaged_inverted_cdf"),
        "bins_onehot": preprocessing.KBinsDiscretizer(encode="onehot-dense", quantile_method="averaged_inverted_cdf"),
        "bins_uniform": preprocessing.KBinsDiscretizer(encode="ordinal", strategy="uniform"),
        "pca": decomposition.PCA(2),
        "pca_whitened": decomposition.PCA(2, whiten=True),
        "incremental_pca": decomposition.IncrementalPCA(2),
        "kernel_pca": decomposition.KernelPCA(2, kernel="rbf", gamma=0.1),
        "truncated_svd": decomposition.TruncatedSVD(2, **SEED),
        "neighbourhood_components": neighbors.NeighborhoodComponentsAnalysis(2, **SEED),
        "random_projection": random_projection.GaussianRandomProjection(2, **SEED),
        "variance_threshold": feature_selection.VarianceThreshold(0.3),
        "k_best": feature_selection.SelectKBest(k=2),
        "percentile": feature_selection.SelectPercentile(percentile=50),
        "fdr": feature_selection.SelectFdr(alpha=1e-20),
        "fpr": feature_selection.SelectFpr(alpha=1e-20),
        "fwe": feature_selection.SelectFwe(alpha=1e-20),
        "univariate": feature_selection.GenericUnivariateSelect(mode="k_best", param=2),
        "from_model": feature_selection.SelectFromModel(forest),
        "rfe": feature_selection.RFE(forest, n_features_to_select=2),
        "rfecv": feature_selection.RFECV(forest, cv=3),
        "trees_embedding": ensemble.RandomTreesEmbedding(10, max_depth=3, sparse_output=False, **SEED),
        "union": make_union(preprocessing.StandardScaler(), decomposition.PCA(2)),
    }


def of_gaps():
    return {
        "imputer": impute.SimpleImputer(),
        "imputer_median": impute.SimpleImputer(strategy="median"),
        "imputer_most": impute.SimpleImputer(strategy="most_frequent"),
        "imputer_constant": impute.SimpleImputer(strategy="constant", fill_value=-1.0),
        "imputer_neighbours": impute.KNNImputer(n_neighbors=3),
        "imputer_scaler": make_pipeline(impute.SimpleImputer(), preprocessing.StandardScaler()),
    }


def encoders():
    return {
        "one_hot": preprocessing.OneHotEncoder(sparse_output=False),
        "one_hot_unknown": preprocessing.OneHotEncoder(sparse_output=False, handle_unknown="ignore"),
        "one_hot_dropped": preprocessing.OneHotEncoder(sparse_output=False, drop="first"),
        "ordinal": preprocessing.OrdinalEncoder(),
    }


def placed(estimator, rows):
    return [estimator.predict(rows), estimator.transform(rows)]


def mixed(estimator, rows):
    return [estimator.predict(rows), estimator.predict_proba(rows)]


def judged(estimator, rows):
    return [estimator.predict(rows), estimator.decision_function(rows)]


def found(estimator, rows):
    distances, positions = estimator.kneighbors(rows)
    return [positions, distances]


def texts(rows):
    return [rows]


def cases():
    for name, estimator in of_numbers().items():
        yield transformer(name, estimator, split("iris"))
    for name, estimator in of_gaps().items():
        yield transformer(name, estimator, gaps("wine"))
    for name, estimator in encoders().items():
        yield transformer(f"{name}_numbers", estimator, whole("wine"))
        yield transformer(f"{name}_words", estimator, words("wine"), enter=texts,
                          kinds=[("X", StringTensorType([None, 13]))])
    for name, estimator, answers in (
        ("k_means", cluster.KMeans(3, n_init=2, **SEED), placed),
        ("mini_batch_k_means", cluster.MiniBatchKMeans(3, n_init=2, **SEED), placed),
        ("gaussian_mixture", mixture.GaussianMixture(3, **SEED), mixed),
        ("gaussian_mixture_diagonal", mixture.GaussianMixture(3, covariance_type="diag", **SEED), mixed),
        ("bayesian_mixture", mixture.BayesianGaussianMixture(n_components=3, max_iter=500, **SEED), mixed),
        ("isolation_forest", ensemble.IsolationForest(n_estimators=20, **SEED), judged),
        ("one_class_svm", svm.OneClassSVM(), judged),
        ("one_class_sgd", linear_model.SGDOneClassSVM(**SEED), judged),
        ("outlier_factor", neighbors.LocalOutlierFactor(novelty=True), judged),
    ):
        yield Case(name, estimator, *split("iris"), answers, PLAIN)
    yield Case("nearest", neighbors.NearestNeighbors(n_neighbors=3, radius=None), *split("wine"), found, PLAIN)

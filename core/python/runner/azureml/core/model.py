"""Where the files of a deployed model are."""

import os

_MODELS = "azureml-models"


class ModelNotFoundException(Exception):
    """No model of that name and version was deployed with the service."""


class Model:
    """The static part of the SDK's class that entry scripts use."""

    def __init__(self, *_arguments, **_options):
        raise NotImplementedError(
            "the azureml that lusk carries does not reach the model registry; "
            "deploy the service with the model and use Model.get_model_path(name)"
        )

    @staticmethod
    def get_model_path(model_name, version=None, _workspace=None):
        """The path of a model's file or folder; without `version`, of the newest one deployed."""
        if version is not None and (isinstance(version, bool) or not isinstance(version, int)):
            raise TypeError(f"the version of model `{model_name}` is a number, not {version!r}")
        root = os.environ.get("AML_APP_ROOT") or os.getcwd()
        folder = os.path.join(root, _MODELS, model_name)
        chosen = version if version is not None else _newest(folder)
        if chosen is not None and os.path.isdir(os.path.join(folder, str(chosen))):
            return _only_entry(model_name, os.path.join(folder, str(chosen)))
        if version is None and os.path.exists(model_name):
            return model_name
        wanted = f"`{model_name}`" if version is None else f"`{model_name}:{version}`"
        raise ModelNotFoundException(
            f"model {wanted} was not deployed with this service: there is no "
            f"{os.path.join(folder, str(chosen) if chosen is not None else '<version>')}"
        )


def _newest(folder):
    try:
        versions = [int(name) for name in os.listdir(folder) if name.isdigit()]
    except OSError:
        return None
    return max(versions, default=None)


def _only_entry(model_name, folder):
    entries = os.listdir(folder)
    if len(entries) != 1:
        raise ModelNotFoundException(
            f"model `{model_name}`: {folder} holds {len(entries)} entries, one is expected"
        )
    return os.path.join(folder, entries[0])

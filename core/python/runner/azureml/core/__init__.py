"""What of `azureml.core` has a meaning inside an entry script: `Model.get_model_path`."""

from azureml.core.model import Model

__all__ = ["Model"]

_CONTROL_PLANE = frozenset(
    """
    AciWebservice AksWebservice ComputeTarget Dataset Datastore Environment Experiment Image
    Keyvault LocalWebservice Run RunConfiguration ScriptRunConfig VERSION Webservice Workspace
    """.split()
)


def __getattr__(name):
    if name in _CONTROL_PLANE:
        raise NotImplementedError(
            f"azureml.core.{name} speaks with the control plane, which the azureml that lusk "
            "carries does not; use the admin API from outside, or the real azureml-core in an "
            "environment of the `process` runtime"
        )
    raise AttributeError(f"module 'azureml.core' has no attribute {name!r}")

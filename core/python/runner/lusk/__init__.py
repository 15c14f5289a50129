"""The names of `azureml` under lusk's own: `lusk.core`, `lusk.contrib`, `lusk.monitoring`."""

import importlib
import sys

for _name in (
    "core",
    "core.model",
    "contrib",
    "contrib.services",
    "contrib.services.aml_request",
    "contrib.services.aml_response",
    "monitoring",
):
    sys.modules[f"lusk.{_name}"] = importlib.import_module(f"azureml.{_name}")

core = sys.modules["lusk.core"]
contrib = sys.modules["lusk.contrib"]
monitoring = sys.modules["lusk.monitoring"]

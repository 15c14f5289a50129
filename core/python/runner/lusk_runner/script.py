"""Finds, imports and checks the entry script."""

import importlib
import importlib.util
import inspect
import os
import sys
from types import ModuleType

import inference_schema.schema_util
from azureml.contrib.services import aml_request

from lusk_runner import failure

APP_ROOT = "/var/azureml-app"

IMPORT_ERROR = "UserScriptImportError"
FUNCTION_NOT_FOUND = "UserScriptFunctionNotFound"
INIT_FAILED = "UserScriptInitFailed"

PLAIN = "plain"
SCHEMA = "schema"
RAW = "raw"


class StartFailure(Exception):
    """The script cannot serve. `text` begins with `<kind>: ` and one line; more may follow."""

    def __init__(self, kind, line, details=""):
        self.kind = kind
        self.text = f"{kind}: {line}" + (f"\n{details}" if details else "")
        super().__init__(self.text)

    @classmethod
    def caused_by(cls, kind, error):
        """A failure that an exception of the script explains."""
        return cls(kind, failure.summary(error), failure.render(error))


class Script:
    """An imported entry script whose `init` and `run` have been checked."""

    __slots__ = ("init", "run", "kind", "parameters", "wants_headers")

    def __init__(self, module):
        self.init = _function(module, "init")
        driven = getattr(module, "driver_module", None)
        if isinstance(driven, ModuleType) and hasattr(driven, "run"):
            module = driven
        self.run = _function(module, "run")
        parameters = list(inspect.signature(self.run).parameters.values())
        self._check_kinds(parameters)
        self.wants_headers = any(each.name == "request_headers" for each in parameters)
        self.parameters = [each for each in parameters if each.name != "request_headers"]
        if not self.parameters:
            raise StartFailure(
                FUNCTION_NOT_FOUND,
                "run() must take a parameter for the input besides `request_headers`"
                if self.wants_headers
                else "run() must take a parameter for the input",
            )
        self.kind = self._kind()

    @staticmethod
    def _check_kinds(parameters):
        allowed = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        for parameter in parameters:
            if parameter.kind not in allowed:
                raise StartFailure(
                    FUNCTION_NOT_FOUND,
                    f"run() has the parameter `{parameter}`: positional-only parameters, "
                    "*args and **kwargs are not possible",
                )

    def _kind(self):
        schema = inference_schema.schema_util.is_schema_decorated(self.run)
        raw = aml_request.raw_requested()
        if raw and schema:
            raise StartFailure(
                FUNCTION_NOT_FOUND, "run() is decorated with @rawhttp and with @input_schema"
            )
        return RAW if raw else SCHEMA if schema else PLAIN


def load():
    """Imports the entry script that the environment names."""
    root = os.environ.get("AML_APP_ROOT") or APP_ROOT
    folders = _search_folders(root)
    named = os.environ.get("AZUREML_ENTRY_SCRIPT")
    path = _locate(named, folders) if named else None
    _prepare_paths(root, folders, path)
    try:
        module = _import_file(path) if path else importlib.import_module("main")
    except BaseException as error:  # an exit or an interrupt is a failed import, too
        raise StartFailure.caused_by(IMPORT_ERROR, error) from None
    return Script(module)


def _function(module, name):
    function = getattr(module, name, None)
    if not callable(function):
        found = getattr(module, "__file__", module.__name__)
        raise StartFailure(FUNCTION_NOT_FOUND, f"`{found}` does not define {name}()")
    return function


def _search_folders(root):
    source = os.environ.get("AZUREML_SOURCE_DIRECTORY")
    return [root, os.path.join(root, source)] if source else [root]


def _locate(named, folders):
    tried = [os.path.normpath(os.path.join(folder, named)) for folder in reversed(folders)]
    for path in tried:
        if os.path.isfile(path):
            return path
    raise StartFailure(IMPORT_ERROR, f"there is no entry script at {' or '.join(tried)}")


def _prepare_paths(root, folders, script):
    """Sets working directory and module search path as the scoring server of the original does."""
    if os.path.isdir(root):
        os.chdir(root)
    extra = [each for each in os.environ.get("PYTHONPATH", "").split(os.pathsep) if each]
    beside = [os.path.dirname(script)] if script else []
    # The caches of finders are empty. `importlib.invalidate_caches()` would import
    # `importlib.metadata` and all that it needs: 150 ms and 3 MB in each instance.
    for folder in [*folders, *beside, *extra]:
        if folder not in sys.path:
            sys.path.append(folder)


def _import_file(path):
    name = os.path.splitext(os.path.basename(path))[0]
    if name in sys.modules:
        name = "entry_module"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None:
        raise ImportError(f"`{path}` is not a Python file", path=path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module

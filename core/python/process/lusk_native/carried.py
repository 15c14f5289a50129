"""Imports of the modules that lusk carries, and compiled code of packages.

lusk is the server, so `azureml.contrib.services` and its other name are always
lusk's own. Everything else that is carried stands behind what is installed.
"""

import os
import sys
from importlib.machinery import (
    BYTECODE_SUFFIXES,
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    PathFinder,
    SourceFileLoader,
    SourcelessFileLoader,
)

_OWN = ("azureml.contrib.services", "azureml_inference_server_http.api", "lusk_runner")
_TOPS = frozenset(
    "azureml azureml_inference_server_http inference_schema lusk lusk_native lusk_runner".split()
)


class Finder:
    """Finds carried modules below `folder`; as the first one only those that are always lusk's."""

    def __init__(self, folder, first):
        self._folder = folder
        self._first = first

    def find_spec(self, fullname, path=None, target=None):
        if not self._wants(fullname):
            return None
        parent = fullname.rpartition(".")[0].replace(".", os.sep)
        spec = PathFinder.find_spec(fullname, [os.path.join(self._folder, parent)], target)
        if spec is not None and type(spec.loader) is SourceFileLoader:
            spec.loader = Compiling(spec.loader.name, spec.loader.path)
        return spec

    def invalidate_caches(self):
        """Carried modules do not change."""

    def _wants(self, fullname):
        if not self._first:
            return fullname.partition(".")[0] in _TOPS
        return any(fullname == each or fullname.startswith(each + ".") for each in _OWN)


class Compiling(SourceFileLoader):
    """Keeps compiled code where scripts are not allowed to: beside carried modules, in `prefix`."""

    prefix = None

    def get_code(self, fullname):
        kept = sys.dont_write_bytecode, sys.pycache_prefix
        sys.dont_write_bytecode, sys.pycache_prefix = False, self.prefix
        try:
            return super().get_code(fullname)
        finally:
            sys.dont_write_bytecode, sys.pycache_prefix = kept


def install(folder):
    """Makes the carried modules importable."""
    sys.meta_path.insert(0, Finder(folder, first=True))
    sys.meta_path.append(Finder(folder, first=False))


def compile_into(prefix, root):
    """Has packages below `root` compiled once for all processes that are told `prefix`."""

    class CompilingPackages(Compiling):
        pass

    CompilingPackages.prefix = prefix
    make = FileFinder.path_hook(
        (ExtensionFileLoader, EXTENSION_SUFFIXES),
        (CompilingPackages, SOURCE_SUFFIXES),
        (SourcelessFileLoader, BYTECODE_SUFFIXES),
    )

    def hook(path):
        if path != root and not path.startswith(root + os.sep):
            raise ImportError(f"{path} is not below {root}", path=path)
        return make(path)

    sys.path_hooks.insert(0, hook)

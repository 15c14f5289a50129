"""The standard library inside the snapshot, as compressed sources.

While the component is built the sources lie in a folder; at run time there is
no such folder. `freeze` reads them into memory and `Finder` serves them, so
that `import difflib` works without a file system and tracebacks show lines.
"""

import gc
import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
import zlib

# Not needed for scoring, or of no use without a terminal or C extensions.
LEFT_OUT = frozenset(
    """
    __phello__ __pycache__ _aix_support.py _android_support.py _apple_support.py
    _ios_support.py _osx_support.py _pyrepl antigravity.py ctypes curses doctest.py ensurepip
    idlelib lib2to3 pdb.py pydoc.py pydoc_data rlcompleter.py site-packages test tests
    this.py tkinter turtle.py turtledemo venv webbrowser.py
    """.split()
)

# Variables that only made sense while the component was built.
BUILD_VARIABLES = ("PYTHONHOME", "PYTHONPATH", "PYTHONUNBUFFERED")


class Source(importlib.abc.InspectLoader):
    """Loads one module from its compressed source."""

    __slots__ = ("_packed", "_path", "_package")

    def __init__(self, path, packed, package):
        self._path = path
        self._packed = packed
        self._package = package

    def spec(self, fullname):
        """The module's import specification."""
        spec = importlib.machinery.ModuleSpec(
            fullname, self, origin=self._path, is_package=self._package
        )
        spec.has_location = True
        if self._package:
            spec.submodule_search_locations.append(os.path.dirname(self._path))
        return spec

    def create_module(self, spec):
        return None

    def get_code(self, fullname):
        return compile(self._bytes(), self._path, "exec", dont_inherit=True)

    def get_filename(self, fullname):
        return self._path

    def get_source(self, fullname):
        return importlib.util.decode_source(self._bytes())

    def is_package(self, fullname):
        return self._package

    def _bytes(self):
        return zlib.decompress(self._packed)


class Finder(importlib.abc.MetaPathFinder):
    """Finds the modules whose sources were kept."""

    def __init__(self):
        self._sources = {}

    def keep(self, fullname, path, package):
        """Keeps the source file `path` as module `fullname`."""
        with open(path, "rb") as file:
            packed = zlib.compress(file.read(), 9)
        self._sources[fullname] = Source(path, packed, package)

    def source(self, fullname):
        """The loader of a kept module, or None."""
        return self._sources.get(fullname)

    def find_spec(self, fullname, path=None, target=None):
        source = self._sources.get(fullname)
        return None if source is None else source.spec(fullname)

    def invalidate_caches(self):
        pass


def freeze():
    """Ends the building of the snapshot; nothing may be imported from files after it."""
    finder = Finder()
    for root in sys.path:
        if os.path.isdir(root):
            _keep_folder(finder, root, "")
    _hand_over(finder)
    sys.path.clear()
    sys.path_importer_cache.clear()
    sys.meta_path.append(finder)
    sys.dont_write_bytecode = True
    # A line is one write to the log, instead of one for each part of it.
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(
            encoding="utf-8", errors="backslashreplace", line_buffering=True, write_through=False
        )
    for name in BUILD_VARIABLES:
        os.environ.pop(name, None)
    gc.collect()
    gc.freeze()


def _keep_folder(finder, folder, package):
    for name in sorted(os.listdir(folder)):
        path = f"{folder}/{name}"
        if name in LEFT_OUT:
            continue
        stem, suffix = os.path.splitext(name)
        if suffix == ".py":
            _keep_file(finder, path, package, stem)
        elif os.path.isfile(f"{path}/__init__.py"):
            _keep_folder(finder, path, f"{package}{name}.")


def _keep_file(finder, path, package, stem):
    if stem == "__init__":
        fullname, is_package = package[:-1], True
    else:
        fullname, is_package = package + stem, False
    if fullname and finder.source(fullname) is None:
        finder.keep(fullname, path, is_package)


def _hand_over(finder):
    """Lets the modules that are loaded already find their lines in the kept sources."""
    for name, module in list(sys.modules.items()):
        source = finder.source(name)
        spec = getattr(module, "__spec__", None)
        if source is not None and spec is not None and spec.origin not in ("built-in", "frozen"):
            spec.loader = module.__loader__ = source

"""The packages of an environment, and what to say of one that is not there."""

import os
import sys

from lusk_native import carried

# Names of distributions that differ from what is imported.
_DISTRIBUTIONS = {
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python-headless",
    "dateutil": "python-dateutil",
    "PIL": "pillow",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "yaml": "PyYAML",
}


def add(folder, compiled, own):
    """Puts the packages in `folder` on the search path, their .pth files followed.

    The interpreter was started without its own packages. `own` holds the carried modules.
    """
    import site

    carried.compile_into(compiled, folder)
    site.addsitedir(folder)
    site.setquit()
    # For what the script starts; this interpreter has its path already.
    given = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([*([given] if given else []), folder, own])


def hint(package, managed):
    """The way out of a missing package; `managed` if lusk installs the packages."""
    name = _DISTRIBUTIONS.get(package, package)
    if managed:
        return (
            f"`{package}` is not in the environment; add `{name}` to its conda or pip "
            "dependencies, or put the file into the source directory"
        )
    return (
        f"`{package}` is not installed for {sys.executable}, which manages its own packages; "
        f"run `{sys.executable} -m pip install {name}`"
    )

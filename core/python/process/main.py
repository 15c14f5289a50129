"""Runs an entry script in an interpreter of this machine, as a child of lusk.

Standard input is the channel to lusk, see `lusk_native.channel`.
"""

import os
import sys

if __name__ == "__main__":
    # The folder of this file comes first; the carried modules lie below it.
    sys.path[0] = os.path.join(os.path.dirname(os.path.abspath(__file__)), "carried")
    from lusk_native import serve

    serve.main(sys.path.pop(0))

"""The native runner: what surrounds an entry script in a process of its own.

Needs CPython 3.8 or newer and nothing but its standard library.
"""

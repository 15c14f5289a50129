"""Runs an Azure-style entry script: `init()` once, `run()` for each request.

Nothing in here imports `wit_world`, so that all of it can be tested under an
ordinary CPython; the component's face is `lusk_app`.
"""

"""Requests and responses of scripts with `@rawhttp`."""

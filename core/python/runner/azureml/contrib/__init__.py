"""Contributed packages: `services`."""

"""Targets in Python: a module a kind of input, a function a target."""

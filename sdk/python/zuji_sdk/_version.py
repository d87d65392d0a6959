"""The version: of the package, in User-Agent and in `$lib_version`."""

__version__ = "0.1.0"

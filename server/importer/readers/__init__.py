"""Readers: one module a file kind, all with the interface of :class:`~.base.Reader`."""

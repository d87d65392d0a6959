"""Kernels: the hot loops of every analysis, as free functions over contiguous arrays.

C in headers (one idea a header) behind thin Cython wrappers that check shapes and release the GIL.
A leaf of the query layer: kernels know lanes, edges, masks and ordinals, never names or files.
Each kernel has a slow twin in ``tests/differential/twins_*.py``. ``lane.py`` has the data model.
"""

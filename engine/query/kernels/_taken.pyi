# For other kernels alone: nothing here is seen from Python.

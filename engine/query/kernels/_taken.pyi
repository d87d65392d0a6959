__pyx_capi__: dict[str, object]  # how Cython modules find each other's functions

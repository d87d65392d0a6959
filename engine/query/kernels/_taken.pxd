cdef object taken(void **source, size_t count, int kind)

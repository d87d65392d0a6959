/* Passes that are over in a moment keep the interpreter's lock.
 *
 * To leave it costs nothing, but to get it back a thread waits until another lets go of it: up to the
 * switch interval when that one computes in Python, as flushes and merges do. A batch on its way to
 * the log makes several passes of some 50 µs; leaving the lock for each made its acknowledgement wait
 * for a multiple of what it computes.
 */
#ifndef ZJ_BRIEFLY_H
#define ZJ_BRIEFLY_H

#include <Python.h>

/* So many rows are taken by a pass over a batch in about 0.2 ms. */
#define ZJ_BRIEF_ROWS 2048

/* Leaves the lock, unless the pass is brief. What comes next touches no Python object. */
static inline PyThreadState *zj_leave(size_t rows) { return rows > ZJ_BRIEF_ROWS ? PyEval_SaveThread() : NULL; }

/* Takes the lock again, if it was left. */
static inline void zj_return(PyThreadState *left) {
    if (left) PyEval_RestoreThread(left);
}

#endif

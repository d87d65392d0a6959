/* What a plain funnel asks: ordered, any entry, a window in ms, no exclusions, nothing held. */
#ifndef ZUJI_FUNNEL_PLAIN_H
#define ZUJI_FUNNEL_PLAIN_H

#include "lanes.h"

enum { ZJ_TIES_SEQUENCE = 0, ZJ_TIES_ANY = 1, ZJ_TIES_STRICT = 2 };
#define ZJ_MAX_STEPS 32

typedef struct {
    const zj_lane *lanes;
    int count;
    const uint32_t *step_mask;       /* [count] for lanes without row masks */
    const uint32_t *const *row_mask; /* [count] uint32[n] or NULL */
    int steps;                       /* k */
    int64_t window;                  /* ms, inclusive */
    int ties;
    int64_t from, to;                /* starts in [from, to) */
} zj_funnel;

/* May rows of the lane match the step? */
ZJ_INLINE int zj_step_in(const zj_funnel *f, int l, int s) {
    return f->lanes[l].n && (f->row_mask[l] || (f->step_mask[l] >> s & 1));
}

#endif

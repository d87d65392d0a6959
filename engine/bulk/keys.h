/* Ids of table rows as keys of the identity index: a prefix byte and the id, end to end. O(rows + bytes). */
#ifndef ZUJI_BULK_KEYS_H
#define ZUJI_BULK_KEYS_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { ZJ_ID_USER = 0, ZJ_ID_DEVICE = 1, ZJ_ID_MISSING = 2, ZJ_ID_LONG = 3 };

/* One column of texts; offsets NULL = there is none; valid NULL = no nulls. */
typedef struct {
    const uint8_t *data;
    const int64_t *offsets;
    const uint8_t *valid;
} zj_texts;

static inline int64_t zj_text_size(const zj_texts *t, int64_t i) {
    if (!t->offsets || (t->valid && !t->valid[i])) return 0;
    return t->offsets[i + 1] - t->offsets[i];
}

/* Whose row i is: its user's, or without one (null or empty) its device's. */
static void zj_id_states(const zj_texts *user, const zj_texts *device, int64_t n, int64_t most, uint8_t *state) {
    for (int64_t i = 0; i < n; i++) {
        int64_t size = zj_text_size(user, i);
        state[i] = ZJ_ID_USER;
        if (size == 0) {
            size = zj_text_size(device, i);
            state[i] = size ? ZJ_ID_DEVICE : ZJ_ID_MISSING;
        }
        if (size > most) state[i] = ZJ_ID_LONG;
    }
}

/* Keys of the kept rows (all when keep is NULL); offsets gets one more entry than there are. data NULL: only counts.
 * REQUIRES: the state of a kept row is USER or DEVICE. Returns the bytes. */
static int64_t zj_id_keys(const zj_texts *user, const zj_texts *device, const uint8_t *state, const uint8_t *keep,
                          int64_t n, uint8_t first, uint8_t second, uint8_t *data, int64_t *offsets) {
    int64_t at = 0, row = 0;
    for (int64_t i = 0; i < n; i++) {
        if (keep && !keep[i]) continue;
        const int by_device = state && state[i] == ZJ_ID_DEVICE;
        const zj_texts *t = by_device ? device : user;
        const int64_t size = zj_text_size(t, i);
        if (data) {
            data[at] = by_device ? second : first;
            memcpy(data + at + 1, t->data + t->offsets[i], (size_t)size);
            offsets[row] = at;
        }
        at += 1 + size;
        row++;
    }
    if (data) offsets[row] = at;
    return at;
}

#endif

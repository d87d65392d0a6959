/* What the events before had, so that what repeats is compared instead of hashed and looked up.
 *
 * zj_recall: short values (≤ 16 bytes) → code, direct-mapped. An entry holds the bytes themselves, so
 * a hit is exact. zj_habit keeps values that do not repeat (ids) from being looked for in vain.
 * zj_shape: the property names of an event in the order sent, per event name. A name that stands
 * where a shape has it costs one compare, elsewhere a short search: no hash, no validation.
 *
 * Both belong to one string table each (zj_table.aside), so codes in them are codes of that table;
 * whoever takes strings back from a table forgets its recall and its shapes.
 */
#ifndef ZUJI_BATCH_RECALL_H
#define ZUJI_BATCH_RECALL_H

#include <stdlib.h>
#include <string.h>

#include "batch/reasons.h"
#include "index/stringtable.h"

#define ZJ_RECALL_BITS 11
#define ZJ_RECALL_BYTES 16
#define ZJ_NO_SLOT UINT16_MAX
#define ZJ_SHAPES 128     /* a power of two; sets of two */
#define ZJ_SHAPE_NAMES 48 /* at most 64: a bit each */
#define ZJ_NAME_BYTES 31  /* longer names are not in shapes */
#define ZJ_EVENT_BYTES 32

typedef struct {
    uint64_t w[2]; /* the bytes, zero after the n-th */
    uint32_t code;
    uint32_t n;    /* UINT32_MAX: empty */
} zj_recalled;

typedef struct {
    uint8_t misses, pass;
} zj_habit;

typedef struct {
    zj_recalled slot[1 << ZJ_RECALL_BITS];
    zj_habit ids[2], list, other;
} zj_recall;

typedef struct {
    uint64_t w[4]; /* the name, zero after the n-th byte */
    uint32_t code; /* ZJ_NO_CODE: stood only with null so far */
    uint8_t n;
    uint8_t plain; /* neither " nor \ in it: its JSON is the name itself */
    zj_habit habit; /* of its values */
} zj_shape_name;

typedef struct {
    uint64_t w[4]; /* name of the event */
    uint32_t n;    /* its bytes; 0: an empty shape */
    uint32_t code;
    uint32_t count;
    uint32_t overflows; /* names that found it full */
    zj_shape_name names[ZJ_SHAPE_NAMES]; /* [count], all different */
} zj_shape;

typedef struct {
    zj_shape named[ZJ_SHAPES];
    zj_shape nameless; /* the properties came before the name of the event */
    uint8_t fields[16]; /* of the last event, in its order */
} zj_shapes;

static const uint8_t zj_ones[64] = {
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
};

static inline uint64_t zj_word(const uint8_t *p) {
    uint64_t w;
    memcpy(&w, p, 8);
    return w;
}

/* Word i of p[0, n) with zeros after the end. REQUIRES: n <= 32, p[8 i, 8 i + 8) can be read. */
static inline uint64_t zj_piece(const uint8_t *p, uint32_t n, uint32_t i) {
    return zj_word(p + 8 * i) & zj_word(zj_ones + 32 - n + 8 * i);
}

static inline uint32_t zj_recall_slot(const uint64_t w[2], uint32_t n) {
    uint64_t h = w[0] * 0x9E3779B97F4A7C15ull ^ (w[1] + n) * 0xC2B2AE3D27D4EB4Full;
    return (uint32_t)(h >> (64 - ZJ_RECALL_BITS));
}

/* Is it worth looking? A run of misses makes this say no for a while. */
static inline int zj_habit_try(zj_habit *h) {
    if (!h->pass) return 1;
    h->pass--;
    return 0;
}

static inline void zj_habit_hit(zj_habit *h) {
    h->misses -= h->misses != 0;
}

static inline void zj_habit_miss(zj_habit *h) {
    if (++h->misses < 32) return;
    h->misses = 28;
    h->pass = 255;
}

/* A table, and two places beside it for what is kept with it: NULL, or malloc'd here. Whoever frees
 * the table frees them. */
typedef struct {
    zj_strings *strings;
    void **aside; /* [2] */
} zj_table;

static inline zj_recall *zj_recall_of(zj_table t) {
    zj_recall *r = (zj_recall *)t.aside[0];
    if (r || !(r = (zj_recall *)malloc(sizeof(zj_recall)))) return r;
    memset(r, 0, sizeof *r);
    for (uint32_t i = 0; i < 1u << ZJ_RECALL_BITS; i++) r->slot[i].n = UINT32_MAX;
    t.aside[0] = r;
    return r;
}

static inline zj_shapes *zj_shapes_of(zj_table t) {
    if (!t.aside[1]) t.aside[1] = calloc(1, sizeof(zj_shapes));
    return (zj_shapes *)t.aside[1];
}

/* The table as it was when it had `count` strings. */
static inline void zj_table_back(zj_table t, uint64_t count) {
    if (t.strings->count == count) return;
    for (int i = 0; i < 2; i++) {
        free(t.aside[i]);
        t.aside[i] = NULL;
    }
    zj_strings_take_back(t.strings, count);
}

/* REQUIRES: 32 bytes at p can be read. */
static inline int zj_shape_name_is(const zj_shape_name *k, const uint8_t *p) {
    const uint32_t n = k->n;
    if (n <= 8) return zj_piece(p, n, 0) == k->w[0];
    if (n <= 16) return ((zj_word(p) ^ k->w[0]) | (zj_piece(p, n, 1) ^ k->w[1])) == 0;
    return ((zj_word(p) ^ k->w[0]) | (zj_word(p + 8) ^ k->w[1]) | (zj_piece(p, n, 2) ^ k->w[2]) |
            (zj_piece(p, n, 3) ^ k->w[3])) == 0;
}

static inline void zj_words_of(uint64_t w[4], const uint8_t *p, uint32_t n) {
    w[0] = w[1] = w[2] = w[3] = 0;
    memcpy(w, p, n);
}

/* The shape of an event name of at most ZJ_EVENT_BYTES: *found, or the one that it may take over. */
static inline zj_shape *zj_shape_for(zj_shapes *s, const uint64_t w[4], uint32_t n, int *found) {
    uint64_t h = (w[0] * 0x9E3779B97F4A7C15ull) ^ ((w[1] + n) * 0xC2B2AE3D27D4EB4Full) ^
                 ((w[2] ^ w[3] << 1) * 0x165667B19E3779F9ull);
    uint32_t at = (uint32_t)(h >> 57) & (ZJ_SHAPES - 1);
    for (uint32_t k = 0; k < 2; k++) {
        zj_shape *shape = &s->named[at ^ k];
        if (shape->n == n && ((shape->w[0] ^ w[0]) | (shape->w[1] ^ w[1]) | (shape->w[2] ^ w[2]) |
                              (shape->w[3] ^ w[3])) == 0) {
            *found = 1;
            return shape;
        }
    }
    *found = 0;
    if (s->named[at].n == 0) return &s->named[at];
    if (s->named[at ^ 1].n == 0) return &s->named[at ^ 1];
    return &s->named[at ^ (uint32_t)(h & 1)];
}

static int zj_shape_find(const zj_shape *shape, const zj_shape_name *name) {
    for (uint32_t i = 0; i < shape->count; i++)
        if (shape->names[i].n == name->n && memcmp(shape->names[i].w, name->w, sizeof name->w) == 0)
            return (int)i;
    return -1;
}

/* Adds the names of an event to its shape, each behind the one that it followed. A full shape begins
 * anew now and then, with what the event has. */
static void zj_shape_learn(zj_shape *shape, const zj_text *keys, const uint32_t *codes,
                           uint32_t count) {
    uint32_t next = 0;
    for (uint32_t i = 0; i < count; i++) {
        zj_shape_name name = {{0, 0, 0, 0}, codes[i], (uint8_t)keys[i].n, 1, {0, 0}};
        if (keys[i].n > ZJ_NAME_BYTES) continue;
        zj_words_of(name.w, keys[i].p, keys[i].n);
        name.plain = !memchr(keys[i].p, '"', keys[i].n) && !memchr(keys[i].p, '\\', keys[i].n);
        const int at = zj_shape_find(shape, &name);
        if (at >= 0) {
            if (shape->names[at].code == ZJ_NO_CODE) shape->names[at].code = name.code;
            next = (uint32_t)at + 1;
            continue;
        }
        if (shape->count == ZJ_SHAPE_NAMES) {
            if (++shape->overflows % 32) return;
            shape->count = next = 0;
        }
        memmove(&shape->names[next + 1], &shape->names[next], (shape->count - next) * sizeof name);
        shape->names[next++] = name;
        shape->count++;
    }
}

#endif

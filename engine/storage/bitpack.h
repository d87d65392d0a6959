/* Bit packing of 512 values, vertically: value i stands in lane i % 16 at place i / 16.
 *
 * A block of width w (1..32) is 16 x w little-endian words of 32 bits, word j of lane l at index
 * 16 j + l; a lane is a plain bit stream of its 32 values, lowest bits first. So one step of 16 lanes
 * is one 512-bit, two 256-bit or four 128-bit instructions, and the compiler writes all three.
 *
 * This file is included once for each instruction set, with ZJ_ISA(name) naming the functions and
 * ZJ_TARGET their attribute. Every function is plain C; only the compiler's target differs.
 */

typedef uint32_t ZJ_ISA(v16) __attribute__((vector_size(64), aligned(1), may_alias));

#define ZJ_WIDTHS(X)                                                                             \
    X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15) X(16) X(17) \
    X(18) X(19) X(20) X(21) X(22) X(23) X(24) X(25) X(26) X(27) X(28) X(29) X(30) X(31) X(32)

#define ZJ_DEFINE_WIDTH(W)                                                        \
    ZJ_TARGET static void ZJ_ISA(unpack_##W)(const uint8_t *in, uint32_t *out) {  \
        const ZJ_ISA(v16) *words = (const ZJ_ISA(v16) *)in;                       \
        ZJ_ISA(v16) *values = (ZJ_ISA(v16) *)out;                                 \
        _Pragma("GCC unroll 32") for (int i = 0; i < 32; i++) {                   \
            const int bit = i * W, word = bit / 32, shift = bit % 32;             \
            ZJ_ISA(v16) v = words[word] >> shift;                                 \
            if (shift + W > 32) v |= words[word + 1] << ((32 - shift) & 31);      \
            if (W < 32) v &= (uint32_t)(((uint64_t)1 << W) - 1);                  \
            values[i] = v;                                                        \
        }                                                                         \
    }                                                                             \
    ZJ_TARGET static void ZJ_ISA(pack_##W)(const uint32_t *in, uint8_t *out) {    \
        const ZJ_ISA(v16) *values = (const ZJ_ISA(v16) *)in;                      \
        ZJ_ISA(v16) *words = (ZJ_ISA(v16) *)out;                                  \
        ZJ_ISA(v16) word = {0};                                                   \
        _Pragma("GCC unroll 32") for (int i = 0; i < 32; i++) {                   \
            const int bit = i * W, at = bit / 32, shift = bit % 32;               \
            word |= values[i] << shift;                                           \
            if (shift + W >= 32) {                                                \
                words[at] = word;                                                 \
                if (shift + W > 32) word = values[i] >> ((32 - shift) & 31);      \
                else word = (ZJ_ISA(v16)){0};                                     \
            }                                                                     \
        }                                                                         \
    }
ZJ_WIDTHS(ZJ_DEFINE_WIDTH)
#undef ZJ_DEFINE_WIDTH

/* in: 64 w bytes; out: 512 values. REQUIRES: 1 <= w <= 32. */
static void ZJ_ISA(unpack)(const uint8_t *in, uint32_t *out, int w) {
    switch (w) {
#define ZJ_CASE(W) \
    case W: ZJ_ISA(unpack_##W)(in, out); break;
        ZJ_WIDTHS(ZJ_CASE)
#undef ZJ_CASE
        default: break;
    }
}

/* in: 512 values below 2^w; out: 64 w bytes. REQUIRES: 1 <= w <= 32. */
static void ZJ_ISA(pack)(const uint32_t *in, uint8_t *out, int w) {
    switch (w) {
#define ZJ_CASE(W) \
    case W: ZJ_ISA(pack_##W)(in, out); break;
        ZJ_WIDTHS(ZJ_CASE)
#undef ZJ_CASE
        default: break;
    }
}
#undef ZJ_WIDTHS

/* Smallest and largest of n >= 1 values. */
ZJ_TARGET static void ZJ_ISA(range)(const int64_t *v, size_t n, int64_t *low, int64_t *high) {
    int64_t a = v[0], b = v[0];
    for (size_t i = 0; i < n; i++) {
        a = v[i] < a ? v[i] : a;
        b = v[i] > b ? v[i] : b;
    }
    *low = a;
    *high = b;
}

/* Largest of n >= 1 codes. */
ZJ_TARGET static uint16_t ZJ_ISA(largest)(const uint16_t *v, size_t n) {
    uint16_t a = v[0];
    for (size_t i = 0; i < n; i++) a = v[i] > a ? v[i] : a;
    return a;
}

/* Number of places where v[i] != v[i-1], and of those where v[i] < v[i-1]. */
ZJ_TARGET static size_t ZJ_ISA(changes)(const int64_t *v, size_t n, size_t *down) {
    uint64_t changed = 0, falls = 0;
    for (size_t i = 1; i < n; i++) {
        changed += v[i] != v[i - 1];
        falls += v[i] < v[i - 1];
    }
    *down = (size_t)falls;
    return (size_t)changed;
}

/* out[i] = v[i + 1] - v[i], wrapping, for n differences. */
ZJ_TARGET static void ZJ_ISA(differences)(const int64_t *v, size_t n, int64_t *out) {
    for (size_t i = 0; i < n; i++) out[i] = (int64_t)((uint64_t)v[i + 1] - (uint64_t)v[i]);
}

/* 32 bits of v[i] - base from bit `shift` on: halves for packing, leading bits for planning. */
ZJ_TARGET static void ZJ_ISA(offsets)(const int64_t *v, size_t n, uint64_t base, int shift,
                                      uint32_t *out) {
    for (size_t i = 0; i < n; i++) out[i] = (uint32_t)(((uint64_t)v[i] - base) >> shift);
}

/* out[i] = v[i] & mask for 512 values. */
ZJ_TARGET static void ZJ_ISA(mask)(uint32_t *v, uint32_t mask) {
    for (size_t i = 0; i < 512; i++) v[i] &= mask;
}

/* Number of 512 values above `limit`. */
ZJ_TARGET static uint32_t ZJ_ISA(above)(const uint32_t *v, uint32_t limit) {
    uint32_t found = 0;
    for (size_t i = 0; i < 512; i++) found += v[i] > limit;
    return found;
}

/* Bit i of out: v[i] > limit, for 512 values. */
ZJ_TARGET static void ZJ_ISA(flags)(const uint32_t *v, uint32_t limit, uint64_t *out) {
    uint8_t found[512];
    for (size_t i = 0; i < 512; i++) found[i] = v[i] > limit;
    for (size_t word = 0; word < 8; word++) {
        uint64_t bits = 0;
        for (size_t i = 0; i < 8; i++) {
            uint64_t eight;
            memcpy(&eight, found + 64 * word + 8 * i, 8);
            /* The product gathers bit 0 of byte j at bit 56 + j. */
            bits |= (eight * 0x0102040810204080u >> 56) << (8 * i);
        }
        out[word] = bits;
    }
}

/* v[i] = carry + v[0] + ... + v[i], modulo 2^32: four shifted additions for each 16 values. */
ZJ_TARGET static void ZJ_ISA(sums)(uint32_t *v, size_t n, uint32_t carry) {
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        ZJ_ISA(v16) x = *(const ZJ_ISA(v16) *)(v + i);
        x += __builtin_shuffle(x, (ZJ_ISA(v16)){0}, (ZJ_ISA(v16)){16, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14});
        x += __builtin_shuffle(x, (ZJ_ISA(v16)){0}, (ZJ_ISA(v16)){16, 16, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13});
        x += __builtin_shuffle(x, (ZJ_ISA(v16)){0}, (ZJ_ISA(v16)){16, 16, 16, 16, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11});
        x += __builtin_shuffle(x, (ZJ_ISA(v16)){0}, (ZJ_ISA(v16)){16, 16, 16, 16, 16, 16, 16, 16, 0, 1, 2, 3, 4, 5, 6, 7});
        const uint32_t last = x[15];
        x += carry;
        carry += last;
        *(ZJ_ISA(v16) *)(v + i) = x;
    }
    for (; i < n; i++) v[i] = carry += v[i];
}

#define ZJ_ADD(T)                                                                                \
    ZJ_TARGET static void ZJ_ISA(add_##T)(const uint32_t *low, size_t n, uint64_t base, T *out) { \
        for (size_t i = 0; i < n; i++) out[i] = (T)(base + low[i]);                              \
    }                                                                                            \
    ZJ_TARGET static void ZJ_ISA(add2_##T)(const uint32_t *low, const uint32_t *high, size_t n,   \
                                           uint64_t base, T *out) {                              \
        for (size_t i = 0; i < n; i++) out[i] = (T)(base + (((uint64_t)high[i] << 32) | low[i])); \
    }                                                                                            \
    ZJ_TARGET static void ZJ_ISA(widen_##T)(const T *v, size_t n, int64_t *out) {                 \
        for (size_t i = 0; i < n; i++) out[i] = (int64_t)v[i];                                   \
    }                                                                                            \
    ZJ_TARGET static void ZJ_ISA(take_##T)(const T *table, const uint16_t *codes, size_t n,       \
                                           T *out) {                                             \
        for (size_t i = 0; i < n; i++) out[i] = table[codes[i]];                                 \
    }
ZJ_ADD(uint8_t)
ZJ_ADD(uint16_t)
ZJ_ADD(uint32_t)
ZJ_ADD(int64_t)
#undef ZJ_ADD

/* 1 when every v[i] is exactly (double)k / scale for an integer |k| <= 2^53, written to out. */
ZJ_TARGET static int ZJ_ISA(decimals)(const double *v, size_t n, double scale, int64_t *out) {
    uint64_t bad = 0;
    for (size_t i = 0; i < n; i++) {
        const double x = v[i] * scale;
        /* A value out of range would make the conversion undefined: such a value is set to 0. */
        const int fits = x >= -9007199254740992.0 && x <= 9007199254740992.0;
        const double y = fits ? x : 0.0;
        const int64_t k = (int64_t)(y + (y < 0 ? -0.5 : 0.5));
        const double back = (double)k / scale;
        uint64_t a, b;
        memcpy(&a, &v[i], 8);
        memcpy(&b, &back, 8);
        bad |= a ^ b;
        out[i] = k;
    }
    return bad == 0;
}

ZJ_TARGET static void ZJ_ISA(undecimals)(const int64_t *v, size_t n, double scale, double *out) {
    for (size_t i = 0; i < n; i++) out[i] = (double)v[i] / scale;
}

static const zj_isa ZJ_ISA(isa) = {
    ZJ_ISA(unpack),         ZJ_ISA(pack),          ZJ_ISA(range),          ZJ_ISA(changes),
    ZJ_ISA(differences),    ZJ_ISA(offsets),       ZJ_ISA(mask),           ZJ_ISA(above),
    ZJ_ISA(flags),          ZJ_ISA(sums),          ZJ_ISA(largest),        ZJ_ISA(add_uint8_t),
    ZJ_ISA(add_uint16_t),   ZJ_ISA(add_uint32_t),  ZJ_ISA(add_int64_t),    ZJ_ISA(add2_uint8_t),
    ZJ_ISA(add2_uint16_t),  ZJ_ISA(add2_uint32_t), ZJ_ISA(add2_int64_t),   ZJ_ISA(widen_uint8_t),
    ZJ_ISA(widen_uint16_t), ZJ_ISA(widen_uint32_t), ZJ_ISA(take_uint8_t),  ZJ_ISA(take_uint16_t),
    ZJ_ISA(take_uint32_t),  ZJ_ISA(take_int64_t),  ZJ_ISA(decimals),       ZJ_ISA(undecimals),
};

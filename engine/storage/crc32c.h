/* CRC32C (Castagnoli): SSE4.2 or ARMv8 instructions when the CPU has them, else slicing by 8. */
#ifndef ZUJI_CRC32C_H
#define ZUJI_CRC32C_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

static uint32_t zj_crc_table[8][256];

static inline void zj_crc_init(void) {
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int k = 0; k < 8; k++) c = (c >> 1) ^ (c & 1 ? 0x82F63B78u : 0);
        zj_crc_table[0][i] = c;
    }
    for (uint32_t i = 0; i < 256; i++)
        for (int t = 1; t < 8; t++) {
            const uint32_t c = zj_crc_table[t - 1][i];
            zj_crc_table[t][i] = (c >> 8) ^ zj_crc_table[0][c & 0xFF];
        }
}

static uint32_t zj_crc_portable(uint32_t crc, const uint8_t *p, size_t n) {
    while (n >= 8) {
        const uint32_t a = crc ^ ((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
                                  (uint32_t)p[3] << 24);
        crc = zj_crc_table[7][a & 0xFF] ^ zj_crc_table[6][(a >> 8) & 0xFF] ^
              zj_crc_table[5][(a >> 16) & 0xFF] ^ zj_crc_table[4][a >> 24] ^ zj_crc_table[3][p[4]] ^
              zj_crc_table[2][p[5]] ^ zj_crc_table[1][p[6]] ^ zj_crc_table[0][p[7]];
        p += 8;
        n -= 8;
    }
    while (n--) crc = (crc >> 8) ^ zj_crc_table[0][(crc ^ *p++) & 0xFF];
    return crc;
}

#if defined(__x86_64__) && defined(__GNUC__)
#define ZJ_CRC_HARDWARE 1
static int zj_crc_supported(void) { return __builtin_cpu_supports("sse4.2"); }

__attribute__((target("sse4.2"))) static uint32_t zj_crc_hardware(uint32_t crc, const uint8_t *p,
                                                                  size_t n) {
    uint64_t c = crc;
    for (; n >= 8; p += 8, n -= 8) {
        uint64_t v;
        memcpy(&v, p, 8);
        c = __builtin_ia32_crc32di(c, v);
    }
    while (n--) c = __builtin_ia32_crc32qi((uint32_t)c, *p++);
    return (uint32_t)c;
}
#elif defined(__aarch64__) && defined(__GNUC__) && !defined(__clang__) && defined(__linux__)
#define ZJ_CRC_HARDWARE 1
static int zj_crc_supported(void) { return (getauxval(AT_HWCAP) & (1ul << 7)) != 0; /* HWCAP_CRC32 */ }

__attribute__((target("+crc"))) static uint32_t zj_crc_hardware(uint32_t crc, const uint8_t *p,
                                                                size_t n) {
    for (; n >= 8; p += 8, n -= 8) {
        uint64_t v;
        memcpy(&v, p, 8);
        crc = __builtin_aarch64_crc32cx(crc, v);
    }
    while (n--) crc = __builtin_aarch64_crc32cb(crc, *p++);
    return crc;
}
#else
#define ZJ_CRC_HARDWARE 0
static int zj_crc_supported(void) { return 0; }
static uint32_t zj_crc_hardware(uint32_t crc, const uint8_t *p, size_t n) {
    return zj_crc_portable(crc, p, n);
}
#endif

static int zj_crc_use_hardware;

/* CRC of the bytes, going on from `crc` (0 at the start). */
static inline uint32_t zj_crc32c(uint32_t crc, const uint8_t *p, size_t n) {
    return ~(zj_crc_use_hardware ? zj_crc_hardware(~crc, p, n) : zj_crc_portable(~crc, p, n));
}

#endif

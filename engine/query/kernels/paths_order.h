/* A source laid out in the order of its users: the times of all its rows one after the other.
 *
 * Runs hold the rows of one event each, so whoever walks user by user follows as many streams as there
 * are events. What is laid out once is walked along one stream afterwards (`laid` of a zp_source).
 * O(rows).
 */
#ifndef ZUJI_PATHS_ORDER_H
#define ZUJI_PATHS_ORDER_H

#include "paths_block.h"

/* Users that have rows, where the rows of each end, and time and run of each row; *n_users: how many.
 * Runs that are not kept are left out. The code of a run is its number + 1. REQUIRES: room for the kept
 * rows, and for as many users. */
static int zp_lay_out(zp_source *source, uint32_t *owner, uint32_t *end, uint32_t *time, uint16_t *run,
                      uint32_t *n_users, zj_guard *guard) {
    zp_block block = {0};
    uint32_t users = 0, rows = 0;
    int status = zp_block_reserve(&block, ZP_BLOCK, 2);
    for (uint64_t from = 0; status == ZJ_OK && source->rest; from += ZP_USERS) {
        uint64_t total;
        status = from > UINT32_MAX ? ZJ_REJECTED : zp_count_rows(source, (uint32_t)from, ZP_USERS, &total);
        for (uint32_t i = 0, at = rows; status == ZJ_OK && i < ZP_USERS; i++) {
            if (source->rows[i] == 0) continue;
            owner[users] = (uint32_t)from + i;
            end[users++] = at += source->rows[i];
        }
        while (status == ZJ_OK && total) {
            const size_t m = total < ZP_BLOCK ? (size_t)total : ZP_BLOCK;
            block.n = 0;
            status = zj_stop(guard, (uint32_t)m) ? ZJ_CANCELLED : zp_take(source, m, &block, source->whole, 2);
            for (size_t j = 0; status == ZJ_OK && j < block.n; j++, rows++) {
                uint16_t code;
                memcpy(&code, block.code + 2 * j, 2);
                time[rows] = (uint32_t)(block.time[j] - source->base);
                run[rows] = (uint16_t)(code - 1);
            }
            total -= m;
        }
    }
    if (status == ZJ_OK) status = zp_at_end(source);
    if (status == ZJ_OK && rows != (users ? end[users - 1] : 0)) status = ZJ_REJECTED;
    *n_users = users;
    zp_block_close(&block);
    return status;
}

#endif

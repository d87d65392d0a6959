/* Session paths in full: nodes by row, groups, paths that open at an event or lead to one, users.
 *
 * Rows are items of eight bytes (paths_block.h). A path opens at a row that may open one: at the first
 * of its session, or (every) at each; in reverse, sessions are read from their last row. What is counted:
 *
 * tally: for every layer and node the paths that have it there, and the paths of every group.
 * cells: nodes and links by line. A group stands in the lines that `lines` gives it (a list puts a path
 *     in several). Nodes are shown as columns: of each layer those of `shown`, from 0; then the end
 *     without a row left, and the end with rows but no step left (`side - 2`, `side - 1`). A path that
 *     has ended goes on as its end. Cells of a line: its paths, those that may go on, nodes
 *     [steps, side], links [steps - 1, side, side]. With `last` a cell counts users: a user's rows come
 *     together, so a cell need only know whom it counted last.
 * O(rows + paths * steps * lines of a group).
 */
#ifndef ZUJI_PATHS_CELLS_H
#define ZUJI_PATHS_CELLS_H

#include "paths_links.h"

typedef struct {
    uint32_t nodes, groups;
    /* tally, or NULL: */
    uint64_t *node;  /* [steps, nodes] */
    uint64_t *group; /* [groups] */
    /* cells: */
    const uint32_t *line_at; /* [groups + 1] into lines */
    const uint32_t *lines;
    const uint16_t *shown;   /* [steps, nodes] */
    size_t side, stride;     /* columns; cells of a line */
    uint64_t *count;         /* [lines, stride] */
    uint32_t *last;          /* the same, user + 1; or NULL: paths are counted */
    size_t pick;             /* cell whose users are marked, or SIZE_MAX */
    uint8_t *picked;         /* [users] */
    int beyond;              /* as in zp_links */
    /* the session at hand: */
    uint32_t *step, *opened; /* [room] code of each step; 1 + row that opens a path there, or 0 */
    size_t room;
} zp_cells;

#define ZP_LINE_HEAD 2 /* cells of a line before its nodes */

static void zp_cells_close(zp_cells *c) {
    free(c->step);
    free(c->opened);
    c->step = c->opened = NULL;
    c->room = 0;
}

static int zp_cells_room(zp_cells *c, size_t rows) {
    if (rows <= c->room) return ZJ_OK;
    zp_cells_close(c);
    c->step = (uint32_t *)malloc(2 * rows * sizeof *c->step);
    c->opened = (uint32_t *)malloc(2 * rows * sizeof *c->opened);
    if (c->step == NULL || c->opened == NULL) return ZJ_NO_MEMORY;
    c->room = 2 * rows;
    return ZJ_OK;
}

ZJ_INLINE void zp_cell(zp_cells *c, size_t cell, uint32_t user) {
    if (cell == c->pick) c->picked[user] = 1;
    if (c->last) {
        if (c->last[cell] == user + 1) return;
        c->last[cell] = user + 1;
    }
    c->count[cell]++;
}

/* One path: its steps, how it ended when they are fewer than asked for. */
static void zp_add_path(zp_cells *c, const zp_rule *rule, const uint32_t *step, size_t length, size_t end,
                        uint32_t group, uint32_t user, int open) {
    const size_t steps = (size_t)rule->steps;
    if (c->node) {
        for (size_t k = 0; k < length; k++) c->node[k * c->nodes + step[k]]++;
        c->group[group]++;
        return;
    }
    const size_t links = ZP_LINE_HEAD + steps * c->side;
    for (uint32_t i = c->line_at[group]; i < c->line_at[group + 1]; i++) {
        const size_t line = c->lines[i] * c->stride;
        size_t before = 0;
        zp_cell(c, line, user);
        if (open) zp_cell(c, line + 1, user);
        for (size_t k = 0; k < steps; k++) {
            const size_t here = k < length ? c->shown[k * c->nodes + step[k]] : end;
            zp_cell(c, line + ZP_LINE_HEAD + k * c->side + here, user);
            if (k) zp_cell(c, line + links + ((k - 1) * c->side + before) * c->side + here, user);
            before = here;
        }
    }
}

/* The steps of a session from the first that opens a path (every: all that may be needed), in order of
 * the walk; how it ended. Steps that collapse into one open a path when one of their rows does. */
ZJ_INLINE size_t zp_steps(zp_cells *c, const zp_rule *rule, const zp_block *b, uint32_t from, uint32_t to,
                          size_t *end) {
    const size_t most = rule->every ? SIZE_MAX : (size_t)rule->steps;
    uint64_t previous = 0, item = 0;
    size_t n = 0;
    for (uint32_t i = 0; i < to - from && n < most; i++) {
        const uint32_t row = rule->reverse ? to - 1 - i : from + i;
        item = zp_get(b->code, row, 8);
        const uint32_t code = (uint32_t)item, opens = (uint32_t)(item >> ZP_OPENS) & 1;
        if (code == 0) continue;
        if (rule->collapse && code == previous && n) {
            if (opens && c->opened[n - 1] == 0) c->opened[n - 1] = row + 1;
            continue;
        }
        previous = code;
        if (n == 0 && !opens) continue;
        c->step[n] = code - 1;
        c->opened[n++] = opens ? row + 1 : 0;
    }
    *end = (uint32_t)item ? c->side - 2 : c->side - 1;
    return n;
}

/* Counts the paths of the sessions in the block. start, owner: first rows of users, and who they are. */
static int zp_count_cells(const zp_block *b, size_t sessions, const zp_rule *rule, zp_cells *c,
                          const uint32_t *start, const uint32_t *owner, size_t users) {
    size_t u = 0;
    for (size_t s = 0; s < sessions; s++) {
        const uint32_t from = b->begin[s], to = b->begin[s + 1];
        const int64_t time = b->time[from], last = b->time[to - 1];
        while (u + 1 < users && start[u + 1] <= from) u++;
        if (time < rule->from_ms || time >= rule->to_ms) continue;
        if (zp_cells_room(c, to - from) != ZJ_OK) return ZJ_NO_MEMORY;
        size_t end;
        const size_t n = zp_steps(c, rule, b, from, to, &end);
        if (n) c->beyond |= last >= rule->reach_ms - rule->gap;
        for (size_t i = 0; i < n; i++) {
            if (c->opened[i] == 0) continue;
            const size_t left = n - i, length = left < (size_t)rule->steps ? left : (size_t)rule->steps;
            const uint32_t group = (uint32_t)(zp_get(b->code, c->opened[i] - 1, 8) >> ZP_GROUP);
            zp_add_path(c, rule, c->step + i, length, end, group, owner[u], last >= rule->open_ms);
            if (!rule->every) break;
        }
    }
    return ZJ_OK;
}

#endif

/* Feed: a stored stream that is handed out a page at a time, into memory of the reader, so that a
 * kernel can walk along a file without knowing what a file is. One thread at a time.
 */
#ifndef ZUJI_FEED_H
#define ZUJI_FEED_H

#include <stdint.h>

#define ZJ_FEED_ROWS 65536u         /* values handed out at once, at most */
#define ZJ_FEED_NAME "zuji.feed.1"  /* of the capsule; another layout takes another name */

typedef struct zj_feed {
    /* The next values to out, and how many to *n: 0 at the end. Not 0: the stream is damaged, and its
     * owner knows where. Takes no GIL. */
    int (*pull)(struct zj_feed *self, void *out, uint32_t *n);
    uint64_t rows; /* values in all */
    int width;     /* bytes of a value: 1, 2 or 4 */
} zj_feed;

#endif

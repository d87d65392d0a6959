/* Sensors Analytics' records, a JSON document of one or of a list of them, → native events.
 *
 * One pass over the bytes. A record's properties go into a buffer of their own as they are read,
 * since what they belong to may stand after them; when the record is whole, its event is put
 * together. What cannot become an event is a refusal that names its bytes, so that the quarantine has
 * the record as it was sent. A document that breaks off keeps the records before the break.
 *
 * tests/differential/twin_sensors.py says the same in Python; docs/protocols.md says it to people.
 * Thread-safe: a run belongs to one thread. Memory: 3 times the document for unescaped text if it has
 * escapes, and at most 5 times for events.
 */
#ifndef ZUJI_PROTOCOLS_SENSORS_H
#define ZUJI_PROTOCOLS_SENSORS_H

#include "sensors_value.h"

#define ZS_PATH 112
#define ZS_OTHERS 64    /* fields beside those that a record has */
#define ZS_PROPERTIES 255
#define ZS_REFUSED 2000 /* then the rest of the document is refused in one piece */
#define ZS_LIBRARY_SKEW_MS 10000

/* Why a record is no event; zs_reasons has their names. */
enum { ZS_ACCEPTED, ZS_BAD_JSON, ZS_NOT_A_MAP, ZS_DUPLICATE, ZS_BAD_TYPE, ZS_BAD_PROPERTIES,
       ZS_KEPT_ITEM, ZS_NO_ITEM, ZS_BAD_VALUE, ZS_BAD_NAME, ZS_BAD_TIME, ZS_NO_ID, ZS_NO_EVENT,
       ZS_NO_TIME, ZS_MANY_PROPERTIES, ZS_TOO_LARGE, ZS_MANY_REFUSED, ZS_TRAILING, ZS_BAD_INT,
       ZS_BAD_FLOAT, ZS_BAD_LIST, ZS_NO_MEMORY };
static const char *const zs_reasons[] = {
    "", "bad_json", "not_a_map", "duplicate_key", "bad_type", "bad_properties", "kept_item", "no_item",
    "bad_value", "bad_name", "bad_time", "missing_id", "missing_event", "missing_time",
    "too_many_properties", "event_too_large", "too_many_refused", "trailing_bytes",
    "int_out_of_range", "not_finite", "list_too_long"};

enum { ZS_TRACK, ZS_SIGNUP, ZS_BIND, ZS_UNBIND, ZS_SET, ZS_SET_ONCE, ZS_INCREMENT, ZS_APPEND, ZS_UNSET,
       ZS_DELETE, ZS_ITEMS, ZS_UNKNOWN };
static const struct { uint8_t n; const char *text; uint8_t type; } zs_types[] = {
    {5, "track", ZS_TRACK}, {12, "track_signup", ZS_SIGNUP}, {13, "track_id_bind", ZS_BIND},
    {15, "track_id_unbind", ZS_UNBIND}, {11, "profile_set", ZS_SET},
    {16, "profile_set_once", ZS_SET_ONCE}, {17, "profile_increment", ZS_INCREMENT},
    {14, "profile_append", ZS_APPEND}, {13, "profile_unset", ZS_UNSET},
    {14, "profile_delete", ZS_DELETE}, {8, "item_set", ZS_ITEMS}, {11, "item_delete", ZS_ITEMS},
    {10, "detail_set", ZS_ITEMS}, {13, "detail_delete", ZS_ITEMS}};
static const char *const zs_usual_names[] = {"", "$SignUp", "$BindID", "$UnbindID"};

/* Fields of a record: scalars first, which are kept whole until the record is. */
enum { ZF_TYPE, ZF_EVENT, ZF_TIME, ZF_DISTINCT, ZF_ORIGINAL, ZF_LOGIN, ZF_ANONYMOUS, ZF_TOKEN,
       ZF_PROJECT, ZF_FREE, ZF_TRACK, ZF_FLUSH, ZF_ITEM_TYPE, ZF_ITEM_ID, ZF_VERSION, ZF_SCHEMA, ZF_ID,
       ZF_SCALARS, ZF_PROPERTIES = ZF_SCALARS, ZF_LIB, ZF_IDENTITIES, ZF_FIELDS };
static const struct { uint8_t n; const char *text; } zs_fields[ZF_FIELDS] = {
    {4, "type"}, {5, "event"}, {4, "time"}, {11, "distinct_id"}, {11, "original_id"},
    {8, "login_id"}, {12, "anonymous_id"}, {5, "token"}, {7, "project"}, {9, "time_free"},
    {9, "_track_id"}, {11, "_flush_time"}, {9, "item_type"}, {7, "item_id"}, {7, "version"},
    {6, "schema"}, {2, "id"}, {10, "properties"}, {3, "lib"}, {10, "identities"}};

/* Properties that are no properties of the event. */
enum { ZL_TIME, ZL_TOKEN, ZL_PROJECT, ZL_DISTINCT, ZL_IDENTITIES, ZL_IS_LOGIN, ZL_LIFTED };
static const struct { uint8_t n; const char *text; } zs_lifted[ZL_LIFTED] = {
    {5, "$time"}, {6, "$token"}, {8, "$project"}, {11, "distinct_id"}, {10, "identities"},
    {12, "$is_login_id"}};

/* Identities whose value is the id of a device, as the client SDKs' anonymous_id is. */
static const struct { uint8_t n; const char *text; } zs_devices[] = {
    {22, "$identity_anonymous_id"}, {19, "$identity_cookie_id"}, {20, "$identity_android_id"},
    {14, "$identity_idfv"}};
#define ZS_DEVICES 4
#define ZS_LOGINS 4     /* keys of identities that a project declares to be the customer's own */
#define ZS_LOGIN 100    /* bytes of such a key */
#define ZS_TYPED 512    /* bytes of a key and its value; a longer one is no id */

#define ZS_EQ(p, size, entry) ((size) == (entry).n && !memcmp(p, (entry).text, (entry).n))

typedef struct {
    const uint8_t *p; /* NULL: none; "" is none, too */
    uint32_t n;
} zs_text;

/* A field's value. `token`: its bytes as they stand. A container is MP_MAP or MP_ARRAY. */
typedef struct {
    mp_value v;
    const uint8_t *token, *after;
    uint8_t there;
} zs_field;

/* A name that was read before: records of one SDK have the same names in the same order, so most of
 * the time the name that comes next is known, and one compare is all that it costs. */
typedef struct {
    const uint8_t *key; /* with its quotes and its colon, in the document */
    uint32_t key_n;
    zs_text name;
    uint64_t hash;
    int8_t field, lifted; /* -1: neither */
    uint8_t special;      /* it is $ip or reserved */
    uint8_t wide;         /* 32 bytes can be read at name.p */
    uint16_t next;        /* what stood after it the last time */
} zs_name;
#define ZS_NAMES 255   /* that are remembered */
#define ZS_SLOTS 1024  /* a power of 2 */
enum { ZN_IP = 1, ZN_RESERVED };

typedef struct {
    const zs_name *name;
    zs_name own; /* when it is not remembered */
    const uint8_t *value;
} zs_other;

typedef struct {
    int64_t index;
    uint8_t reason;
    const uint8_t *start, *end;
    char path[ZS_PATH];
    uint8_t path_n;
} zs_refusal;

typedef struct {
    uint32_t count, items;
    size_t start, end; /* in `out` */
} zs_part;

typedef struct {
    /* given */
    int64_t received_ms, offset_ms;
    uint32_t max_events, max_items, max_bytes, list_values;
    uint8_t keep_ip; /* else $ip is left out: it tells where a person is */
    uint8_t logins;
    struct { uint8_t n; uint8_t text[ZS_LOGIN]; } login[ZS_LOGINS];
    /* made */
    pk_out out;
    zs_part *parts;
    size_t parts_used, parts_room;
    zs_refusal *refused;
    size_t refused_used, refused_room;
    uint8_t token[256]; /* of the first record that has one */
    uint32_t token_n;
    /* of one record */
    js_reader js;
    pk_out props;
    zs_field fields[ZF_SCALARS], lifted[ZL_LIFTED];
    const uint8_t *spans[ZF_FIELDS - ZF_SCALARS][2];
    uint32_t seen, seen_lifted;
    zs_other others[ZS_OTHERS];
    uint32_t others_used;
    zs_text names[ZS_PROPERTIES + 1];
    uint64_t hashes[ZS_PROPERTIES + 1];
    uint32_t names_used, items;
    zs_name known[ZS_NAMES + 1], unknown; /* known[0] stands before the first */
    uint16_t slots[ZS_SLOTS], known_used, last;
    uint8_t typed[ZS_TYPED];
    uint8_t fault;
    zs_text fault_name;
    const char *fault_map;
} zs_run;

static inline uint64_t zs_hash(zs_text name) {
    uint64_t a = 0, b = 0;
    if (name.n >= 8) {
        memcpy(&a, name.p, 8);
        memcpy(&b, name.p + name.n - 8, 8);
    } else if (name.n) {
        memcpy(&a, name.p, name.n);
    }
    return (a ^ (b * 0x9e3779b97f4a7c15ull)) + name.n * 0xff51afd7ed558ccdull;
}

static int zs_has(const zs_run *r, zs_text name, uint64_t hash) {
    for (uint32_t i = 0; i < r->names_used; i++)
        if (r->hashes[i] == hash && r->names[i].n == name.n &&
            (!name.n || !memcmp(r->names[i].p, name.p, name.n)))
            return 1;
    return 0;
}

/* The first fault of a record in the order of its bytes is the one that is told. */
static void zs_fault(zs_run *r, uint8_t reason, const char *map, zs_text name) {
    if (reason == ZS_NO_MEMORY) r->js.no_memory = 1;
    if (r->fault) return;
    r->fault = reason;
    r->fault_map = map;
    r->fault_name = name;
}

static int zs_is_reserved(zs_text name) {
    switch (name.n) {
        case 5: return !memcmp(name.p, "$name", 5) || !memcmp(name.p, "$time", 5);
        case 9: return !memcmp(name.p, "$received", 9);
        case 10: return !memcmp(name.p, "$device_id", 10);
        default: return 0;
    }
}

static int zs_field_of(zs_text name) {
    for (int i = 0; i < ZF_FIELDS; i++)
        if (ZS_EQ(name.p, name.n, zs_fields[i])) return i;
    return -1;
}

static int zs_lifted_of(zs_text name) {
    for (int i = 0; i < ZL_LIFTED; i++)
        if (ZS_EQ(name.p, name.n, zs_lifted[i])) return i;
    return -1;
}

static zs_name zs_name_of(zs_text name) {
    zs_name made = {.name = name, .hash = zs_hash(name)};
    made.field = (int8_t)zs_field_of(name);
    made.lifted = (int8_t)zs_lifted_of(name);
    if (name.n == 3 && !memcmp(name.p, "$ip", 3)) made.special = ZN_IP;
    else if (name.n && zs_is_reserved(name)) made.special = ZN_RESERVED;
    return made;
}

/* A name of this program's own. */
static zs_name zs_own_name(const char *text, uint8_t n) {
    return zs_name_of((zs_text){(const uint8_t *)text, n});
}

/* n bytes, at least 4, of which 8 can be read. */
static inline int zs_same_bytes(const uint8_t *a, const uint8_t *b, uint32_t n) {
    uint64_t x, y;
    if (n < 8) return !memcmp(a, b, n);
    for (uint32_t i = 0; i + 8 < n; i += 8) {
        memcpy(&x, a + i, 8);
        memcpy(&y, b + i, 8);
        if (x != y) return 0;
    }
    memcpy(&x, a + n - 8, 8);
    memcpy(&y, b + n - 8, 8);
    return x == y;
}

/* The name with its colon at p, a quote: NULL and *failed when there is none. What is given holds
 * until the next call. */
static const zs_name *zs_key(zs_run *r, const uint8_t **at, const uint8_t *end, int *failed) {
    const uint8_t *p = *at;
    zs_name *before = &r->known[r->last], *found = &r->known[before->next];
    if (found->key_n && (size_t)(end - p) >= found->key_n &&
        zs_same_bytes(p, found->key, found->key_n)) {
        r->last = before->next;
        *at = p + found->key_n;
        return found;
    }
    mp_value key;
    p++;
    *failed = js_string(&r->js, &p, end, &key);
    if (*failed) return NULL;
    const uint8_t *const colon = p;
    *failed = js_colon(&p, end);
    if (*failed) return NULL;
    const zs_text name = {key.bytes, key.size};
    const uint8_t *const start = *at;
    *at = p;
    if (key.text & JS_MADE || p != colon + 1) {
        r->unknown = zs_name_of(name);
        return &r->unknown;
    }
    const uint64_t hash = zs_hash(name);
    uint32_t slot = (uint32_t)((hash * 0x9e3779b97f4a7c15ull) >> 54);
    while (r->slots[slot]) {
        found = &r->known[r->slots[slot]];
        if (found->hash == hash && found->name.n == name.n &&
            (!name.n || !memcmp(found->name.p, name.p, name.n)))
            break;
        slot = (slot + 1) % ZS_SLOTS;
    }
    if (!r->slots[slot]) {
        if (r->known_used == ZS_NAMES) {
            r->unknown = zs_name_of(name);
            return &r->unknown;
        }
        r->slots[slot] = ++r->known_used;
        found = &r->known[r->known_used];
        *found = zs_name_of(name);
        found->key = start;
        found->key_n = (uint32_t)(p - start);
        found->wide = (size_t)(r->js.room - name.p) >= 32;
    }
    before->next = r->last = r->slots[slot];
    return found;
}

/* A property's name is written: REQUIRES that its value follows, or that `used` is put back. */
static inline int zs_put_name(zs_run *r, const zs_name *name) {
    pk_out *out = &r->props;
    const uint32_t n = name->name.n;
    if (pk_room(out, (size_t)n + PK_TEXT + PK_VALUE + 33)) return -1;
    if (name->special == ZN_RESERVED) {
        pk_text_head(out, (size_t)n + 1);
        pk_byte(out, '_');
        memcpy(out->start + out->used, name->name.p, n);
        out->used += n;
    } else if (name->wide && n < 32) {
        pk_byte(out, (uint8_t)(0xa0 | n));
        memcpy(out->start + out->used, name->name.p, 32);
        out->used += n;
    } else {
        pk_text(out, name->name.p, n);
    }
    return 0;
}

static inline void zs_named(zs_run *r, const zs_name *name, uint32_t items) {
    r->hashes[r->names_used] = name->hash;
    r->names[r->names_used++] = name->name;
    r->items += 1 + items;
}

static uint8_t zs_reason_of(int fault) {
    return fault == ZS_INT_RANGE ? ZS_BAD_INT : fault == ZS_NOT_FINITE ? ZS_BAD_FLOAT
           : fault == ZS_LONG_LIST ? ZS_BAD_LIST : ZS_NO_MEMORY;
}

/* A usual value at p, a text of less than 32 bytes that is no date: past it, or NULL and nothing was
 * done. REQUIRES: room for 33 bytes. */
static inline const uint8_t *zs_short_text(zs_run *r, const uint8_t *p, const uint8_t *end) {
#ifdef JS_SSE2
    if (end - p < 34 || *p != '"') return NULL;
    const __m128i a = _mm_loadu_si128((const __m128i *)(p + 1));
    const __m128i b = _mm_loadu_si128((const __m128i *)(p + 17));
    const uint32_t stops = js_stops(a) | js_stops(b) << 16;
    if (!stops) return NULL;
    const uint32_t n = (uint32_t)__builtin_ctz(stops);
    if (p[1 + n] != '"' || (n >= 10 && p[5] == '-')) return NULL;
    uint8_t *out = r->props.start + r->props.used;
    out[0] = (uint8_t)(0xa0 | n);
    _mm_storeu_si128((__m128i *)(out + 1), a);
    _mm_storeu_si128((__m128i *)(out + 17), b);
    r->props.used += 1 + n;
    return p + n + 2;
#else
    (void)r, (void)p, (void)end;
    return NULL;
#endif
}

/* The property `name` with the value at *at. Returns MP_OK or what is wrong with the JSON. */
static int zs_property(zs_run *r, const zs_name *name, const uint8_t **at, const uint8_t *end,
                       int dates, const char *map) {
    const size_t before = r->props.used;
    uint32_t items = 0;
    int fault = ZS_FINE;
    if (r->names_used >= ZS_PROPERTIES) {
        uint64_t skipped = 0;
        int deep = 0;
        zs_fault(r, ZS_MANY_PROPERTIES, "properties", (zs_text){NULL, 0});
        return js_skip(at, end, r->js.room, &skipped, UINT64_MAX, JS_LEVELS, &deep);
    }
    if (zs_put_name(r, name)) {
        zs_fault(r, ZS_NO_MEMORY, map, name->name);
        return MP_MALFORMED;
    }
    const uint8_t *const after = zs_short_text(r, *at, end);
    if (after) {
        *at = after;
        zs_named(r, name, 1);
        return MP_OK;
    }
    const int failed = zs_value(&r->js, &r->props, at, end, dates, r->offset_ms, r->list_values, &items,
                                &fault);
    if (failed) return failed;
    if (fault) zs_fault(r, zs_reason_of(fault), map, name->name);
    if (items) zs_named(r, name, items);
    else r->props.used = before;
    return MP_OK;
}

/* Past the value at *at. */
static int zs_skip(zs_run *r, const uint8_t **at, const uint8_t *end) {
    uint64_t skipped = 0;
    int deep = 0;
    return js_skip(at, end, r->js.room, &skipped, UINT64_MAX, JS_LEVELS, &deep);
}

/* The value at *at into f: a scalar whole, a container skipped. */
static int zs_read_field(zs_run *r, const uint8_t **at, const uint8_t *end, zs_field *f) {
    const uint8_t *p = *at;
    int failed;
    js_space(&p, end);
    f->there = 1;
    f->token = p;
    if (p < end && (*p == '{' || *p == '[')) {
        f->v.type = *p == '{' ? MP_MAP : MP_ARRAY;
        failed = zs_skip(r, &p, end);
    } else {
        failed = js_read(&r->js, &p, end, &f->v, r->js.room);
    }
    f->after = p;
    *at = p;
    return failed;
}

/* The properties at *at, an object. Returns MP_OK or what is wrong with the JSON. */
static int zs_properties(zs_run *r, const uint8_t **at, const uint8_t *end) {
    const uint8_t *p = *at + 1;
    uint32_t first = 1;
    for (;;) {
        const int more = js_next(&p, end, &first, '}');
        int failed = MP_OK;
        if (more == 0) break;
        if (more < 0 || p >= end || *p != '"') return MP_MALFORMED;
        const zs_name *name = zs_key(r, &p, end, &failed);
        if (!name) return failed;
        if (name->lifted >= 0) {
            if (r->seen_lifted >> name->lifted & 1)
                zs_fault(r, ZS_DUPLICATE, "properties", name->name);
            r->seen_lifted |= 1u << name->lifted;
            failed = zs_read_field(r, &p, end, &r->lifted[name->lifted]);
        } else if (name->special == ZN_IP && !r->keep_ip) {
            failed = zs_skip(r, &p, end);
        } else {
            failed = zs_property(r, name, &p, end, 1, "properties");
        }
        if (failed) return failed;
    }
    *at = p;
    return MP_OK;
}

/* Members of the object at p, which js_skip accepted, that properties do not have yet. */
static void zs_more_properties(zs_run *r, const uint8_t *p, const uint8_t *end, const char *map) {
    uint32_t first = 1;
    int failed;
    for (p++; js_next(&p, end, &first, '}') > 0;) {
        const zs_name *name = zs_key(r, &p, end, &failed);
        if (!name) return; /* no memory */
        failed = zs_has(r, name->name, name->hash) ? zs_skip(r, &p, end)
                                                   : zs_property(r, name, &p, end, 0, map);
        if (failed) return;
    }
}

static void zs_one_more(zs_run *r, const zs_name *name, const uint8_t *value) {
    if (!zs_has(r, name->name, name->hash)) zs_property(r, name, &value, r->js.room, 0, "");
}

/* The names at p as names to be unset. */
static void zs_unset(zs_run *r, const uint8_t *p, const uint8_t *end) {
    uint32_t first = 1;
    int failed;
    r->props.used = r->names_used = r->items = 0;
    if (r->fault != ZS_MANY_PROPERTIES && r->fault != ZS_DUPLICATE) r->fault = 0; /* no value counts */
    for (p++; js_next(&p, end, &first, '}') > 0;) {
        const zs_name *name = zs_key(r, &p, end, &failed);
        if (!name || zs_skip(r, &p, end)) return;
        if (name->lifted >= 0) continue;
        if (r->names_used >= ZS_PROPERTIES) {
            zs_fault(r, ZS_MANY_PROPERTIES, "properties", (zs_text){NULL, 0});
            return;
        }
        if (zs_put_name(r, name)) {
            zs_fault(r, ZS_NO_MEMORY, "properties", name->name);
            return;
        }
        pk_byte(&r->props, 0xc0);
        zs_named(r, name, 1);
    }
}

/* -- the whole record ------------------------------------------------------------------------ */

/* Text of an id: a text, or an integer's digits. {NULL, 0} when it is neither. */
static zs_text zs_id_text(const zs_field *f) {
    if (!f->there) return (zs_text){NULL, 0};
    if (f->v.type == MP_STR && f->v.size) return (zs_text){f->v.bytes, f->v.size};
    if (f->v.type == MP_INT || f->v.type == MP_BIG_UINT || f->v.type == MP_HUGE)
        return (zs_text){f->token, (uint32_t)(f->after - f->token)};
    return (zs_text){NULL, 0};
}

static int zs_is_id(const zs_field *f) {
    return !f->there || f->v.type == MP_STR || f->v.type == MP_NIL || zs_id_text(f).p != NULL;
}

static int zs_same(zs_text a, zs_text b) {
    return a.p && b.p && a.n == b.n && !memcmp(a.p, b.p, a.n);
}

static int zs_is_device(zs_text key) {
    for (int i = 0; i < ZS_DEVICES; i++)
        if (ZS_EQ(key.p, key.n, zs_devices[i])) return 1;
    return 0;
}

/* What `identities` says: the customer (of a declared key rather than of the login), the device (the
 * first of zs_devices), and the first id of another kind with its key. */
typedef struct {
    zs_text login, device, key, other;
    uint8_t declared; /* `login` is of a declared key */
} zs_ids;

static int zs_login_of(const zs_run *r, zs_text name) {
    static const struct { uint8_t n; const char *text; } of_login = {18, "$identity_login_id"};
    int i = 0;
    while (i < r->logins && (name.n != r->login[i].n || memcmp(name.p, r->login[i].text, name.n))) i++;
    return i < r->logins || ZS_EQ(name.p, name.n, of_login) ? i : -1;
}

static zs_ids zs_identity(zs_run *r, const uint8_t *p, const uint8_t *end) {
    zs_ids found = {.declared = 0};
    uint32_t first = 1;
    int rank = ZS_DEVICES, login_rank = r->logins + 1, failed;
    if (!p) return found;
    for (p++; js_next(&p, end, &first, '}') > 0;) {
        zs_field f = {.there = 0};
        int at = 0;
        const zs_name *name = zs_key(r, &p, end, &failed);
        if (!name) return found;
        const zs_text key = name->name;
        if (zs_read_field(r, &p, end, &f)) return found;
        const zs_text text = zs_id_text(&f);
        if (!text.p) continue;
        const int login = zs_login_of(r, key);
        while (at < rank && !ZS_EQ(key.p, key.n, zs_devices[at])) at++;
        if (login >= 0) {
            if (login >= login_rank) continue;
            login_rank = login;
            found.login = text;
            found.declared = login < r->logins;
        } else if (at < rank) {
            rank = at;
            found.device = text;
        } else if (!found.other.p && !zs_is_device(key)) {
            found.key = key;
            found.other = text;
        }
    }
    return found;
}

/* One more key of customers. -1: it is too long, or too many. */
static int zs_add_login(zs_run *r, const uint8_t *key, size_t n) {
    if (!n || n > ZS_LOGIN || r->logins == ZS_LOGINS) return -1;
    memcpy(r->login[r->logins].text, key, n);
    r->login[r->logins++].n = (uint8_t)n;
    return 0;
}

/* The customer in an id: what follows the `+` of one with a declared key, as loginWithKey makes it. */
static zs_text zs_customer(const zs_run *r, zs_text id, uint8_t *declared) {
    for (int i = 0; id.p && i < r->logins; i++) {
        const uint32_t n = r->login[i].n;
        if (id.n <= n + 1 || id.p[n] != '+' || memcmp(id.p, r->login[i].text, n)) continue;
        *declared = 1;
        return (zs_text){id.p + n + 1, id.n - n - 1};
    }
    return id;
}

/* key+value, as the SDKs of servers name somebody who has no login. */
static zs_text zs_typed(zs_run *r, const zs_ids *ids) {
    if (!ids->other.p || (size_t)ids->key.n + 1 + ids->other.n > ZS_TYPED) return (zs_text){NULL, 0};
    memcpy(r->typed, ids->key.p, ids->key.n);
    r->typed[ids->key.n] = '+';
    memcpy(r->typed + ids->key.n + 1, ids->other.p, ids->other.n);
    return (zs_text){r->typed, ids->key.n + 1 + ids->other.n};
}

static void zs_refuse(zs_run *r, int64_t index, uint8_t reason, const uint8_t *start,
                      const uint8_t *end, const char *map, zs_text name) {
    if (r->refused_used == r->refused_room) {
        const size_t room = 2 * r->refused_room + 16;
        zs_refusal *moved = (zs_refusal *)realloc(r->refused, room * sizeof *moved);
        if (!moved) {
            r->js.no_memory = 1;
            return;
        }
        r->refused = moved;
        r->refused_room = room;
    }
    zs_refusal *one = &r->refused[r->refused_used++];
    *one = (zs_refusal){.index = index, .reason = reason, .start = start, .end = end};
    const size_t map_n = strlen(map);
    memcpy(one->path, map, map_n);
    one->path_n = (uint8_t)map_n;
    if (name.p && name.n) {
        if (map_n) one->path[one->path_n++] = '.';
        const uint32_t n = name.n < ZS_PATH - 1u - one->path_n ? name.n : ZS_PATH - 1u - one->path_n;
        memcpy(one->path + one->path_n, name.p, n);
        one->path_n += (uint8_t)n;
    }
}

typedef struct {
    uint8_t type, has_ms, time_free;
    int64_t ms;
    const zs_field *time; /* where it is no number of milliseconds */
    zs_text event, user, device, track, when, distinct;
} zs_event;

static int zs_type(const zs_field *f) {
    if (f->there && f->v.type == MP_STR)
        for (size_t i = 0; i < sizeof zs_types / sizeof *zs_types; i++)
            if (ZS_EQ(f->v.bytes, f->v.size, zs_types[i])) return zs_types[i].type;
    return ZS_UNKNOWN;
}

static inline int64_t zs_abs(int64_t v) { return v < 0 ? -v : v; }

/* The time of the event by our clock. */
static uint8_t zs_time(zs_run *r, zs_event *e) {
    const zs_field *f = &r->lifted[ZL_TIME], *flush = &r->fields[ZF_FLUSH];
    if (!f->there || f->v.type == MP_NIL) f = &r->fields[ZF_TIME];
    if (!f->there || f->v.type == MP_NIL) return ZS_NO_TIME;
    e->time = f;
    if (f->v.type == MP_STR) {
        if (f->v.size > 64) return ZS_BAD_TIME;
        e->has_ms = (uint8_t)zs_date(f->v.bytes, f->v.size, r->offset_ms, &e->ms);
    } else if (f->v.type == MP_INT) {
        e->has_ms = 1;
        e->ms = f->v.integer;
        if (!e->time_free && flush->there && flush->v.type == MP_INT &&
            zs_abs(e->ms / 2) < ZS_EXACT && zs_abs(flush->v.integer / 2) < ZS_EXACT) {
            const int64_t skew = r->received_ms - flush->v.integer;
            if (zs_abs(skew) > ZS_LIBRARY_SKEW_MS) e->ms += skew;
        }
    } else if (f->v.type != MP_FLOAT || !isfinite(f->v.number)) {
        return ZS_BAD_TIME;
    }
    const size_t n = (size_t)(f->after - f->token);
    if (n <= 64 && f->v.type != MP_STR) e->when = (zs_text){f->token, (uint32_t)n};
    return ZS_ACCEPTED;
}

/* Who did it, and on what. An unbind names the id that is parted, and from whom if it says so. */
static void zs_who(zs_run *r, zs_event *e, const uint8_t *identities, const uint8_t *end) {
    uint8_t declared = 0;
    e->distinct = zs_id_text(&r->fields[ZF_DISTINCT]);
    if (!e->distinct.p) e->distinct = zs_id_text(&r->lifted[ZL_DISTINCT]);
    const zs_ids ids = zs_identity(r, identities, end);
    const zs_text distinct = zs_customer(r, e->distinct, &declared);
    const zs_field *is_login = &r->lifted[ZL_IS_LOGIN];
    e->user = ids.declared ? ids.login : zs_customer(r, zs_id_text(&r->fields[ZF_LOGIN]), &declared);
    if (!e->user.p) e->user = ids.login;
    if (!e->user.p && (e->type == ZS_SIGNUP || declared ||
                       (is_login->there && is_login->v.type == MP_BOOL && is_login->v.integer)))
        e->user = distinct;
    const zs_text anonymous = zs_id_text(&r->fields[ZF_ANONYMOUS]);
    if (e->type == ZS_UNBIND) {
        e->device = ids.device.p ? ids.device : zs_typed(r, &ids);
        if (!e->device.p && ids.login.p) e->device = anonymous;
    } else {
        e->device = anonymous.p ? anonymous : ids.device;
        if (!e->device.p && e->type == ZS_SIGNUP) e->device = zs_id_text(&r->fields[ZF_ORIGINAL]);
    }
    if (!e->device.p && !e->user.p) e->device = e->distinct;
}

/* What the record says beside its properties becomes properties, where they do not say it. */
static void zs_rest(zs_run *r, const zs_event *e, const uint8_t *const identities[2]) {
    static const uint8_t ids[] = {ZF_DISTINCT, ZF_ORIGINAL, ZF_LOGIN, ZF_ANONYMOUS};
    const uint8_t *const *lib = r->spans[ZF_LIB - ZF_SCALARS];
    if (e->type == ZS_DELETE || e->type == ZS_UNSET || e->type == ZS_INCREMENT ||
        e->type == ZS_APPEND)
        return;
    if (e->type <= ZS_UNBIND && lib[0]) zs_more_properties(r, lib[0], lib[1], "lib");
    if (identities[0]) zs_more_properties(r, identities[0], identities[1], "identities");
    if (e->type > ZS_UNBIND) return;
    for (int i = 0; i < 4; i++) {
        const zs_field *f = &r->fields[ids[i]];
        const zs_text id = zs_id_text(f);
        uint8_t declared;
        if (!id.p || zs_same(id, e->user) || zs_same(id, e->device)) continue;
        if (zs_same(zs_customer(r, id, &declared), e->user)) continue;
        const zs_name name = zs_own_name(zs_fields[ids[i]].text, zs_fields[ids[i]].n);
        if (zs_has(r, name.name, name.hash)) continue;
        if (r->names_used >= ZS_PROPERTIES) {
            zs_fault(r, ZS_MANY_PROPERTIES, "properties", (zs_text){NULL, 0});
            return;
        }
        if (zs_put_name(r, &name) || pk_room(&r->props, (size_t)id.n + PK_TEXT)) {
            zs_fault(r, ZS_NO_MEMORY, "", name.name);
            return;
        }
        pk_text(&r->props, id.p, id.n);
        zs_named(r, &name, 1);
    }
    for (uint32_t i = 0; i < r->others_used; i++)
        zs_one_more(r, r->others[i].name ? r->others[i].name : &r->others[i].own, r->others[i].value);
}

#define ZS_LITERAL(out, text) \
    (memcpy((out)->start + (out)->used, text, sizeof text - 1), (out)->used += sizeof text - 1)

/* _track_id:time:distinct_id in at most 255 bytes: the end of a longer distinct_id. */
static void zs_put_once(pk_out *out, const zs_event *e) {
    const uint32_t before = e->track.n + e->when.n + 2, most = before < 255 ? 255 - before : 0;
    zs_text tail = e->distinct;
    if (tail.n > most) {
        tail.p += tail.n - most;
        tail.n = most;
        while (tail.n && (*tail.p & 0xc0) == 0x80) tail.p++, tail.n--;
    }
    ZS_LITERAL(out, "\xa9insert_id");
    pk_text_head(out, before + tail.n);
    memcpy(out->start + out->used, e->track.p, e->track.n);
    out->used += e->track.n;
    pk_byte(out, ':');
    if (e->when.n) memcpy(out->start + out->used, e->when.p, e->when.n);
    out->used += e->when.n;
    pk_byte(out, ':');
    if (tail.n) memcpy(out->start + out->used, tail.p, tail.n);
    out->used += tail.n;
}

/* The event at the end of r->out, and in its part. */
static uint8_t zs_put(zs_run *r, const zs_event *e) {
    static const char *const types[] = {
        "", "", "", "", "\xabprofile_set", "\xb0profile_set_once", "\xb1profile_increment",
        "\xaeprofile_append", "\xadprofile_unset", "\xaeprofile_delete"};
    pk_out *out = &r->out;
    const size_t start = out->used;
    uint32_t fields = 1;
    if (pk_room(out, r->props.used + e->event.n + (size_t)e->user.n + e->device.n + e->track.n +
                         e->distinct.n + 512))
        return ZS_NO_MEMORY;
    pk_byte(out, 0);
    if (e->type > ZS_UNBIND) {
        ZS_LITERAL(out, "\xa4type");
        const size_t n = strlen(types[e->type]);
        memcpy(out->start + out->used, types[e->type], n);
        out->used += n;
        fields++;
    } else {
        ZS_LITERAL(out, "\xa5" "event");
        pk_text(out, e->event.p, e->event.n);
        fields++;
    }
    ZS_LITERAL(out, "\xa4time");
    fields++;
    if (e->has_ms) pk_int(out, e->ms);
    else if (e->time->v.type == MP_FLOAT) pk_float(out, e->time->v.number);
    else pk_text(out, e->time->v.bytes, e->time->v.size);
    if (e->user.p) {
        ZS_LITERAL(out, "\xa7user_id");
        pk_text(out, e->user.p, e->user.n);
        fields++;
    }
    if (e->device.p) {
        ZS_LITERAL(out, "\xa9" "device_id");
        pk_text(out, e->device.p, e->device.n);
        fields++;
    }
    if (e->track.p) {
        zs_put_once(out, e);
        fields++;
    }
    if (e->time_free) {
        ZS_LITERAL(out, "\xa9time_free\xc3");
        fields++;
    }
    ZS_LITERAL(out, "\xaaproperties");
    const int bare = e->type == ZS_DELETE;
    pk_head(out, 0xde, bare ? 0 : r->names_used);
    if (!bare && r->props.used) {
        memcpy(out->start + out->used, r->props.start, r->props.used);
        out->used += r->props.used;
    }
    out->start[start] = (uint8_t)(0x80 | fields);
    const uint32_t items = 1 + 2 * fields + (bare ? 0 : r->items);
    const size_t size = out->used - start;
    if (size > r->max_bytes || items > r->max_items) {
        out->used = start;
        return ZS_TOO_LARGE;
    }
    zs_part *part = r->parts_used ? &r->parts[r->parts_used - 1] : NULL;
    if (!part || part->count == r->max_events || part->items + items > r->max_items ||
        out->used - part->start > r->max_bytes) {
        if (r->parts_used == r->parts_room) {
            const size_t room = 2 * r->parts_room + 4;
            zs_part *moved = (zs_part *)realloc(r->parts, room * sizeof *moved);
            if (!moved) return ZS_NO_MEMORY;
            r->parts = moved;
            r->parts_room = room;
        }
        part = &r->parts[r->parts_used++];
        *part = (zs_part){0, 0, start, start};
    }
    part->count++;
    part->items += items;
    part->end = out->used;
    return ZS_ACCEPTED;
}

/* The record was read to its end: an event, or why not. `path`: of the wrong field. */
static uint8_t zs_made(zs_run *r, const char **path) {
    static const uint8_t ids[] = {ZF_DISTINCT, ZF_ORIGINAL, ZF_LOGIN, ZF_ANONYMOUS};
    zs_field *const f = r->fields;
    zs_event e = {.type = (uint8_t)zs_type(&f[ZF_TYPE])};
    const uint8_t *identities[2] = {r->spans[ZF_IDENTITIES - ZF_SCALARS][0],
                                    r->spans[ZF_IDENTITIES - ZF_SCALARS][1]};
    const uint8_t *const *properties = r->spans[ZF_PROPERTIES - ZF_SCALARS];
    *path = "";
    if (r->fault == ZS_DUPLICATE && r->fault_map[0] == 0) return ZS_DUPLICATE;
    *path = "type";
    if (e.type == ZS_UNKNOWN) return ZS_BAD_TYPE;
    *path = "properties";
    if (properties[0] && *properties[0] != '{') return ZS_BAD_PROPERTIES;
    if (e.type == ZS_ITEMS) {
        *path = "";
        const zs_field *id = f[ZF_ITEM_ID].there ? &f[ZF_ITEM_ID] : &f[ZF_ID];
        const zs_field *group = f[ZF_ITEM_TYPE].there ? &f[ZF_ITEM_TYPE] : &f[ZF_SCHEMA];
        return zs_id_text(id).p && group->there && group->v.type == MP_STR && group->v.size
                   ? ZS_KEPT_ITEM
                   : ZS_NO_ITEM;
    }
    for (int i = ZF_LIB; i <= ZF_IDENTITIES; i++) {
        *path = zs_fields[i].text;
        if (r->spans[i - ZF_SCALARS][0] && *r->spans[i - ZF_SCALARS][0] != '{') return ZS_BAD_VALUE;
    }
    for (int i = 0; i < 4; i++) {
        *path = zs_fields[ids[i]].text;
        if (!zs_is_id(&f[ids[i]])) return ZS_BAD_VALUE;
    }
    *path = "event";
    if (e.type <= ZS_UNBIND) {
        const zs_field *event = &f[ZF_EVENT];
        if (event->there && event->v.type != MP_STR && event->v.type != MP_NIL) return ZS_BAD_NAME;
        const char *usual = zs_usual_names[e.type];
        e.event = (zs_text){(const uint8_t *)usual, (uint32_t)strlen(usual)};
        if (event->there && event->v.type == MP_STR && event->v.size && e.type != ZS_UNBIND)
            e.event = (zs_text){event->v.bytes, event->v.size};
        if (!e.event.n) return ZS_NO_EVENT;
    }
    *path = "time";
    e.time_free = f[ZF_FREE].there && f[ZF_FREE].v.type == MP_BOOL && f[ZF_FREE].v.integer;
    const uint8_t timed = zs_time(r, &e);
    if (timed) return timed;

    /* Java, schema 2.0, has them among the properties. */
    const zs_field *lifted = &r->lifted[ZL_IDENTITIES];
    if (lifted->there) {
        if (!identities[0] && lifted->v.type == MP_MAP) {
            identities[0] = lifted->token;
            identities[1] = lifted->after;
        } else {
            const zs_name name = zs_own_name("identities", 10);
            zs_one_more(r, &name, lifted->token);
        }
    }
    lifted = &r->lifted[ZL_DISTINCT];
    if (lifted->there && (f[ZF_DISTINCT].there || !zs_id_text(lifted).p)) {
        const zs_name name = zs_own_name("distinct_id", 11);
        zs_one_more(r, &name, lifted->token);
    }
    lifted = &r->lifted[ZL_IS_LOGIN];
    if (lifted->there && e.type <= ZS_UNBIND) { /* no property of a user */
        const zs_name name = zs_own_name("$is_login_id", 12);
        zs_one_more(r, &name, lifted->token);
    }
    if (e.type == ZS_UNSET && properties[0]) zs_unset(r, properties[0], properties[1]);
    zs_who(r, &e, identities[0], identities[1]);
    if (!e.user.p && !e.device.p) {
        const zs_field *schema = &f[ZF_SCHEMA];
        *path = "";
        return e.type <= ZS_UNBIND && schema->there && schema->v.type == MP_STR ? ZS_KEPT_ITEM
                                                                               : ZS_NO_ID;
    }
    zs_rest(r, &e, identities);
    *path = "";
    if (r->fault) return r->fault;
    e.track = zs_id_text(&f[ZF_TRACK]);
    if (e.track.n > 100) e.track = (zs_text){NULL, 0};
    return zs_put(r, &e);
}

static void zs_keep_token(zs_run *r) {
    const zs_field *f = &r->fields[ZF_TOKEN];
    if (!f->there || f->v.type != MP_STR) f = &r->lifted[ZL_TOKEN];
    if (r->token_n || !f->there || f->v.type != MP_STR || f->v.size > sizeof r->token) return;
    if (f->v.size) memcpy(r->token, f->v.bytes, f->v.size);
    r->token_n = f->v.size;
}

/* Reads the record at *at, an object, to its end. Returns MP_OK or what is wrong with the JSON. */
static int zs_read_record(zs_run *r, const uint8_t **at, const uint8_t *end) {
    const uint8_t *p = *at + 1;
    uint32_t first = 1;
    for (int i = 0; i < ZF_SCALARS; i++) r->fields[i].there = 0;
    for (int i = 0; i < ZL_LIFTED; i++) r->lifted[i].there = 0;
    memset(r->spans, 0, sizeof r->spans);
    r->seen = r->seen_lifted = r->others_used = r->names_used = r->items = 0;
    r->fault = 0;
    r->props.used = r->js.made_used = r->last = 0;
    for (;;) {
        const int more = js_next(&p, end, &first, '}');
        if (more == 0) break;
        int failed = MP_OK;
        if (more < 0 || p >= end || *p != '"') return MP_MALFORMED;
        const zs_name *name = zs_key(r, &p, end, &failed);
        if (!name) return failed;
        const int field = name->field;
        if (field >= 0) {
            if (r->seen >> field & 1) zs_fault(r, ZS_DUPLICATE, "", name->name);
            r->seen |= 1u << field;
        }
        if (field >= 0 && field < ZF_SCALARS) {
            failed = zs_read_field(r, &p, end, &r->fields[field]);
            if (failed) return failed;
            continue;
        }
        js_space(&p, end);
        const uint8_t *const start = p;
        if (field == ZF_PROPERTIES && p < end && *p == '{') {
            failed = zs_properties(r, &p, end);
        } else {
            failed = zs_skip(r, &p, end);
        }
        if (failed) return failed;
        if (field >= 0) {
            if (*start != 'n') {
                r->spans[field - ZF_SCALARS][0] = start;
                r->spans[field - ZF_SCALARS][1] = p;
            }
        } else if (r->others_used < ZS_OTHERS) {
            zs_other *other = &r->others[r->others_used++];
            other->name = name == &r->unknown ? NULL : name;
            if (!other->name) other->own = *name;
            other->value = start;
        } else {
            zs_fault(r, ZS_MANY_PROPERTIES, "properties", (zs_text){NULL, 0});
        }
    }
    *at = p;
    return MP_OK;
}

/* The record at *at. Returns MP_OK, or what is wrong with the JSON. */
static int zs_record(zs_run *r, const uint8_t **at, const uint8_t *end, int64_t index) {
    const zs_text nameless = {NULL, 0};
    const uint8_t *const start = *at;
    if (start >= end) return MP_TRUNCATED;
    if (*start != '{') {
        const int failed = zs_skip(r, at, end);
        if (!failed) zs_refuse(r, index, ZS_NOT_A_MAP, start, *at, "", nameless);
        return failed;
    }
    const int failed = zs_read_record(r, at, end);
    if (failed) return failed;
    const char *path = "";
    zs_keep_token(r);
    const uint8_t reason = zs_made(r, &path);
    if (reason == ZS_NO_MEMORY) r->js.no_memory = 1;
    else if (reason && reason == r->fault)
        zs_refuse(r, index, reason, start, *at, r->fault_map, r->fault_name);
    else if (reason) zs_refuse(r, index, reason, start, *at, path, nameless);
    return MP_OK;
}

/* Reads a document; -1: no memory. What was made stands in r until zs_free. A run may read several, one
 * after the other, whose events follow each other: REQUIRES that the documents before stay where they
 * are. */
static int zs_document(zs_run *r, const uint8_t *p, size_t size) {
    const zs_text nameless = {NULL, 0};
    const uint8_t *const end = p + size;
    if (r->js.made_room < 3 * size + 64) {
        free(r->js.made);
        r->js.made = NULL;
        r->js.made_room = 3 * size + 64;
    }
    r->js.room = end;
    r->js.made_used = 0;
    r->js.no_memory = 0;
    js_space(&p, end);
    const int list = p < end && *p == '[';
    const uint8_t *start = p;
    int failed = 0;
    if (p >= end || (*p != '{' && *p != '[')) {
        zs_refuse(r, 0, ZS_BAD_JSON, p, end, "", nameless);
        return r->js.no_memory ? -1 : 0;
    }
    uint32_t first = 1;
    if (list) p++;
    if (pk_room(&r->out, size)) return -1;
    for (int64_t index = 0;; index++) {
        if (list) {
            start = p;
            const int more = js_next(&p, end, &first, ']');
            if (more == 0) break;
            if (more > 0) start = p;
            else failed = MP_MALFORMED;
        }
        if (!failed && r->refused_used >= ZS_REFUSED) {
            zs_refuse(r, index, ZS_MANY_REFUSED, start, end, "", nameless);
            return r->js.no_memory ? -1 : 0;
        }
        if (!failed) failed = zs_record(r, &p, end, index);
        if (r->js.no_memory) return -1;
        if (failed) {
            zs_refuse(r, index, ZS_BAD_JSON, start, end, "", nameless);
            return r->js.no_memory ? -1 : 0;
        }
        if (!list) break;
    }
    js_space(&p, end);
    if (p < end) zs_refuse(r, -1, ZS_TRAILING, p, end, "", nameless);
    return r->js.no_memory ? -1 : 0;
}

static void zs_free(zs_run *r) {
    free(r->js.made);
    free(r->props.start);
    free(r->out.start);
    free(r->parts);
    free(r->refused);
}

#endif

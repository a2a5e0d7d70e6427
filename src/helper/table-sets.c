/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table's sets and maps, and their elements. Types are those of nft(8), so that `nft list table inet trireme` can be read. */
#include "helper/table.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <libnftnl/set.h>
#include <linux/netfilter.h>
#include <stdio.h>

/* nft(8)'s numbers of data types (include/datatype.h); a concatenation is 6 bits each. */
enum { TYPE_IPADDR = 7, TYPE_IP6ADDR = 8, TYPE_INET_PROTOCOL = 12, TYPE_INET_SERVICE = 13, TYPE_MARK = 19, TYPE_CGROUP = 46 };
#define TYPES2(a, b) ((uint32_t) (a) << 6 | (b))
#define TYPES3(a, b, c) (TYPES2(a, b) << 6 | (c))
#define TYPES4(a, b, c, d) (TYPES3(a, b, c) << 6 | (d))

typedef struct SetShape {
        uint32_t key_type, flags, data_type;
        uint8_t fields[4]; /* lengths of a concatenation's parts */
        uint8_t n_fields;
        uint8_t key_len;   /* each part rounded up to 4 */
} SetShape;

static const SetShape shape_unit = { .key_type = TYPE_CGROUP, .flags = NFT_SET_MAP, .data_type = TYPE_MARK, .key_len = 8 };
static const SetShape shape_index = { .key_type = TYPE_MARK, .flags = NFT_SET_MAP, .data_type = TYPE_MARK, .key_len = 4 };
static const SetShape shape_option = { .key_type = TYPE_MARK, .flags = NFT_SET_MAP, .data_type = TYPE_MARK, .key_len = 4 };
static const SetShape shape_pair = { .key_type = TYPES2(TYPE_MARK, TYPE_MARK), .flags = NFT_SET_CONCAT, .fields = { 4, 4 }, .n_fields = 2, .key_len = 8 };
static const SetShape shape_pair_port = { .key_type = TYPES3(TYPE_MARK, TYPE_MARK, TYPE_INET_SERVICE), .flags = NFT_SET_CONCAT, .fields = { 4, 4, 2 },
                                          .n_fields = 3, .key_len = 12 };
static const SetShape shape_box4 = { .key_type = TYPES4(TYPE_MARK, TYPE_IPADDR, TYPE_INET_PROTOCOL, TYPE_INET_SERVICE),
                                     .flags = NFT_SET_INTERVAL | NFT_SET_CONCAT, .fields = { 4, 4, 1, 2 }, .n_fields = 4, .key_len = 16 };
static const SetShape shape_box6 = { .key_type = TYPES4(TYPE_MARK, TYPE_IP6ADDR, TYPE_INET_PROTOCOL, TYPE_INET_SERVICE),
                                     .flags = NFT_SET_INTERVAL | NFT_SET_CONCAT, .fields = { 4, 16, 1, 2 }, .n_fields = 4, .key_len = 28 };

static void set_write(NftBatch *b, const char *name, const SetShape *shape, uint32_t id) {
        struct nlmsghdr *nlh = nft_batch_begin(b, NFT_MSG_NEWSET, NLM_F_CREATE);
        struct nftnl_set *s = nftnl_set_alloc();

        if (!s)
                b->error = -ENOMEM;
        if (!s || !nlh) {
                nftnl_set_free(s);
                return;
        }
        nftnl_set_set_str(s, NFTNL_SET_TABLE, TABLE_NAME);
        nftnl_set_set_str(s, NFTNL_SET_NAME, name);
        nftnl_set_set_u32(s, NFTNL_SET_ID, id);
        nftnl_set_set_u32(s, NFTNL_SET_FLAGS, shape->flags);
        nftnl_set_set_u32(s, NFTNL_SET_KEY_TYPE, shape->key_type);
        nftnl_set_set_u32(s, NFTNL_SET_KEY_LEN, shape->key_len);
        if (shape->flags & NFT_SET_MAP) {
                nftnl_set_set_u32(s, NFTNL_SET_DATA_TYPE, shape->data_type);
                nftnl_set_set_u32(s, NFTNL_SET_DATA_LEN, sizeof(uint32_t));
        }
        if (shape->n_fields > 0 && nftnl_set_set_data(s, NFTNL_SET_DESC_CONCAT, shape->fields, shape->n_fields) < 0)
                b->error = -ENOMEM;
        nftnl_set_nlmsg_build_payload(nlh, s);
        nftnl_set_free(s);
        nft_batch_end(b, nlh);
}

void table_set_name_of_box(uint32_t kind, uint32_t family, char ret[static 32]) {
        static const char *const names[_BOX_KIND_MAX] = {
                [BOX_TARGET] = "target", [BOX_EXCLUDED] = "excluded", [BOX_FAILSAFE] = "failsafe",
                [BOX_ACCEPT_FROM] = "accept_from", [BOX_REJECT_FROM] = "reject_from", [BOX_CONNECT_TO] = "connect_to", [BOX_REJECT_TO] = "reject_to",
                [BOX_LOG_FROM] = "log_from", [BOX_LOG_TO] = "log_to",
        };

        (void) snprintf(ret, 32, "%s%c", names[kind], family == AF_INET ? '4' : '6');
}

void table_sets_write(NftBatch *b) {
        char name[32];
        uint32_t id = 1;

        for (unsigned level = 1; level <= HELPER_LEVEL_MAX; level++) {
                (void) snprintf(name, sizeof(name), "unit_%u", level);
                set_write(b, name, &shape_unit, id++);
        }
        set_write(b, "unit", &shape_index, id++);
        set_write(b, "option", &shape_option, id++);
        set_write(b, "local_accept", &shape_pair_port, id++);
        set_write(b, "local_accept_any", &shape_pair, id++);
        for (uint32_t kind = 0; kind < _BOX_KIND_MAX; kind++) {
                table_set_name_of_box(kind, AF_INET, name);
                set_write(b, name, &shape_box4, id++);
                table_set_name_of_box(kind, AF_INET6, name);
                set_write(b, name, &shape_box6, id++);
        }
}

/* ---- elements ---- */

static struct nftnl_set *elements_new(NftBatch *b, const char *name) {
        struct nftnl_set *s = nftnl_set_alloc();

        if (!s) {
                b->error = -ENOMEM;
                return NULL;
        }
        nftnl_set_set_str(s, NFTNL_SET_TABLE, TABLE_NAME);
        nftnl_set_set_str(s, NFTNL_SET_NAME, name);
        return s;
}

static void elements_end(NftBatch *b, uint16_t type, struct nftnl_set *s) {
        struct nlmsghdr *nlh;

        if (!s)
                return;
        nlh = nft_batch_begin(b, type, type == NFT_MSG_NEWSETELEM ? NLM_F_CREATE : 0);
        if (nlh) {
                nftnl_set_elems_nlmsg_build_payload(nlh, s);
                nft_batch_end(b, nlh);
        }
        nftnl_set_free(s);
}

static void element_add(NftBatch *b, struct nftnl_set *s, const void *key, const void *key_end, uint32_t key_len, const uint32_t *data) {
        struct nftnl_set_elem *e = s ? nftnl_set_elem_alloc() : NULL;

        if (!e) {
                b->error = -ENOMEM;
                return;
        }
        if (nftnl_set_elem_set(e, NFTNL_SET_ELEM_KEY, key, key_len) < 0 ||
            (key_end && nftnl_set_elem_set(e, NFTNL_SET_ELEM_KEY_END, key_end, key_len) < 0) ||
            (data && nftnl_set_elem_set(e, NFTNL_SET_ELEM_DATA, data, sizeof(*data)) < 0))
                b->error = -ENOMEM;
        nftnl_set_elem_add(s, e);
}

static void element_write(NftBatch *b, uint16_t type, const char *set, const void *key, uint32_t key_len, const uint32_t *data) {
        struct nftnl_set *s = elements_new(b, set);

        element_add(b, s, key, NULL, key_len, data);
        elements_end(b, type, s);
}

void table_unit_element(NftBatch *b, uint16_t type, const TableUnit *u, uint32_t slot) {
        uint32_t value = UNIT_VALUE(slot, u->flags, u->index);
        char name[32];

        (void) snprintf(name, sizeof(name), "unit_%u", u->level);
        element_write(b, type, name, &u->cgroup_id, sizeof(u->cgroup_id), &value);
}

void table_index_element(NftBatch *b, uint16_t type, const TableUnit *u, uint32_t slot) {
        uint32_t value = UNIT_VALUE(slot, u->flags, u->index);

        element_write(b, type, "unit", &u->index, sizeof(u->index), &value);
}

void table_local_element(NftBatch *b, uint16_t type, const TableLocal *local) {
        const uint32_t key[] = { local->client, local->server, htons(local->port) };

        if (local->port)
                element_write(b, type, "local_accept", key, sizeof(key), NULL);
        else
                element_write(b, type, "local_accept_any", key, 2 * sizeof(key[0]), NULL);
}

void table_locals_flush(NftBatch *b) {
        elements_end(b, NFT_MSG_DELSETELEM, elements_new(b, "local_accept")); /* none named: all */
        elements_end(b, NFT_MSG_DELSETELEM, elements_new(b, "local_accept_any"));
}

/* Key of a box's first or last corner: profile . address . protocol . port, each part padded to 4 bytes. Returns its length. */
static uint32_t box_key(const Box *box, uint32_t slot, bool last, uint8_t ret[static 28]) {
        const uint32_t profile = slot << VALUE_PROFILE_SHIFT;
        const size_t n = box->family == AF_INET ? 4 : 16;
        const struct in6_addr *corner[_BOX_DIMENSIONS];

        for (size_t d = 0; d < _BOX_DIMENSIONS; d++)
                corner[d] = last ? &box->range[d].last : &box->range[d].first;
        memset(ret, 0, 28);
        memcpy(ret, &profile, 4);
        memcpy(ret + 4, &corner[BOX_ADDRESS]->s6_addr[16 - n], n);
        ret[4 + n] = corner[BOX_PROTOCOL]->s6_addr[15];
        memcpy(ret + 8 + n, &corner[BOX_PORT]->s6_addr[14], 2);
        return (uint32_t) (12 + n);
}

int table_box_read(Box *box, const void *key, const void *key_end, size_t len, uint32_t *ret_slot) {
        const size_t n = box->family == AF_INET ? 4 : 16;

        if (len != 12 + n)
                return -EBADMSG;
        for (unsigned last = 0; last < 2; last++) {
                const uint8_t *from = last ? key_end : key;
                struct in6_addr *corner[_BOX_DIMENSIONS];

                for (size_t d = 0; d < _BOX_DIMENSIONS; d++) {
                        corner[d] = last ? &box->range[d].last : &box->range[d].first;
                        *corner[d] = (struct in6_addr) {};
                }
                memcpy(&corner[BOX_ADDRESS]->s6_addr[16 - n], from + 4, n);
                corner[BOX_PROTOCOL]->s6_addr[15] = from[4 + n];
                memcpy(&corner[BOX_PORT]->s6_addr[14], from + 8 + n, 2);
        }
        memcpy(ret_slot, key, sizeof(*ret_slot));
        *ret_slot >>= VALUE_PROFILE_SHIFT;
        return 0;
}

/* ---- options ----
 *
 * In the table, so that who starts anew makes the rules by them before anybody has told him. No rule looks there. */

enum { OPTION_LAYOUT, OPTION_MARK_MASK, OPTION_DENY_DROP, OPTION_FAILURE_OPEN, OPTION_DISARMED_UNTIL /* seconds, rounded down: who starts anew arms early, not late; UINT32_MAX: no end */ };

void table_option_elements(NftBatch *b, uint16_t type, const TableOptions *options) {
        const uint32_t until = (uint32_t) MIN(options->disarmed_until_usec / USEC_PER_SEC, (usec_t) UINT32_MAX);
        const uint32_t values[][2] = { { OPTION_LAYOUT, TABLE_LAYOUT }, { OPTION_MARK_MASK, options->mark_mask }, { OPTION_DENY_DROP, options->deny_drop },
                                       { OPTION_FAILURE_OPEN, options->failure_open }, { OPTION_DISARMED_UNTIL, until } };

        for (size_t i = 0; i < ELEMENTSOF(values); i++)
                element_write(b, type, "option", &values[i][0], sizeof(values[i][0]), &values[i][1]);
}

void table_option_read(TableOptions *options, uint32_t key, uint32_t value) {
        switch (key) {
        case OPTION_LAYOUT:
                options->layout = value;
                break;
        case OPTION_MARK_MASK:
                options->mark_mask = value;
                break;
        case OPTION_DENY_DROP:
                options->deny_drop = value != 0;
                break;
        case OPTION_FAILURE_OPEN:
                options->failure_open = value != 0;
                break;
        case OPTION_DISARMED_UNTIL:
                options->disarmed_until_usec = value == UINT32_MAX ? USEC_INFINITY : value * USEC_PER_SEC;
                break;
        }
}

void table_box_elements(NftBatch *b, uint16_t type, const Box *boxes, size_t n, const Slots *slots) {
        enum { ELEMENTS_PER_MESSAGE = 256 }; /* about 120 bytes each */

        for (size_t done = 0; done < n;) {
                struct nftnl_set *s;
                char name[32];
                size_t k = 0;

                table_set_name_of_box(boxes[done].kind, boxes[done].family, name);
                s = elements_new(b, name);
                for (; done + k < n && k < ELEMENTS_PER_MESSAGE; k++) {
                        const Box *box = &boxes[done + k];
                        uint32_t slot = slots_find(slots, box->profile), len;
                        uint8_t first[28], last[28];

                        if (box->kind != boxes[done].kind || box->family != boxes[done].family)
                                break;
                        len = box_key(box, slot, false, first);
                        (void) box_key(box, slot, true, last);
                        element_add(b, s, first, last, len, NULL);
                }
                elements_end(b, type, s);
                done += k;
        }
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the kernel's table holds, for a process that starts while it is in force: units, access lists, networks, options. It is read through a socket of
 * its own: a dump on the owning socket could overrun it, and PID 1 closes a socket that shows an error. */
#include "helper/table.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <libnftnl/common.h>
#include <libnftnl/set.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdio.h>

#include "util/array.h"
#include "util/fd.h"

#define DUMP_SIZE (32 * 1024) /* the most the kernel puts into one datagram of a dump */

typedef struct Element {
        const void *key, *key_end; /* the same length */
        uint32_t key_len;
        uint32_t data;             /* 0: has none */
} Element;

typedef struct Restore {
        Table *table;
        struct mnl_socket *nl;
        uint32_t seq;
        uint32_t level;            /* of the set that is being read */
        Box box;                   /* the same: kind and family */
        int (*read)(struct Restore *r, const Element *e);
        int error;
} Restore;

/* The number by which the enforcer that made a profile called it is not in the kernel: it gets one that no enforcer uses. */
static int restore_profile(Table *t, uint32_t slot, uint32_t *ret) {
        int k = slot == 0 ? 0 : slots_put(&t->slots, slot, PROFILE_MAX + slot);

        if (k >= 0)
                *ret = slot == 0 ? 0 : PROFILE_MAX + slot;
        return k;
}

static int read_unit(Restore *r, const Element *e) {
        TableUnit unit = { .level = r->level, .index = e->data & UNIT_INDEX_MAX, .flags = (e->data & VALUE_UNIT_MASK) >> 16 };
        Table *t = r->table;
        int k;

        if (e->key_len != sizeof(unit.cgroup_id))
                return -EBADMSG;
        memcpy(&unit.cgroup_id, e->key, sizeof(unit.cgroup_id));
        k = restore_profile(t, e->data >> VALUE_PROFILE_SHIFT, &unit.profile);
        if (k < 0)
                return k;
        if (!ARRAY_GROW(t->units, t->n_units))
                return -ENOMEM;
        t->units[t->n_units++] = unit;
        return 0;
}

static int read_box(Restore *r, const Element *e) {
        Box box = r->box;
        uint32_t slot;
        int k = e->key_end ? table_box_read(&box, e->key, e->key_end, e->key_len, &slot) : -EBADMSG;

        if (k >= 0)
                k = restore_profile(r->table, slot, &box.profile);
        return k < 0 ? k : MIN(box_list_add(&r->table->boxes, &box), 0);
}

static int read_option(Restore *r, const Element *e) {
        uint32_t key;

        if (e->key_len != sizeof(key))
                return -EBADMSG;
        memcpy(&key, e->key, sizeof(key));
        table_option_read(&r->table->options, key, e->data);
        return 0;
}

/* ---- dumps ---- */

static int on_element(struct nftnl_set_elem *e, void *userdata) {
        uint32_t key_len = 0, end_len = 0, data_len = 0;
        Element element = { .key = nftnl_set_elem_get(e, NFTNL_SET_ELEM_KEY, &key_len), .key_end = nftnl_set_elem_get(e, NFTNL_SET_ELEM_KEY_END, &end_len) };
        const void *data = nftnl_set_elem_get(e, NFTNL_SET_ELEM_DATA, &data_len);
        Restore *r = userdata;

        element.key_len = key_len;
        if (!element.key || (element.key_end && end_len != key_len) || (data && data_len != sizeof(element.data)))
                r->error = -EBADMSG;
        else {
                if (data)
                        memcpy(&element.data, data, sizeof(element.data));
                r->error = r->read(r, &element);
        }
        return r->error < 0 ? -1 : 0;
}

static int on_message(const struct nlmsghdr *nlh, void *userdata) {
        struct nftnl_set *s = nftnl_set_alloc();
        Restore *r = userdata;

        if (!s || nftnl_set_elems_nlmsg_parse(nlh, s) < 0)
                r->error = s ? -EBADMSG : -ENOMEM;
        else
                (void) nftnl_set_elem_foreach(s, on_element, r);
        if (s)
                nftnl_set_free(s);
        return r->error < 0 ? MNL_CB_ERROR : MNL_CB_OK;
}

static int request_set(Restore *r, const char *name) {
        char buf[4096];
        struct nlmsghdr *nlh = nftnl_nlmsg_build_hdr(buf, NFT_MSG_GETSETELEM, NFPROTO_INET, NLM_F_DUMP, ++r->seq);
        struct nftnl_set *s = nftnl_set_alloc();
        ssize_t n;

        if (!s)
                return -ENOMEM;
        nftnl_set_set_str(s, NFTNL_SET_TABLE, TABLE_NAME);
        nftnl_set_set_str(s, NFTNL_SET_NAME, name);
        nftnl_set_elems_nlmsg_build_payload(nlh, s);
        nftnl_set_free(s);
        n = mnl_socket_sendto(r->nl, nlh, nlh->nlmsg_len);
        return n < 0 ? -errno : 0;
}

static int restore_set(Restore *r, const char *name, int (*read)(Restore *r, const Element *e)) {
        _cleanup_free_ char *buf = malloc(DUMP_SIZE);
        int k;

        if (!buf)
                return -ENOMEM;
        r->read = read;
        k = request_set(r, name);
        if (k < 0)
                return k;
        do {
                ssize_t n = mnl_socket_recvfrom(r->nl, buf, DUMP_SIZE);

                if (n < 0)
                        return -errno;
                errno = 0;
                k = mnl_cb_run(buf, (size_t) n, r->seq, mnl_socket_get_portid(r->nl), on_message, r);
                if (r->error < 0)
                        return r->error;
                if (k < 0) /* no such table or set: a first start, or after an older version */
                        return errno == ENOENT ? 0 : -errno;
        } while (k > MNL_CB_STOP);
        return 0;
}

static int restore_boxes(Restore *r, uint32_t family) {
        int k = 0;

        for (uint32_t kind = 0; k >= 0 && kind < _BOX_KIND_MAX; kind++) {
                char name[32];

                r->box = (Box) { .kind = kind, .family = family };
                table_set_name_of_box(kind, family, name);
                k = restore_set(r, name, read_box);
        }
        return k;
}

DEFINE_CLEANUP(struct mnl_socket *, mnl_socket_close);

int table_restore(Table *t) {
        _cleanup_(mnl_socket_closep) struct mnl_socket *nl = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
        Restore r = { .table = t, .nl = nl };
        int k = 0;

        if (!nl || mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0)
                return -errno;
        for (r.level = 1; k >= 0 && r.level <= HELPER_LEVEL_MAX; r.level++) {
                char name[32];

                (void) snprintf(name, sizeof(name), "unit_%u", r.level);
                k = restore_set(&r, name, read_unit);
        }
        if (k >= 0)
                k = restore_boxes(&r, AF_INET);
        if (k >= 0)
                k = restore_boxes(&r, AF_INET6);
        if (k >= 0)
                k = restore_set(&r, "option", read_option);
        return k;
}

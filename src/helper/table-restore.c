/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which units the kernel's table holds, for a process that starts while it is in force. It is read through a socket of its own: a dump on the
 * owning socket could overrun it, and PID 1 closes a socket that shows an error. */
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

typedef struct Restore {
        TableUnit *units;
        size_t n;
        uint32_t level;
        int error;
} Restore;

static void restore_done(Restore *r) {
        free(r->units);
}

static int on_element(struct nftnl_set_elem *e, void *userdata) {
        Restore *r = userdata;
        uint32_t key_len = 0, data_len = 0, priority;
        const void *key = nftnl_set_elem_get(e, NFTNL_SET_ELEM_KEY, &key_len), *data = nftnl_set_elem_get(e, NFTNL_SET_ELEM_DATA, &data_len);
        TableUnit unit = { .level = r->level };

        if (!key || !data || key_len != sizeof(unit.cgroup_id) || data_len != sizeof(priority)) {
                r->error = -EBADMSG;
                return -1;
        }
        memcpy(&unit.cgroup_id, key, sizeof(unit.cgroup_id));
        memcpy(&priority, data, sizeof(priority));
        unit.index = PRIO_INDEX(priority);
        unit.flags = PRIO_FLAGS(priority);
        if (!ARRAY_GROW(r->units, r->n)) {
                r->error = -ENOMEM;
                return -1;
        }
        r->units[r->n++] = unit;
        return 0;
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

static int request_level(struct mnl_socket *nl, const char *name, uint32_t seq) {
        char buf[4096];
        struct nlmsghdr *nlh = nftnl_nlmsg_build_hdr(buf, NFT_MSG_GETSETELEM, NFPROTO_INET, NLM_F_DUMP, seq);
        struct nftnl_set *s = nftnl_set_alloc();
        ssize_t n;

        if (!s)
                return -ENOMEM;
        nftnl_set_set_str(s, NFTNL_SET_TABLE, TABLE_NAME);
        nftnl_set_set_str(s, NFTNL_SET_NAME, name);
        nftnl_set_elems_nlmsg_build_payload(nlh, s);
        nftnl_set_free(s);
        n = mnl_socket_sendto(nl, nlh, nlh->nlmsg_len);
        return n < 0 ? -errno : 0;
}

static int restore_level(Restore *r, struct mnl_socket *nl) {
        _cleanup_free_ char *buf = malloc(DUMP_SIZE);
        char name[32];
        int k;

        if (!buf)
                return -ENOMEM;
        (void) snprintf(name, sizeof(name), "unit_%u", r->level);
        k = request_level(nl, name, r->level);
        if (k < 0)
                return k;
        do {
                ssize_t n = mnl_socket_recvfrom(nl, buf, DUMP_SIZE);

                if (n < 0)
                        return -errno;
                errno = 0;
                k = mnl_cb_run(buf, (size_t) n, r->level, mnl_socket_get_portid(nl), on_message, r);
                if (r->error < 0)
                        return r->error;
                if (k < 0) /* no such table or set: a first start */
                        return errno == ENOENT ? 0 : -errno;
        } while (k > MNL_CB_STOP);
        return 0;
}

DEFINE_CLEANUP(struct mnl_socket *, mnl_socket_close);

int table_restore_units(TableUnit **ret, size_t *ret_n) {
        _cleanup_(mnl_socket_closep) struct mnl_socket *nl = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
        _cleanup_(restore_done) Restore r = { 0 };

        if (!nl || mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0)
                return -errno;
        for (r.level = 1; r.level <= HELPER_LEVEL_MAX; r.level++) {
                int k = restore_level(&r, nl);

                if (k < 0)
                        return k;
        }
        *ret = TAKE_PTR(r.units);
        *ret_n = r.n;
        return 0;
}

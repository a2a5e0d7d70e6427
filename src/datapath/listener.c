/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The kernel answers with a socket's cgroup, by id. A unit's own is in the unit table; a cgroup below it cannot be told from a foreign one by its id, but
 * where such a listener has ever taken a SYN in the ordinary way, the table saw it by its path of cgroups: that is remembered, also for the next process, since
 * what is in TIME_WAIT outlives this one. */

#include <errno.h>
#include <linux/netlink.h>
#include <netinet/tcp.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "datapath/listener.h"
#include "util/fd.h"
#include "util/log.h"
#include "wire/diag-msg.h"

#define STATE_NEW_SYN_RECV 12 /* the kernel's TCP_NEW_SYN_RECV, which the C library does not name */

typedef struct ListenerKey {
        struct in6_addr address;
        uint16_t port, zero;
} ListenerKey;

/* What is remembered, oldest first from next on. One that was being written when the process was killed names a unit or an address wrongly: then a SYN is dropped. */
struct ListenerMemory {
        uint32_t next;
        struct {
                ListenerKey key;
                uint32_t unit; /* 0: none yet */
        } items[LISTENERS_MAX];
};

int listeners_open(Listeners *l, const uint8_t seed[static SIPHASH_KEY_SIZE]) {
        const struct timeval patience = { .tv_usec = 100000 }; /* the kernel answers within the call; this is for its refusal to */
        _cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
        int r;

        if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0)
                return log_error_errno(errno, "Cannot open a sock_diag socket");
        r = table_new(LISTENERS_MAX, sizeof(ListenerKey), sizeof(uint32_t), seed, &l->seen);
        if (r < 0)
                return log_error_errno(r, "Cannot set up the listener table");
        l->fd = TAKE_FD(fd);
        return 0;
}

void listeners_close(Listeners *l) {
        closep(&l->fd);
        closep(&l->memory_fd);
        if (l->memory)
                (void) munmap(l->memory, sizeof(*l->memory));
        table_free(l->seen);
        *l = (Listeners) LISTENERS_INIT;
}

/* Returns whether that is new. */
static bool note(Listeners *l, const ListenerKey *key, uint32_t unit) {
        uint32_t *seen = table_get(l->seen, key), former = 0;

        if (seen) {
                former = *seen;
                table_touch(l->seen, seen);
        } else {
                seen = table_add(l->seen, key);
                if (!seen) {
                        table_remove(l->seen, table_first(l->seen));
                        seen = table_add(l->seen, key);
                }
        }
        *seen = unit;
        return former != unit;
}

void listeners_note(Listeners *l, const Packet *p, uint32_t unit) {
        const ListenerKey key = { .address = p->daddr, .port = p->dport };
        uint32_t next;

        if (!note(l, &key, unit) || !l->memory)
                return;
        next = l->memory->next % LISTENERS_MAX;
        l->memory->items[next].key = key;
        l->memory->items[next].unit = unit;
        l->memory->next = next + 1;
}

static void recall(Listeners *l) {
        for (size_t i = 0; i < LISTENERS_MAX; i++) {
                const size_t k = (l->memory->next + i) % LISTENERS_MAX;

                if (l->memory->items[k].unit != 0)
                        (void) note(l, &l->memory->items[k].key, l->memory->items[k].unit);
        }
}

int listeners_remember(Listeners *l, int fd) {
        _cleanup_close_ int memory_fd = fd >= 0 ? fd : memfd_create("trireme-listeners", MFD_CLOEXEC);
        struct stat st;
        void *memory;

        if (memory_fd < 0 || (fd < 0 && ftruncate(memory_fd, sizeof(*l->memory)) < 0) || fstat(memory_fd, &st) < 0)
                return -errno;
        if (st.st_size != (off_t) sizeof(*l->memory))
                return -EBADMSG;
        memory = mmap(NULL, sizeof(*l->memory), PROT_READ | PROT_WRITE, MAP_SHARED, memory_fd, 0);
        if (memory == MAP_FAILED)
                return -errno;
        l->memory = memory;
        l->memory_fd = TAKE_FD(memory_fd);
        recall(l);
        return 0;
}

/* 0: found; -ENOENT: there is none. */
static int find_socket(Listeners *l, const Packet *p, uint32_t iif, uint16_t dport, DiagSocket *ret) {
        const DiagSocket wanted = {
                .family = p->family, .protocol = IPPROTO_TCP, .saddr = p->daddr, .sport = p->dport, .daddr = p->saddr, .dport = dport, .ifindex = iif,
        };
        const struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
        uint8_t buf[8192];
        ssize_t n;
        int len;

        len = diag_find_write(&wanted, 1, buf, sizeof(buf));
        if (len < 0)
                return len;
        if (sendto(l->fd, buf, (size_t) len, 0, (const struct sockaddr *) &kernel, sizeof(kernel)) < 0)
                return -errno;
        n = recv(l->fd, buf, sizeof(buf), 0);
        return n < 0 ? -errno : diag_parse(buf, (size_t) n, ret);
}

ListenerResult listeners_find(Listeners *l, const UnitTable *units, const Packet *p, uint32_t iif, uint32_t *ret_unit) {
        const ListenerKey key = { .address = p->daddr, .port = p->dport };
        const uint32_t *seen = table_get(l->seen, &key);
        const Unit *unit;
        DiagSocket s;
        int r;

        r = find_socket(l, p, iif, p->sport, &s);
        if (r == 0 && s.state != TCP_LISTEN && s.state != TCP_TIME_WAIT && s.state != TCP_SYN_RECV && s.state != STATE_NEW_SYN_RECV)
                return LISTENER_LIVE;
        if (r == 0 && s.state != TCP_LISTEN)
                r = find_socket(l, p, iif, 0, &s);
        if (r < 0)
                return r == -ENOENT ? LISTENER_NONE : LISTENER_UNCLEAR;
        unit = unit_table_find_cgroup(units, s.cgroup_id);
        if (unit) {
                *ret_unit = unit->index;
                return LISTENER_UNIT;
        }
        if (!unit_table_is_complete(units)) /* it may be of a unit that we were not told of yet */
                return LISTENER_UNCLEAR;
        return seen && unit_table_get(units, *seen) ? LISTENER_UNCLEAR : LISTENER_NONE;
}

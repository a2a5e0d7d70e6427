/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/stray.h"

#include <errno.h>

#include "enforcer/helper-client.h"
#include "ipc/marks.h"
#include "util/array.h"
#include "util/log.h"

static void stray_drop(Manager *m, Stray *s) {
        index_release(&m->units.pool, s->index);
        *s = m->strays.items[--m->strays.n];
}

void strays_clear(Manager *m) {
        while (m->strays.n > 0)
                stray_drop(m, &m->strays.items[0]);
        free(m->strays.items);
        m->strays.items = NULL;
}

static Stray *stray_find(const Manager *m, uint64_t cgroup_id) {
        for (size_t i = 0; i < m->strays.n; i++)
                if (m->strays.items[i].cgroup_id == cgroup_id)
                        return &m->strays.items[i];
        return NULL;
}

bool strays_have(const Manager *m, uint64_t cgroup_id) {
        return cgroup_id != 0 && stray_find(m, cgroup_id);
}

void strays_claim(Manager *m, uint64_t cgroup_id) {
        Stray *s = stray_find(m, cgroup_id);

        if (s)
                stray_drop(m, s);
}

static void stray_add(Manager *m, const HelperCgroup *c) {
        for (const Unit *u = m->units.first; u; u = u->next)
                if (u->info.cgroup_id == c->cgroup_id)
                        return;
        if (stray_find(m, c->cgroup_id))
                return;
        if (!ARRAY_GROW(m->strays.items, m->strays.n)) {
                log_error("Out of memory: a control group of an ended unit stays in the kernel's maps");
                return;
        }
        m->strays.items[m->strays.n++] = (Stray) {
                .cgroup_id = c->cgroup_id,
                .index = index_reserve(&m->units.pool, c->index) >= 0 ? c->index : 0,
                .number = ++m->strays.last_number,
                .known = c->index,
        };
}

static void on_cgroup(Link *l, const LinkMessage *msg, int result, void *userdata) {
        Manager *m = helper_manager(l);

        if (msg && msg->header->type == HELPER_CGROUP && msg->len == sizeof(HelperCgroup))
                stray_add(m, (const HelperCgroup *) msg->header);
        else if (!msg && result < 0 && result != -ECONNRESET)
                log_error_errno(result, "The helper cannot list the control groups in the kernel's maps");
}

void strays_ask(Manager *m) {
        int r;

        strays_clear(m);
        r = helper_request(m, HELPER_LIST_CGROUPS, "", 0, on_cgroup, NULL);
        if (r < 0 && r != -ENOTCONN)
                log_error_errno(r, "Cannot ask for the control groups in the kernel's maps");
}

static Stray *stray_of_number(Manager *m, uint32_t number) {
        for (size_t i = 0; i < m->strays.n; i++)
                if (m->strays.items[i].number == number)
                        return &m->strays.items[i];
        return NULL;
}

static void on_closed(Link *l, const LinkMessage *msg, int result, void *userdata) {
        Stray *s = msg ? NULL : stray_of_number(helper_manager(l), (uint32_t) (uintptr_t) userdata);

        if (s && (result >= 0 || result == -ENOENT))
                s->known = 0;
        if (!msg && result < 0 && result != -ECONNRESET && result != -ENOENT)
                log_error_errno(result, "The helper cannot close the control group of an ended unit");
}

/* Processes or sockets of it are left, and it may have ended while there was no enforcer to close it. */
static void stray_close(Manager *m, Stray *s) {
        HelperUnitRequest request = { .header.type = HELPER_ENFORCE_UNIT, .cgroup_id = s->cgroup_id, .index = s->known, .flags = REQUEST_UNIT_CLOSED };
        int r = s->known != 0 ? link_request(m->helper, &request, sizeof(request), -1, on_closed, (void *) (uintptr_t) s->number) : 0;

        if (r < 0 && r != -ENOTCONN)
                log_error_errno(r, "Cannot ask the helper to close the control group of an ended unit");
}

static void on_released(Link *l, const LinkMessage *msg, int result, void *userdata) {
        Manager *m = helper_manager(l);
        Stray *s = msg ? NULL : stray_of_number(m, (uint32_t) (uintptr_t) userdata);

        if (msg)
                return;
        if (s)
                s->releasing = false;
        if (s && (result >= 0 || result == -ENOENT))
                stray_drop(m, s);
        else if (s && result == -EBUSY)
                stray_close(m, s);
        if (result < 0 && result != -ENOENT && result != -EBUSY && result != -EAGAIN && result != -ECONNRESET)
                log_error_errno(result, "The helper cannot release the control group of an ended unit");
}

void strays_release(Manager *m) {
        for (size_t i = 0; i < m->strays.n; i++) {
                /* nobody knows what it was */
                HelperRelease request = { .header.type = HELPER_RELEASE_UNIT, .cgroup_id = m->strays.items[i].cgroup_id, .flags = HELPER_RELEASE_TREE };
                int r;

                if (m->strays.items[i].releasing)
                        continue;
                r = link_request(m->helper, &request, sizeof(request), -1, on_released, (void *) (uintptr_t) m->strays.items[i].number);
                m->strays.items[i].releasing = r >= 0;
                if (r < 0 && r != -ENOTCONN)
                        log_error_errno(r, "Cannot ask the helper to release the control group of an ended unit");
        }
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/profile.h"

#include <errno.h>

#include "enforcer/enforce.h"
#include "enforcer/helper-client.h"
#include "util/log.h"

static Profile *profile_find(Manager *m, uint32_t id) {
        for (Profile *p = m->profiles; p; p = p->next)
                if (p->id == id)
                        return p;
        return NULL;
}

static void *id_to_pointer(uint32_t id) {
        return (void *) (uintptr_t) id;
}

static void on_entry(Link *l, const LinkMessage *msg, int result, void *userdata) {
        Manager *m = helper_manager(l);
        Profile *p = profile_find(m, (uint32_t) (uintptr_t) userdata);

        if (msg || result >= 0 || result == -EEXIST || result == -ECONNRESET || !p || p->failed)
                return;
        log_error_errno(result, "The helper refuses an access list");
        p->failed = true;
        enforce_profile_ready(m, p);
}

/* An entry for any protocol is one for each that access lists know. */
static int profile_send_entry(Profile *p, const AclEntry *e, HelperAclDirection direction) {
        const uint8_t protocols[] = { IPPROTO_TCP, IPPROTO_UDP, e->network.family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6 };
        HelperAcl request = {
                .profile = p->id, .direction = direction, .action = e->reject ? 1 : e->log ? 2 : 0,
                .family = e->network.family, .address = e->network.address, .prefix_len = e->network.prefix_len,
                .port_first = e->port_first, .port_last = e->port_last,
        };
        int r = 0;

        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(protocols); i++) {
                if (e->protocol != 0 && e->protocol != protocols[i])
                        continue;
                request.header = (HelperHeader) { .type = HELPER_ACL_ADD };
                request.protocol = protocols[i];
                r = link_request(p->manager->helper, &request, sizeof(request), -1, on_entry, id_to_pointer(p->id));
        }
        return r;
}

static int profile_send_list(Profile *p, const AclList *list, HelperAclDirection direction) {
        for (size_t i = 0; i < list->n_entries; i++) {
                int r = profile_send_entry(p, &list->entries[i], direction);

                if (r < 0)
                        return r;
        }
        return 0;
}

static void profile_send(Profile *p);
static int profile_take_id(Manager *m, uint32_t *ret);

/* Another enforcer's profile of that number may still be in use, for a moment after a restart: then another number. */
static void profile_renumber(Profile *p) {
        if (profile_take_id(p->manager, &p->id) >= 0)
                profile_send(p);
        else
                p->failed = true;
}

static void on_cleared(Link *l, const LinkMessage *msg, int result, void *userdata) {
        Manager *m = helper_manager(l);
        Profile *p = profile_find(m, (uint32_t) (uintptr_t) userdata);
        int r;

        if (msg || !p || result == -ECONNRESET)
                return;
        if (result == -EBUSY) {
                profile_renumber(p);
                return;
        }
        r = result < 0 && result != -ENOENT ? result : profile_send_list(p, &p->accept_from, HELPER_ACL_ACCEPT_FROM);
        if (r >= 0)
                r = profile_send_list(p, &p->connect_to, HELPER_ACL_CONNECT_TO);
        p->failed = r < 0;
        p->ready = true;
        if (r < 0)
                log_error_errno(r, "Cannot tell the helper an access list");
        enforce_profile_ready(m, p);
}

static void profile_send(Profile *p) {
        HelperAcl request = { .header.type = HELPER_PROFILE_REMOVE, .profile = p->id };
        int r;

        p->ready = false;
        if (!p->manager->helper_ready)
                return;
        r = link_request(p->manager->helper, &request, sizeof(request), -1, on_cleared, id_to_pointer(p->id));
        if (r < 0 && r != -ENOTCONN)
                log_error_errno(r, "Cannot tell the helper an access list");
}

void profiles_send(Manager *m) {
        for (Profile *p = m->profiles; p; p = p->next) {
                p->failed = false;
                profile_send(p);
        }
}

static void profile_destroy(Profile *p) {
        acl_list_done(&p->accept_from);
        acl_list_done(&p->connect_to);
        free(p);
}

static int profile_take_id(Manager *m, uint32_t *ret) {
        for (unsigned i = 0; i < PROFILE_ID_MAX; i++) {
                m->last_profile = m->last_profile % PROFILE_ID_MAX + 1;
                if (!profile_find(m, m->last_profile)) {
                        *ret = m->last_profile;
                        return 0;
                }
        }
        return -ENOSPC;
}

static int profile_new(Manager *m, const AclList *accept_from, const AclList *connect_to, Profile **ret) {
        Profile *p = calloc(1, sizeof(*p));
        int r;

        if (!p)
                return -ENOMEM;
        p->manager = m;
        p->n_ref = 1;
        r = profile_take_id(m, &p->id);
        if (r >= 0)
                r = acl_list_merge(&p->accept_from, accept_from);
        if (r >= 0)
                r = acl_list_merge(&p->connect_to, connect_to);
        if (r < 0) {
                profile_destroy(p);
                return r;
        }
        p->next = m->profiles;
        m->profiles = p;
        profile_send(p);
        *ret = p;
        return 0;
}

int profile_acquire(Manager *m, const AclList *accept_from, const AclList *connect_to, Profile **ret) {
        if (accept_from->n_entries == 0 && connect_to->n_entries == 0) {
                *ret = NULL;
                return 0;
        }
        for (Profile *p = m->profiles; p; p = p->next)
                if (acl_list_equal(&p->accept_from, accept_from) && acl_list_equal(&p->connect_to, connect_to)) {
                        p->n_ref++;
                        *ret = p;
                        return 0;
                }
        return profile_new(m, accept_from, connect_to, ret);
}

static void profile_forget(const Profile *p) {
        HelperAcl request = { .header.type = HELPER_PROFILE_REMOVE, .profile = p->id };
        int r;

        if (!p->manager->helper_ready || !p->ready)
                return;
        r = link_request(p->manager->helper, &request, sizeof(request), -1, helper_log_answer, (void *) "removal of an access list");
        if (r < 0 && r != -ENOTCONN)
                log_error_errno(r, "Cannot tell the helper to forget an access list");
}

Profile *profile_release(Profile *p) {
        if (!p || --p->n_ref > 0)
                return NULL;
        for (Profile **slot = &p->manager->profiles; *slot; slot = &(*slot)->next)
                if (*slot == p) {
                        *slot = p->next;
                        break;
                }
        profile_forget(p);
        profile_destroy(p);
        return NULL;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/identity-names.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <search.h>
#include <stdbool.h>

#define RECORD_MAX 65536u /* bytes of one user or group in the switch's answer */
#define COMPARE(a, b) (((a) > (b)) - ((a) < (b)))

typedef struct GroupRecord {
        uint32_t gid;
        char *name;
        usec_t asked_usec;
} GroupRecord;

struct IdentityNames {
        void *users, *groups; /* by number */
        unsigned n_users, n_groups;
        char buf[RECORD_MAX];
};

static int user_compare(const void *a, const void *b) {
        return COMPARE(((const UserRecord *) a)->uid, ((const UserRecord *) b)->uid);
}

static int group_compare(const void *a, const void *b) {
        return COMPARE(((const GroupRecord *) a)->gid, ((const GroupRecord *) b)->gid);
}

static void user_free(void *p) {
        UserRecord *u = p;

        free(u->name);
        free(u->groups);
        free(u);
}

static void group_free(void *p) {
        free(((GroupRecord *) p)->name);
        free(p);
}

int identity_names_new(IdentityNames **ret) {
        IdentityNames *n = calloc(1, sizeof(*n));

        if (!n)
                return -ENOMEM;
        *ret = n;
        return 0;
}

IdentityNames *identity_names_free(IdentityNames *n) {
        if (!n)
                return NULL;
        tdestroy(n->users, user_free);
        tdestroy(n->groups, group_free);
        free(n);
        return NULL;
}

/* ---- users ---- */

static int user_groups(const struct passwd *pw, UserRecord *u) {
        gid_t groups[IDENTITY_GROUPS_MAX];
        int n = ELEMENTSOF(groups);

        if (getgrouplist(pw->pw_name, pw->pw_gid, groups, &n) < 0)
                return -E2BIG;
        u->groups = calloc((size_t) n + 1, sizeof(*u->groups));
        if (!u->groups)
                return -ENOMEM;
        for (; u->n_groups < (size_t) n; u->n_groups++)
                u->groups[u->n_groups] = groups[u->n_groups];
        return 0;
}

static int user_new(const struct passwd *pw, usec_t now_usec, UserRecord **ret) {
        UserRecord *u = calloc(1, sizeof(*u));
        int r;

        if (!u)
                return -ENOMEM;
        *u = (UserRecord) { .uid = pw->pw_uid, .gid = pw->pw_gid, .name = strdup(pw->pw_name), .asked_usec = now_usec };
        r = u->name ? user_groups(pw, u) : -ENOMEM;
        if (r < 0) {
                user_free(u);
                return r;
        }
        *ret = u;
        return 0;
}

static int user_remember(IdentityNames *n, const struct passwd *pw, usec_t now_usec, const UserRecord **ret) {
        UserRecord key = { .uid = pw->pw_uid }, *u, **slot;
        int r = user_new(pw, now_usec, &u);

        if (r < 0)
                return r;
        if (n->n_users >= IDENTITY_USERS_MAX) {
                tdestroy(n->users, user_free);
                n->users = NULL;
                n->n_users = 0;
        }
        slot = tfind(&key, &n->users, user_compare);
        if (slot) {
                user_free(*slot);
                *slot = u;
        } else if (!tsearch(u, &n->users, user_compare)) {
                user_free(u);
                return -ENOMEM;
        } else
                n->n_users++;
        *ret = u;
        return 0;
}

static bool is_fresh(usec_t asked_usec, usec_t now_usec) {
        return now_usec - asked_usec < IDENTITY_NAMES_USEC;
}

int identity_user_by_uid(IdentityNames *n, uint32_t uid, usec_t now_usec, const UserRecord **ret) {
        UserRecord key = { .uid = uid }, **slot = tfind(&key, &n->users, user_compare);
        struct passwd pw, *found;
        int r;

        if (slot && is_fresh((*slot)->asked_usec, now_usec)) {
                *ret = *slot;
                return 0;
        }
        r = getpwuid_r(uid, &pw, n->buf, sizeof(n->buf), &found);
        if (r != 0 || !found)
                return r != 0 ? -r : -ENOENT;
        return user_remember(n, found, now_usec, ret);
}

static int parse_number(const char *s, uint32_t *ret) {
        unsigned long v;
        char *end;

        if (s[0] < '0' || s[0] > '9')
                return -EINVAL;
        errno = 0;
        v = strtoul(s, &end, 10);
        if (errno != 0 || *end || v >= UINT32_MAX)
                return -EINVAL;
        *ret = (uint32_t) v;
        return 0;
}

int identity_user_by_name(IdentityNames *n, const char *name, usec_t now_usec, const UserRecord **ret) {
        struct passwd pw, *found;
        uint32_t uid;
        int r;

        if (parse_number(name, &uid) >= 0)
                return identity_user_by_uid(n, uid, now_usec, ret);
        r = getpwnam_r(name, &pw, n->buf, sizeof(n->buf), &found);
        if (r != 0 || !found)
                return r != 0 ? -r : -ENOENT;
        return user_remember(n, found, now_usec, ret);
}

/* ---- groups ---- */

static int group_remember(IdentityNames *n, const struct group *gr, usec_t now_usec, const char **ret) {
        GroupRecord *g = calloc(1, sizeof(*g)), **slot;

        if (!g)
                return -ENOMEM;
        *g = (GroupRecord) { .gid = gr->gr_gid, .name = strdup(gr->gr_name), .asked_usec = now_usec };
        if (!g->name) {
                free(g);
                return -ENOMEM;
        }
        if (n->n_groups >= IDENTITY_USERS_MAX) {
                tdestroy(n->groups, group_free);
                n->groups = NULL;
                n->n_groups = 0;
        }
        slot = tsearch(g, &n->groups, group_compare);
        if (!slot) {
                group_free(g);
                return -ENOMEM;
        }
        if (*slot != g) {
                group_free(*slot);
                *slot = g;
        } else
                n->n_groups++;
        *ret = g->name;
        return 0;
}

int identity_group_name(IdentityNames *n, uint32_t gid, usec_t now_usec, const char **ret) {
        GroupRecord key = { .gid = gid }, **slot = tfind(&key, &n->groups, group_compare);
        struct group gr, *found;
        int r;

        if (slot && is_fresh((*slot)->asked_usec, now_usec)) {
                *ret = (*slot)->name;
                return 0;
        }
        r = getgrgid_r(gid, &gr, n->buf, sizeof(n->buf), &found);
        if (r != 0 || !found)
                return r != 0 ? -r : -ENOENT;
        return group_remember(n, found, now_usec, ret);
}

int identity_group_number(IdentityNames *n, const char *name, usec_t now_usec, uint32_t *ret) {
        struct group gr, *found;
        const char *known;
        int r;

        if (parse_number(name, ret) >= 0)
                return 0;
        r = getgrnam_r(name, &gr, n->buf, sizeof(n->buf), &found);
        if (r != 0 || !found)
                return r != 0 ? -r : -ENOENT;
        *ret = found->gr_gid;
        return group_remember(n, found, now_usec, &known);
}

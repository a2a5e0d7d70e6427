/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Names and numbers of users and groups, as the name service switch has them. A switch that asks a daemon is waited for, so answers are remembered for a while; what is not
 * found is asked again each time, since users may come while the system starts. */

#include <stddef.h>
#include <stdint.h>

#include "util/clock.h"
#include "util/macro.h"

#define IDENTITY_NAMES_USEC (60 * USEC_PER_SEC)
#define IDENTITY_USERS_MAX 1024u   /* then all are forgotten */
#define IDENTITY_GROUPS_MAX 256u   /* of one user; more is an error */

typedef struct UserRecord {
        uint32_t uid, gid;
        char *name;
        uint32_t *groups;          /* supplementary ones, the primary one among them */
        size_t n_groups;
        usec_t asked_usec;
} UserRecord;

typedef struct IdentityNames IdentityNames;
_must_use_ int identity_names_new(IdentityNames **ret);
IdentityNames *identity_names_free(IdentityNames *n);
DEFINE_CLEANUP(IdentityNames *, identity_names_free);

/* *ret is borrowed until the next question. -ENOENT; -EIO and others: could not be asked. */
_must_use_ int identity_user_by_uid(IdentityNames *n, uint32_t uid, usec_t now_usec, const UserRecord **ret);
_must_use_ int identity_user_by_name(IdentityNames *n, const char *name, usec_t now_usec, const UserRecord **ret); /* or a number */
_must_use_ int identity_group_name(IdentityNames *n, uint32_t gid, usec_t now_usec, const char **ret);
_must_use_ int identity_group_number(IdentityNames *n, const char *name, usec_t now_usec, uint32_t *ret);          /* or a number */

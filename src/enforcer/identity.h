/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Who a unit is, beyond what its settings say: the file that its main process executes, as whom, from whose name. Before a start it is what PID 1 is about to execute, as far as
 * only root can change that; after it what the main process executes, looked at again and again since execve() tells nobody. What is not known (yet) is
 * in no tag and its family is not announced, so a rule that needs it does not hold. */

#include "enforcer/identity-files.h"
#include "enforcer/identity-libraries.h"
#include "enforcer/identity-plugins.h"
#include "enforcer/manager.h"

#define IDENTITY_VERITY_MAX 160u

typedef struct IdentityFile {
        bool known, path_known;
        bool other_root;                     /* of the settings: below a RootDirectory= */
        uint32_t pid;                        /* 0: of the settings */
        FileKey key;
        char path[HELPER_PATH_MAX];
        char sha256[65];                     /* as last known of this file; empty: not known */
        bool verity_known;
        char verity[IDENTITY_VERITY_MAX];    /* "sha256:HEX"; empty: not enabled */
} IdentityFile;

/* One answer of the helper. */
typedef struct IdentityFacts {
        bool has_credentials;
        HelperCredentials credentials;
        IdentityFile process, start;
} IdentityFacts;

typedef struct Identity Identity;
Identity *identity_free(Identity *i);

/* facts: NULL and a negative result, or 0. Called once, later, unless this fails. The files' contents are being found out from then on. */
typedef void (*identity_answer_t)(Manager *m, int result, const IdentityFacts *facts, void *userdata);
_must_use_ int identity_ask(Manager *m, const UnitInfo *info, identity_answer_t answer, void *userdata);
bool identity_can_ask(const UnitInfo *info); /* a slice executes nothing */

const char *identity_unit_to_ask(const UnitInfo *info); /* of a socket unit: the service */
UnitPlugins *identity_plugins(Unit *u);                   /* u->identity is not NULL */

/* facts NULL: nothing is known. Keeps what is still true of the same process and file, and looks at the process from now on. */
_must_use_ int identity_set(Manager *m, Unit *u, const IdentityFacts *facts);
/* Its tags of today. -E2BIG, -ENOMEM. */
_must_use_ int identity_tags(Manager *m, const Unit *u, TagSet *ret, uint16_t *ret_families);
void identity_event(Manager *m, Unit *u); /* the unit or its main process changed: look at once, and then more often for a while */
void identity_file_ready(const FileFacts *facts, void *userdata); /* a file_ready_t; userdata: the Manager */

bool identity_is_settled(const Manager *m, const Unit *u); /* all is known that was asked for */
_must_use_ int identity_faults(const Unit *u, plugin_fault_t done, void *userdata); /* what could not be found out of it, for people: plug-ins that failed */
const char *identity_origin(const Unit *u, const Tag *t); /* where a system tag comes from, for people. Static */

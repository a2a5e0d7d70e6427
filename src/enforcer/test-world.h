/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* A whole enforcer between a helper and a datapath that the test plays: it answers what is asked and keeps it, in order, for the test to look at. */

#include "enforcer/manager.h"

#define LOG_MAX 256u

typedef union HelperMessage {
        HelperHeader header;
        HelperRequest request;
        HelperUnitRequest unit;
        HelperRelease release;
        HelperAcl acl;
        HelperLocal local;
        HelperSocket socket;
        HelperSocketList list;
        HelperRecord record;
        uint8_t bytes[8192];
} HelperMessage;

typedef union DatapathMessage {
        DatapathHeader header;
        DatapathUnit unit;
        DatapathResolved resolved;
        DatapathForget forget;
        uint8_t bytes[4096];
} DatapathMessage;

typedef struct World {
        Manager *m;
        int helper, datapath;
        char credentials[64];             /* and root of the configuration */
        bool remember;                    /* it is the runtime and the state directory, too */
        const char *policy;               /* the one file of policy.d; NULL: none */
        const char *texts[8][2];          /* unit, its one file */
        HelperUnit listed[4];
        size_t n_listed;
        bool starting;                    /* of what is not among these PID 1 says that it is yet to start, else that it is not loaded */
        HelperSocket sockets[8];
        size_t n_sockets;
        int results[_HELPER_TYPE_MAX];    /* of requests; answered with 0 else */
        const char *plugin;               /* the one in metadata.d; NULL: none */
        const char *late;                 /* what PID 1 does not tell the files of in time */
        const char *selinux;              /* what GET_IDENTITY tells of every process; NULL: nothing */
        HelperCgroup cgroups[2];          /* what LIST_CGROUPS tells of */
        size_t n_cgroups;
        unsigned n_busy;                  /* so many RELEASE_UNITs (or first PROFILE_REMOVEs) are answered with -EBUSY */
        HelperMessage asked[LOG_MAX];
        size_t n_asked;
        DatapathMessage told[LOG_MAX];
        size_t n_told;
} World;

#define WORLD_PSK "CFAGRNWx3yf75NfgknDZyZXLIjInswqw6w22f/DLfAg=\n"

int world_setup(void **state);
int world_teardown(void **state);
void world_start(World *w, const char *psk);  /* until both ends are greeted and all is quiet */
void world_restart(World *w);                 /* another enforcer in its place */
void world_write_policy(const World *w);      /* w->policy, changed meanwhile */
void world_settle(World *w);                  /* until nobody has anything to say any more */
void world_wait(World *w, unsigned msec);
void world_forget(World *w);                  /* what was asked and told so far */
/* The nth message of a type since then; NULL: there was none. */
const HelperMessage *world_asked(const World *w, HelperType type, unsigned n);
const DatapathMessage *world_told(const World *w, DatapathType type, unsigned n);

void helper_send(World *w, void *message, size_t size, uint32_t serial, int fd);
void helper_event(World *w, HelperType type, const HelperUnit *unit);
HelperUnit make_unit(const char *name, uint64_t cgroup_id, HelperActive active, uint32_t flags);
void world_attach(World *w, const char *name, uint64_t cgroup_id);

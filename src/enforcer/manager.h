/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Everything the process holds, and who talks to whom. One thread, one event loop; nothing here waits for anybody. */

#include <stdbool.h>
#include <stdint.h>

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "enforcer/certificates.h"
#include "enforcer/file-cache.h"
#include "enforcer/flows.h"
#include "enforcer/keys.h"
#include "enforcer/link.h"
#include "enforcer/names.h"
#include "enforcer/peer-numbers.h"
#include "enforcer/peer.h"
#include "enforcer/profile.h"
#include "enforcer/resolve.h"
#include "enforcer/stray.h"
#include "enforcer/told.h"
#include "enforcer/unit.h"
#include "enforcer/wall-clock.h"
#include "ipc/datapath-protocol.h"
#include "ipc/helper-protocol.h"
#include "policy/config.h"
#include "policy/policy-json.h"

typedef struct IdentityFiles IdentityFiles;
typedef struct IdentityNames IdentityNames;
typedef struct KeyFetch KeyFetch;
typedef struct Load Load;
typedef struct Plugins Plugins;
typedef struct PolkitQuery PolkitQuery;
typedef struct Settle Settle;
typedef struct Waiting Waiting;

typedef struct Manager {
        sd_event *event;
        sd_event_source *refresh_timer;  /* unit tokens */
        sd_event_source *release_timer;  /* remnants */
        sd_event_source *ready_timer;
        sd_event_source *list_timer;     /* the settings of some unit could not be read */
        sd_event_source *status_timer;   /* what `systemctl status` shows has changed */
        sd_event_source *bus_timer;
        sd_event_source *settle_post;    /* while somebody waits for settles */
        sd_event_source *clock_io;       /* the wall clock was set: tokens bear wrong dates */

        Link *helper, *datapath;
        bool helper_ready, datapath_ready; /* HELLO came, with our version */
        HelperState helper_state;
        DatapathCounters counters;
        uint64_t n_flows_lost;

        sd_bus *bus;
        PolkitQuery *polkit_queries;

        char hostname[256];
        char machine_id[33];
        uint8_t node[16];                /* of this machine: the node id in PSK mode */
        char machine[33];                /* the same as text: @sys:machine */
        char *credentials, *config_root; /* as given in ManagerOptions */
        char *runtime_directory;         /* NULL: nothing survives a restart */

        Config config;
        char *config_fault;              /* not NULL: configuration or key cannot be used, every unit is denied and this is why */
        PolicyBook policies;             /* of policy.d; swapped whole, and units keep the rules they have until they are evaluated anew */
        char *policies_fault;            /* not NULL: the files there cannot be used now, this is why */
        Keys *keys;
        KeyFetch *key_fetches;
        WallClock clock;
        Certificates *certificates;
        Peers *peers;
        PeerNumbers *numbers;
        bool sweeping;                   /* number-sweep.h */
        usec_t changed_usec;             /* CLOCK_BOOTTIME: when anything that decides changed last; what was decided before may still come through */
        Link *verify;                    /* trireme-verify; NULL: not needed */
        Waiting *verify_waiting;         /* questions of the datapath that need a certificate */
        unsigned n_verify_waiting, n_verify_asked;
        bool verify_renewing;            /* all certificates are judged again; then numbers are, by them */
        bool verify_revoked;             /* connections must be cut when all answers are in */
        bool cut_waits;                  /* all connections are to be judged again as soon as all units are known: as at the start, for what changed while there was no enforcer */
        usec_t cut_wait_until_usec;      /* CLOCK_BOOTTIME: no longer than that for units whose settings could not be read. 0: nothing waits for any */
        Told *told;
        Names *rules;
        Units units;
        Strays strays;
        Profile *profiles;
        uint32_t last_profile;
        FileCache *files;
        IdentityFiles *identity_files;   /* executables */
        IdentityNames *identity_names;   /* users and groups */
        Plugins *plugins;
        Load *loads;
        Settle *settles;                 /* settle.h */
        FlowLog flows;
        bool ready;
        bool listed;                     /* the helper has listed all units, once on this connection */
        unsigned list_ended;             /* Units.listing of the last list that came to its end */
        uint64_t n_loads;                /* that were ever begun */
        bool listing, list_again;        /* it is doing so, and is to once more: one list at a time, or the end of the first would be taken for that of the second */
        bool datapath_synced;            /* it was told of all units: what it does not know then is none */
        unsigned n_loaded;             /* settings of units that were read */
        bool trim;                     /* much memory may have become free once nothing is being loaded */
        bool settled;                    /* ... and all were evaluated, or waiting for it took too long: the bus name is asked for, so that the first caller sees all */
} Manager;

typedef struct ManagerOptions {
        const char *credentials;         /* $CREDENTIALS_DIRECTORY, may be NULL */
        const char *runtime_directory;   /* $RUNTIME_DIRECTORY, may be NULL */
        const char *state_directory;     /* $STATE_DIRECTORY, may be NULL */
        const char *config_root;         /* "" or a prefix to /etc, /run, /usr/lib */
        int helper_fd, datapath_fd, inspect_fd; /* connected sockets, or -1: the usual paths */
        bool no_bus;
} ManagerOptions;

_must_use_ int manager_new(const ManagerOptions *options, Manager **ret);
Manager *manager_free(Manager *m);
DEFINE_CLEANUP(Manager *, manager_free);
_must_use_ int manager_run(Manager *m);

/* The bus came up, the helper answered, or waiting for either has lasted long enough: tell PID 1 that we are ready, once. */
void manager_set_ready(Manager *m);
/* Lists all units once more in a moment, since what one of them is set to could not be asked for. */
void manager_list_again(Manager *m);
void manager_update_status(Manager *m);
KeyTimes manager_key_times(const Manager *m);
void manager_check_settled(Manager *m, bool anyhow);

/* Configuration and every loaded unit once more; keys are key_change_reload()'s. -EINVAL: the configuration or the policies have faults
 * and those in force stay in force; *ret_text says which (yours). */
_must_use_ int manager_reload(Manager *m, char **ret_text);
/* The same for policy.d alone. What is wrong with it is logged and stands in the status. */
void manager_reload_policies(Manager *m);

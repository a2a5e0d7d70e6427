/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* enforcer <-> helper over a SOCK_SEQPACKET Unix socket (/run/trireme/helper.sock), one message a packet, host byte order (one host, one
 * build; the version in HELLO must match). Every message is one of the fixed-size structs below; a packet of any other size, an unknown type, or a
 * string without its NUL is refused and logged, never interpreted. Requests carry a serial; each is answered by exactly one HelperReply
 * with the same serial (result 0 or a negative errno), after any number of data messages with that serial. Messages with serial 0 are
 * events from the helper. The helper checks every argument again (a unit name PID 1 knows, a cgroup below its own root, an index it handed out).
 *
 * Peer check: SO_PEERCRED uid is the enforcer's user and the peer's cgroup is that of trireme.service. One enforcer at a time; a new connection replaces the old. */

#include <netinet/in.h>
#include <stdint.h>

#define HELPER_PROTOCOL_VERSION 4u
#define HELPER_SOCKET_PATH "/run/trireme/helper.sock"
#define ATTACH_SOCKET_PATH "/run/trireme/attach.sock"
#define HELPER_UNIT_NAME_MAX 256 /* systemd's UNIT_NAME_MAX, NUL included */
#define HELPER_CGROUP_MAX 1024
#define HELPER_DROPINS_MAX 120   /* descriptors in one message; kernel's SCM_MAX_FD is 253 */
#define HELPER_LEVEL_MAX 8       /* deepest cgroup level a unit may have */

typedef enum HelperType {
        HELPER_HELLO = 1,       /* both ways, first message. HelperHello */
        /* requests, enforcer -> helper */
        HELPER_LIST_UNITS,      /* HelperRequest. data: one HELPER_UNIT a loaded unit that can be a PU */
        HELPER_GET_UNIT,        /* HelperRequest(unit). data: one HELPER_UNIT */
        HELPER_OPEN_UNIT_FILES, /* HelperRequest(unit). data: HELPER_UNIT_FILES with descriptors attached (fragment first, then drop-ins in PID 1's order) */
        HELPER_CLOSE_UNIT,      /* HelperUnitRequest(unit): put the unit's present cgroup id into the maps as closed (or turn it back to closed) */
        HELPER_ENFORCE_UNIT,    /* HelperUnitRequest: index, flags, profile for a cgroup id that is in the maps */
        HELPER_RELEASE_UNIT,    /* HelperRelease: remove from the maps; -EBUSY while a process or a socket is in it, -EAGAIN while a start in it is to come, unless flags says otherwise */
        HELPER_ACL_ADD,         /* HelperAcl: one entry of a profile */
        HELPER_PROFILE_REMOVE,  /* HelperAcl(profile): all entries of a profile; -EBUSY while a unit uses it */
        HELPER_NETWORK_ADD,     /* HelperNetwork: kept until they are set */
        HELPER_NETWORK_SET,     /* HelperNetwork(kind): in one step, those added take the place of those in force */
        HELPER_LOCAL_ACCEPT,    /* HelperLocal: two units of this host may talk; later SYNs are decided in the kernel */
        HELPER_LOCAL_FORGET,    /* HelperLocal(client or server, 0 = any) */
        HELPER_ATTACH_DONE,     /* HelperUnitRequest(unit, result, reason): answer to HELPER_ATTACH; releases the attach client */
        HELPER_LIST_SOCKETS,    /* HelperSocketList. data: HELPER_SOCKET each, also of control groups below the unit's */
        HELPER_CUT_SOCKET,      /* HelperSocket: SOCK_DESTROY; only if the socket's cgroup id is (or was) in the maps */
        HELPER_CUT_FLOW,        /* HelperSocket: the same by 5-tuple; only if its conntrack entry bears our mark */
        HELPER_START_SCOPE,     /* HelperScope with one pidfd attached: make the scope around that process, attached and closed */
        HELPER_DISARM,          /* HelperRequest(usec: for how long, USEC_INFINITY until arm): let everything pass */
        HELPER_ARM,             /* HelperRequest */
        HELPER_SET_OPTIONS,     /* HelperOptions */
        HELPER_GET_STATE,       /* HelperRequest. data: HELPER_STATE */
        HELPER_RECORD,          /* HelperRecord: one journal entry about a unit (ipc/record.h writes it). journalctl -u shows OBJECT_SYSTEMD_UNIT= of uid 0 only */
        HELPER_GET_IDENTITY,    /* HelperRequest(unit). data: HELPER_CREDENTIALS once, HELPER_EXECUTABLE up to twice */
        HELPER_LIST_CGROUPS,    /* HelperRequest. data: one HELPER_CGROUP each cgroup id in the maps */
        HELPER_LIST_PLUGINS,    /* HelperRequest. data: one HELPER_PLUGIN each executable in metadata.d */
        HELPER_RUN_PLUGIN,      /* HelperPlugin(name, unit): in a sandbox. data: HELPER_PLUGIN with the reading end of its standard output; the reply comes when it has ended */
        HELPER_OPEN_LIBRARY,    /* HelperLibrary: the first of these paths that there is. data: HELPER_LIBRARY */
        /* data and events, helper -> enforcer */
        HELPER_REPLY,           /* HelperReply */
        HELPER_UNIT,            /* HelperUnit: data, and an event (serial 0) whenever ActiveState or InvocationID changed */
        HELPER_UNIT_GONE,       /* HelperUnit(unit, result): event, unloaded or no longer there */
        HELPER_UNIT_FILES,      /* HelperUnitFiles + descriptors */
        HELPER_ATTACH,          /* HelperUnit: event, an attach client waits; the cgroup id is in the maps as closed */
        HELPER_RELOADED,        /* HelperReply: event, daemon-reload finished */
        HELPER_SOCKET,          /* HelperSocket */
        HELPER_STATE,           /* HelperState: data, and an event whenever it changed */
        HELPER_CREDENTIALS,     /* HelperCredentials */
        HELPER_PLUGIN,          /* HelperPlugin */
        HELPER_EXECUTABLE,      /* HelperExecutable with one descriptor attached, a regular file open for reading */
        HELPER_CGROUP,          /* HelperCgroup */
        HELPER_LIBRARY,         /* HelperLibrary with one descriptor attached, a regular file open for reading */
        _HELPER_TYPE_MAX,
} HelperType;

typedef struct HelperHeader {
        uint32_t type;   /* HelperType */
        uint32_t serial; /* 0: event */
} HelperHeader;

typedef struct HelperHello {
        HelperHeader header;
        uint32_t version;
        uint32_t reserved;
} HelperHello;

typedef struct HelperReply {
        HelperHeader header;
        int32_t result; /* 0 or -errno */
        uint32_t reserved;
} HelperReply;

typedef struct HelperRequest {
        HelperHeader header;
        char unit[HELPER_UNIT_NAME_MAX];
        uint64_t usec;
} HelperRequest;

#define HELPER_RESULT_MAX 32

/* Mirrors systemd's UnitActiveState, only what matters here. */
typedef enum HelperActive {
        HELPER_INACTIVE,     /* inactive, failed */
        HELPER_ACTIVATING,
        HELPER_ACTIVE,       /* active, reloading */
        HELPER_DEACTIVATING,
} HelperActive;

typedef enum HelperUnitFlags {
        HELPER_UNIT_ATTACHED = 1 << 0,       /* its cgroup id is in the maps */
        HELPER_UNIT_OWN_NETWORK = 1 << 1,    /* PrivateNetwork=, NetworkNamespacePath=, JoinsNamespaceOf=: our table does not see it */
        HELPER_UNIT_TOO_DEEP = 1 << 2,       /* below HELPER_LEVEL_MAX */
        HELPER_UNIT_FOREIGN_LISTENER = 1 << 3, /* socket unit whose listener is not in its cgroup */
        HELPER_UNIT_FAILED = 1 << 4,         /* ActiveState=failed */
        HELPER_UNIT_JOB = 1 << 5,            /* PID 1 has a job for it: an inactive one is about to start */
        HELPER_UNIT_TREE = 1 << 6,           /* a slice, or Delegate=: there may be control groups below its own */
} HelperUnitFlags;

typedef struct HelperUnit {
        HelperHeader header;
        char unit[HELPER_UNIT_NAME_MAX];         /* primary name (Id) */
        char triggers[HELPER_UNIT_NAME_MAX];     /* socket units: the service they trigger; else empty */
        char slice[HELPER_UNIT_NAME_MAX];        /* Slice=; for a slice unit the slice above; empty for the root slice */
        char cgroup[HELPER_CGROUP_MAX];          /* path below the cgroup root, "/system.slice/x.service"; empty when it has none */
        char result[HELPER_RESULT_MAX];          /* Result= property ("success", "oom-kill", ...); empty when it has none */
        uint64_t cgroup_id;                      /* inode of the directory, 0 when it has none */
        uint8_t invocation_id[16];
        uint32_t main_pid;                       /* 0: none */
        uint32_t level;                          /* depth of cgroup: system.slice/x.service is 2 */
        uint32_t active;                         /* HelperActive */
        uint32_t flags;                          /* HelperUnitFlags */
        uint32_t index;                          /* as last enforced for this cgroup id, 0: never; a new enforcer takes it over, so that no index ever means two units */
        uint32_t reserved;
} HelperUnit;

/* An enforcer that was away while units ended finds here what they left in the maps. */
typedef struct HelperCgroup {
        HelperHeader header;
        uint64_t cgroup_id;
        uint32_t index;                          /* 0: never enforced */
        uint32_t reserved;
} HelperCgroup;

typedef struct HelperUnitFiles {
        HelperHeader header;
        uint32_t n_files;                        /* == number of descriptors attached */
        uint32_t reserved;
        char paths[HELPER_DROPINS_MAX][512];     /* for messages only; a longer path is cut, the descriptor counts */
} HelperUnitFiles;

#define HELPER_RELEASE_TREE (1u << 30)       /* of a unit that may have had control groups below its own, which bore sockets of their own */
#define HELPER_RELEASE_UNLABELLED (1u << 31) /* a running unit that is no longer labelled (or TriremeMode=off): it is let go with its processes and sockets */

typedef struct HelperRelease {
        HelperHeader header;
        char unit[HELPER_UNIT_NAME_MAX];         /* empty: not known */
        uint64_t cgroup_id;
        uint32_t index;
        uint32_t flags;                          /* HELPER_RELEASE_*, one or none */
        char cgroup[HELPER_CGROUP_MAX];          /* where it is or was, believed only if it is that id's; empty: not known */
} HelperRelease;

typedef struct HelperUnitRequest {
        HelperHeader header;
        char unit[HELPER_UNIT_NAME_MAX];
        uint64_t cgroup_id;
        uint32_t index;    /* 1 .. UNIT_INDEX_MAX */
        uint32_t flags;    /* REQUEST_UNIT_* of ipc/marks.h */
        uint32_t profile;  /* ACL profile, 0: no ACL */
        int32_t result;    /* ATTACH_DONE: 0 or -errno */
        char reason[256];  /* ATTACH_DONE: shown by the attach client; printable ASCII, checked by the helper */
} HelperUnitRequest;

typedef enum HelperAclDirection { HELPER_ACL_ACCEPT_FROM = 1, HELPER_ACL_CONNECT_TO = 2 } HelperAclDirection;

typedef struct HelperAcl {
        HelperHeader header;
        uint32_t profile;
        uint32_t direction;    /* HelperAclDirection */
        uint32_t action;       /* 0 accept, 1 reject (reject beats accept), 2 accept and record */
        uint32_t family;       /* AF_INET, AF_INET6 */
        struct in6_addr address; /* AF_INET: first four bytes */
        uint32_t prefix_len;
        uint32_t protocol;     /* IPPROTO_TCP, UDP, ICMP, ICMPV6 */
        uint16_t port_first, port_last; /* host order; icmp: 0, 65535 */
        uint32_t reserved;
} HelperAcl;

typedef enum HelperNetworkKind { HELPER_NETWORK_ALL, HELPER_NETWORK_TARGET, HELPER_NETWORK_EXCLUDED, HELPER_NETWORK_FAILSAFE } HelperNetworkKind; /* ALL: SET only */

typedef struct HelperNetwork {
        HelperHeader header;
        uint32_t kind;
        uint32_t family;
        struct in6_addr address;
        uint32_t prefix_len;
        uint32_t protocol;              /* FAILSAFE only; 0 any */
        uint16_t port_first, port_last; /* FAILSAFE only */
        uint32_t reserved;
} HelperNetwork;

typedef struct HelperLocal {
        HelperHeader header;
        uint32_t client, server; /* unit indices */
        uint32_t port;           /* server port, 0: any (the rules do not look at @port) */
        uint32_t reserved;
} HelperLocal;

typedef struct HelperSocketList {
        HelperHeader header;
        uint64_t cgroup_id;                      /* of a unit in the maps */
        uint32_t tree;                           /* 1: there may have been control groups below it */
        uint32_t reserved;
        char cgroup[HELPER_CGROUP_MAX];          /* where it is or was; believed only if it is that id's */
} HelperSocketList;

typedef struct HelperSocket {
        HelperHeader header;
        uint64_t cgroup_id;
        uint8_t family, protocol, state, reserved; /* state: TCP_* of linux/tcp_states */
        uint16_t sport, dport;                     /* host order; s: local side */
        struct in6_addr saddr, daddr;              /* AF_INET: first four bytes */
        uint32_t cookie[2];
        /* in data only: what its conntrack entry says, and who has the other end */
        uint32_t mark;                             /* our bits (CTMARK_*), from the lowest on; 0: no entry, or not one of ours */
        uint32_t client;                           /* 1: the entry was opened from this end */
        uint32_t peer;                             /* both ends authorized here: index of the unit of the other end's socket, 0: not found */
        uint32_t reserved2;
} HelperSocket;

typedef struct HelperScope {
        HelperHeader header;
        uint8_t id[16]; /* the scope is trireme-run-<32 hex digits>.scope in trireme.slice */
        uint32_t uid;   /* the process must belong to this uid */
        uint32_t reserved;
} HelperScope;

typedef enum HelperRecordKind { HELPER_RECORD_FLOW = 1, HELPER_RECORD_SETTINGS } HelperRecordKind;

/* The message is the helper's; the texts below are fields of it: NUL-terminated printable ASCII, or the request is refused. */
typedef struct HelperRecord {
        HelperHeader header;
        uint32_t kind;             /* HelperRecordKind; SETTINGS uses unit, reason and text only */
        uint32_t suppressed;       /* entries about this unit left out since the last one */
        char unit[HELPER_UNIT_NAME_MAX];
        char peer_unit[HELPER_UNIT_NAME_MAX];
        char reason[64];           /* policy/reason.h */
        char rule[512];            /* FLOW: name of the rule */
        char text[1024];           /* FLOW: the peer's labels; SETTINGS: what is wrong, with file and line */
        uint8_t family, protocol;
        uint8_t connect;           /* 1: the unit is the client */
        uint8_t observed;          /* 1: let pass, would have been denied */
        uint8_t claimed;           /* 1: the peer's labels are not proven */
        uint8_t logged;            /* 1: accepted, by a rule whose action is to log */
        uint8_t reserved[2];
        uint16_t sport, dport;     /* host order */
        struct in6_addr saddr, daddr; /* client, server; IPv4 as ::ffff:a.b.c.d, unlike the requests above */
        uint32_t reserved2;
} HelperRecord;

#define HELPER_PATH_MAX 1024
#define HELPER_GROUPS_MAX 64u
#define HELPER_NAME_MAX 256

/* HELPER_FROM_PROCESS: read from the unit's main process (without one, the oldest in its control group), which was in the unit's control group before and after. Else it is
 * what PID 1 is about to start. */
typedef enum HelperIdentityFlags {
        HELPER_FROM_PROCESS = 1 << 0,
        HELPER_PATH_IS_FILE = 1 << 1,   /* EXECUTABLE: the path leads to this very file */
        HELPER_DYNAMIC_USER = 1 << 2,   /* CREDENTIALS: DynamicUser= */
        HELPER_GROUPS_CUT = 1 << 3,     /* CREDENTIALS: there are more supplementary groups */
        HELPER_OTHER_ROOT = 1 << 4,     /* EXECUTABLE of the settings: below a RootDirectory= */
} HelperIdentityFlags;

/* From the process: the numbers and labels. Before it: the names as in SupplementaryGroups= (numbers may stand there, too). Always the names in User= and Group=, empty
 * where not set: of a dynamic user nobody else may know the name. */
typedef struct HelperCredentials {
        HelperHeader header;
        uint32_t flags;
        uint32_t pid;
        uint32_t uid, gid;                       /* the effective ones */
        uint32_t n_groups;                       /* of groups, or of group_names */
        uint32_t reserved;
        uint32_t groups[HELPER_GROUPS_MAX];
        char user[HELPER_NAME_MAX], group[HELPER_NAME_MAX];
        char group_names[HELPER_GROUPS_MAX][64];
        char selinux[HELPER_NAME_MAX], apparmor[HELPER_NAME_MAX]; /* empty: none, or not known */
} HelperCredentials;

/* Before the start: the first ExecStart=, if nobody but root can change what stands there (no directory, link or file on the way is writable for others). */
typedef struct HelperExecutable {
        HelperHeader header;
        uint32_t flags;
        uint32_t pid;
        char path[HELPER_PATH_MAX];              /* empty: not known */
} HelperExecutable;

#define HELPER_LIBRARY_PATHS_MAX 16u
#define HELPER_LIBRARY_PATH_MAX 256

/* Of the paths only those count that lead to what nobody but root can change, everybody may read, and is named like a library. As the process sees them: below its root
 * directory, among its mounts. */
typedef struct HelperLibrary {
        HelperHeader header;
        char unit[HELPER_UNIT_NAME_MAX];
        uint32_t pid;                            /* in the unit's control group; 0: before the start, as this host has them */
        uint32_t n_paths;                        /* in data: the number of the one it is */
        char paths[HELPER_LIBRARY_PATHS_MAX][HELPER_LIBRARY_PATH_MAX];
} HelperLibrary;

#define HELPER_PLUGIN_NAME_MAX 32
typedef struct HelperPlugin {
        HelperHeader header;
        char unit[HELPER_UNIT_NAME_MAX];         /* empty in a list */
        char name[HELPER_PLUGIN_NAME_MAX];
} HelperPlugin;

typedef struct HelperOptions {
        HelperHeader header;
        uint32_t conntrack_mark_mask; /* CTMARK_BITS contiguous bits */
        uint32_t deny_drop;           /* DenyAction=drop for remote peers */
        uint32_t failure_open;        /* FailureMode=open */
        uint32_t reserved;
} HelperOptions;

typedef struct HelperState {
        HelperHeader header;
        uint64_t disarmed_until_usec; /* CLOCK_BOOTTIME; 0 armed, USEC_INFINITY until arm */
        uint32_t n_units;             /* cgroup ids in the maps */
        uint32_t n_closed;
        uint32_t native_queue;        /* 1: nft_queue, 0: nft_compat's NFQUEUE target */
        uint32_t table_lost;          /* times the table had to be made anew */
} HelperState;

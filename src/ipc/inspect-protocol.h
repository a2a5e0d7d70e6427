/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* enforcer <-> trireme-inspect over a SOCK_SEQPACKET Unix socket, one message a packet, host byte order. Each request is an InspectRequest with one descriptor
 * attached, a regular file opened for reading, and is answered by at most one data message and then one InspectReply, all with its serial. Requests are worked
 * on side by side, so that a short one never waits for a long one; answers come in any order. A worker that dies answers nothing more. */

#include <stdint.h>

#define INSPECT_SOCKET_PATH "/run/trireme/inspect.sock"
#define INSPECT_JOBS_MAX 16u          /* under way at once; further requests wait in the socket */
#define INSPECT_FILE_MAX (4ull << 30) /* bytes; a longer file is refused, -EFBIG: no program is that long */
#define INSPECT_STALL_SEC 10u         /* a worker that a single read keeps this long (a dead network file system) ends itself */

typedef enum InspectType {
        INSPECT_HASH = 1, /* data: INSPECT_HASHED */
        INSPECT_PROGRAM,  /* data: INSPECT_PROGRAM_INFO */
        INSPECT_LIBRARY,  /* of an ld.so.cache, with the name of a library. data: INSPECT_LIBRARY_PATH */
        /* answers */
        INSPECT_HASHED,       /* InspectHashed */
        INSPECT_PROGRAM_INFO, /* InspectProgramInfo */
        INSPECT_LIBRARY_PATH, /* InspectLibraryPath */
        INSPECT_REPLY,        /* InspectReply */
        _INSPECT_TYPE_MAX,
} InspectType;

typedef struct InspectHeader {
        uint32_t type;
        uint32_t serial;
} InspectHeader;

typedef struct InspectReply {
        InspectHeader header;
        int32_t result; /* 0; -EFBIG, -EAGAIN (the file changed while it was read), -EBADMSG (no such program, or cache), -ENOENT (no such library), or what reading it said */
        uint32_t reserved;
} InspectReply;

typedef struct InspectHashed {
        InspectHeader header;
        uint8_t sha256[32];
} InspectHashed;

#define PROGRAM_NAME_MAX 128u
#define PROGRAM_PATH_MAX 256u     /* BINPRM_BUF_SIZE: the kernel reads no longer first line */
#define PROGRAM_NEEDED_MAX 64u
#define PROGRAM_BUILD_ID_MAX 32u

typedef struct InspectRequest {
        InspectHeader header;
        char name[PROGRAM_NAME_MAX]; /* LIBRARY: which; else empty */
} InspectRequest;

typedef struct InspectLibraryPath {
        InspectHeader header;
        char path[PROGRAM_PATH_MAX];
} InspectLibraryPath;

typedef enum ProgramFlags {
        PROGRAM_RUN_PATH = 1 << 0, /* DT_RUNPATH: for its own libraries, and where it is, no DT_RPATH counts */
        PROGRAM_R_PATH = 1 << 1,   /* DT_RPATH: also for the libraries of its libraries */
        PROGRAM_FOREIGN = 1 << 2,  /* of another kind of machine than this one, or of other word length */
} ProgramFlags;

typedef enum ProgramKind { PROGRAM_OTHER, PROGRAM_ELF, PROGRAM_SCRIPT } ProgramKind;

/* Text is NUL-terminated UTF-8 without control characters, empty where there is none. */
typedef struct ProgramInfo {
        uint32_t kind;                       /* ProgramKind */
        uint32_t n_needed;                   /* DT_NEEDED */
        uint32_t build_id_len;
        uint32_t flags;                      /* ProgramFlags */
        char interpreter[PROGRAM_PATH_MAX];  /* PT_INTERP, or what stands behind "#!" */
        char argument[PROGRAM_PATH_MAX];     /* script: the rest of that line */
        char soname[PROGRAM_NAME_MAX];       /* DT_SONAME */
        char run_path[PROGRAM_PATH_MAX];     /* DT_RUNPATH, else DT_RPATH: only one of these two flags is set */
        uint8_t build_id[PROGRAM_BUILD_ID_MAX];
        char needed[PROGRAM_NEEDED_MAX][PROGRAM_NAME_MAX];
} ProgramInfo;

typedef struct InspectProgramInfo {
        InspectHeader header;
        ProgramInfo program;
} InspectProgramInfo;

/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What is known of the contents of executables, by the identity of the file and the time of its last change. In memory only: a hash is as true as the kernel's
 * word that the file is still that one. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <systemd/sd-event.h>

#include "enforcer/identity-inspect.h"
#include "ipc/inspect-protocol.h"
#include "util/macro.h"

#define IDENTITY_FILES_MAX 1024u /* executables of labelled units; those nobody waits for are forgotten when it is full */

typedef struct FileKey {
        dev_t device;
        ino_t inode;
        int64_t size, ctime_sec, ctime_nsec;
} FileKey;

_must_use_ int file_key_of(int fd, FileKey *ret);
bool file_key_same_file(const FileKey *a, const FileKey *b); /* perhaps changed */

typedef struct FileFacts {
        FileKey key;
        char sha256[65];           /* lower case; empty: not known (yet) */
        bool has_program;
        ProgramKind kind;
        uint32_t flags;            /* ProgramFlags */
        char *interpreter, *argument, *run_path;
        char **needed;
        size_t n_needed;
} FileFacts;

typedef struct IdentityFiles IdentityFiles;
/* Something new is known of a file. */
typedef void (*file_ready_t)(const FileFacts *facts, void *userdata);

/* inspect_fd: a socket connected to the inspection, or -1: the usual path. */
_must_use_ int identity_files_new(sd_event *event, int inspect_fd, file_ready_t ready, void *userdata, IdentityFiles **ret);
IdentityFiles *identity_files_free(IdentityFiles *f);
DEFINE_CLEANUP(IdentityFiles *, identity_files_free);

/* Begins to find out what is not known yet of the file behind fd. */
_must_use_ int identity_files_look(IdentityFiles *f, int fd, const FileKey *key);
const FileFacts *identity_files_get(const IdentityFiles *f, const FileKey *key); /* NULL: never looked at, or forgotten. Until the next look */
bool identity_files_waits(const IdentityFiles *f, const FileKey *key); /* for an answer about it */
Inspector *identity_files_inspector(const IdentityFiles *f); /* borrowed */

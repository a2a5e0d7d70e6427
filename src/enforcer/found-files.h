/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Files of ours in /etc/trireme, /run/trireme, /usr/local/lib/trireme and /usr/lib/trireme, found as systemd finds such files: of equal names the first of these
 * directories wins; an empty file or a link to /dev/null masks. */

#include <stddef.h>

#include "policy/config-file.h"
#include "util/macro.h"

#define FOUND_FILES_MAX 256u

typedef struct FoundFile {
        char *path;
        const char *name;  /* in path */
        char *data;        /* NULL: masked, or not read yet */
        size_t size;
} FoundFile;

typedef struct FoundFiles {
        FoundFile files[FOUND_FILES_MAX];
        size_t n_files;
} FoundFiles;

void found_files_done(FoundFiles *f);
/* root: "" or a prefix for tests. Both append to *f. -E2BIG, -ENOMEM, or what the directory says. */
_must_use_ int found_files_add_first(FoundFiles *f, const char *root, const char *name);                              /* the first of that name, if any */
_must_use_ int found_files_add_directory(FoundFiles *f, const char *root, const char *name, const char *suffix);      /* those in directories of that name, sorted */
/* Reads them all. Whatever fails, *ret_text says which file it was (yours; NULL: out of memory). */
_must_use_ int found_files_read(FoundFiles *f, size_t size_max, char **ret_text);
ConfigFile found_file_config(const FoundFile *f); /* borrowed */

/* "PATH: what error means" for people; returns error, or -ENOMEM. */
_must_use_ int found_file_fault(const char *path, int error, char **ret_text);

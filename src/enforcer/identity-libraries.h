/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Which libraries the loader gives to a program: those that it needs and those that they need, found as ld.so(8) finds them: DT_RPATH and DT_RUNPATH with $ORIGIN, ld.so.cache, the usual
 * directories. Not told by the process: what LD_LIBRARY_PATH= or LD_PRELOAD= of its environment add, or dlopen(3), is not among them. Found once for a program and a process: what is
 * replaced on disk counts from the next start. One step after the other, each an answer of the helper (which opens) or of the inspection (which reads). */

#include "enforcer/identity-files.h"
#include "enforcer/manager.h"

#define LIBRARIES_MAX 64u /* each two tags of 256; a program with more has none of this family */

typedef struct Libraries Libraries;
typedef void (*libraries_ready_t)(Libraries *l, void *userdata); /* it is whole, or given up */

typedef struct LibrariesProgram {
        const char *unit;
        uint32_t pid;            /* 0: before the start */
        const char *path;        /* of the program; "" when not known */
        const FileFacts *facts;  /* has_program, an ELF file */
} LibrariesProgram;

/* ready is called from the event loop, not by this, and not after libraries_free(). A program that needs none is whole at once. */
_must_use_ int libraries_find(Manager *m, const LibrariesProgram *program, libraries_ready_t ready, void *userdata, Libraries **ret);
Libraries *libraries_free(Libraries *l);
bool libraries_is_of_file(const Libraries *l, const FileKey *key); /* perhaps changed */
bool libraries_is_of(const Libraries *l, uint32_t pid, const FileKey *key);
bool libraries_is_whole(const Libraries *l);
bool libraries_is_ended(const Libraries *l); /* whole, or given up */
bool libraries_is_lost(const Libraries *l); /* helper or inspection went away: worth another try */
size_t libraries_count(const Libraries *l);
/* The name by which it is needed, and where it is, as ldd(1) prints both. */
const char *libraries_name(const Libraries *l, size_t i);
const char *libraries_path(const Libraries *l, size_t i);

/* Where the loader looks for a library that object needs, before ld.so.cache: run_path is colon-separated, origin the directory of the object. Appends; -E2BIG: too many or too long;
 * -EOPNOTSUPP: what this does not know ($LIB, $PLATFORM, relative directories). Pure. */
typedef struct LibraryPaths {
        size_t n;
        char paths[HELPER_LIBRARY_PATHS_MAX][HELPER_LIBRARY_PATH_MAX];
} LibraryPaths;
_must_use_ int library_paths_add(LibraryPaths *p, const char *directories, const char *origin, const char *name);

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/identity-libraries.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "enforcer/helper-client.h"
#include "util/fd.h"
#include "util/log.h"

#define CACHE_PATH "/etc/ld.so.cache"

#if defined(__x86_64__)
#define TRIPLET "x86_64-linux-gnu"
#elif defined(__i386__)
#define TRIPLET "i386-linux-gnu"
#elif defined(__aarch64__)
#define TRIPLET "aarch64-linux-gnu"
#elif defined(__arm__)
#define TRIPLET "arm-linux-gnueabihf"
#elif defined(__powerpc64__)
#define TRIPLET "powerpc64le-linux-gnu"
#elif defined(__s390x__)
#define TRIPLET "s390x-linux-gnu"
#else
#define TRIPLET "riscv64-linux-gnu"
#endif
#define DEFAULT_DIRECTORIES "/lib/" TRIPLET ":/usr/lib/" TRIPLET ":/lib64:/usr/lib64:/lib:/usr/lib" /* of Debian's loader, then of others' */

typedef struct Object {
        char *name, *path, *run_path;
        uint32_t flags;      /* ProgramFlags */
        size_t parent;       /* who needs it: an earlier object */
} Object;

struct Libraries {
        Manager *manager;
        char unit[HELPER_UNIT_NAME_MAX];
        uint32_t pid;
        FileKey key;
        Object objects[1 + LIBRARIES_MAX]; /* the program first */
        size_t n, at;        /* at: the one that is being found */
        int cache_fd, file_fd;
        int result;
        bool ended, waiting, orphan; /* an orphan lives until its answer has come */
        libraries_ready_t ready;
        void *userdata;
};

/* ---- where the loader looks ---- */

static int path_add(LibraryPaths *p, const char *directory, size_t n, const char *name) {
        int len;

        if (p->n >= HELPER_LIBRARY_PATHS_MAX)
                return -E2BIG;
        len = snprintf(p->paths[p->n], sizeof(p->paths[0]), "%.*s/%s", (int) n, directory, name);
        if (len < 0 || (size_t) len >= sizeof(p->paths[0]))
                return -E2BIG;
        p->n++;
        return 0;
}

static int directory_add(LibraryPaths *p, const char *directory, size_t n, const char *origin, const char *name) {
        static const char *const words[] = { "$ORIGIN", "${ORIGIN}" };
        char text[HELPER_LIBRARY_PATH_MAX];

        for (size_t i = 0; i < ELEMENTSOF(words); i++) {
                size_t len = strlen(words[i]);

                if (n < len || strncmp(directory, words[i], len) != 0 || (n > len && directory[len] != '/'))
                        continue;
                if (!origin[0])
                        return -EOPNOTSUPP;
                if (snprintf(text, sizeof(text), "%s%.*s", origin, (int) (n - len), directory + len) >= (int) sizeof(text))
                        return -E2BIG;
                return strchr(text, '$') ? -EOPNOTSUPP : path_add(p, text, strlen(text), name);
        }
        return directory[0] != '/' || memchr(directory, '$', n) ? -EOPNOTSUPP : path_add(p, directory, n, name);
}

int library_paths_add(LibraryPaths *p, const char *directories, const char *origin, const char *name) {
        int r = 0;

        for (const char *s = directories; r >= 0 && *s;) {
                size_t n = strcspn(s, ":");

                if (n > 0)
                        r = directory_add(p, s, n, origin, name);
                s += n + (s[n] == ':');
        }
        return r;
}

static int origin_add(LibraryPaths *p, const Object *o, const char *name) {
        const char *slash = o->path ? strrchr(o->path, '/') : NULL;
        char origin[HELPER_PATH_MAX] = "";

        if (slash && (size_t) (slash - o->path) < sizeof(origin))
                memcpy(origin, o->path, (size_t) (slash - o->path));
        return library_paths_add(p, o->run_path, origin, name);
}

/* ld.so(8): DT_RPATH of the object that needs it and of those through which it is needed, unless the first has a DT_RUNPATH; then that. */
static int run_paths_add(LibraryPaths *p, const Libraries *l, const Object *library) {
        const Object *needs = &l->objects[library->parent];
        int r = 0;

        if (needs->flags & PROGRAM_RUN_PATH)
                return origin_add(p, needs, library->name);
        for (const Object *o = needs;; o = &l->objects[o->parent]) {
                if (o->flags & PROGRAM_R_PATH)
                        r = origin_add(p, o, library->name);
                if (r < 0 || o == l->objects)
                        return r;
        }
}

static int path_take(LibraryPaths *p, const char *path) {
        if (p->n >= HELPER_LIBRARY_PATHS_MAX || strlen(path) >= sizeof(p->paths[0]))
                return -E2BIG;
        strcpy(p->paths[p->n++], path);
        return 0;
}

/* The helper opens nothing else. */
static bool is_named_like_a_library(const char *path) {
        const char *slash = strrchr(path, '/');

        return strstr(slash ?: path, ".so");
}

static int paths_make(const Libraries *l, const char *cached, LibraryPaths *p) {
        const Object *library = &l->objects[l->at];
        int r;

        if (!is_named_like_a_library(library->name) || (cached[0] && (cached[0] != '/' || !is_named_like_a_library(cached))))
                return -EOPNOTSUPP;
        if (library->name[0] == '/')
                return path_take(p, library->name);
        if (strchr(library->name, '/')) /* from wherever the process happens to be */
                return -EOPNOTSUPP;
        r = run_paths_add(p, l, library);
        if (r >= 0 && cached[0])
                r = path_take(p, cached);
        return r < 0 ? r : library_paths_add(p, DEFAULT_DIRECTORIES, "", library->name);
}

/* ---- what is kept ---- */

static void forget(int *fd) {
        closep(fd);
        *fd = -1;
}

static void really_free(Libraries *l) {
        for (size_t i = 0; i < l->n; i++) {
                free(l->objects[i].name);
                free(l->objects[i].path);
                free(l->objects[i].run_path);
        }
        closep(&l->cache_fd);
        closep(&l->file_fd);
        free(l);
}

Libraries *libraries_free(Libraries *l) {
        if (!l)
                return NULL;
        if (l->waiting)
                l->orphan = true;
        else
                really_free(l);
        return NULL;
}

static int object_add(Libraries *l, const char *name, size_t parent) {
        Object *o = &l->objects[l->n];

        for (size_t i = 1; i < l->n; i++)
                if (streq(l->objects[i].name, name))
                        return 0;
        if (l->n >= ELEMENTSOF(l->objects))
                return -E2BIG;
        *o = (Object) { .name = strdup(name), .parent = parent };
        l->n++;
        return o->name ? 0 : -ENOMEM;
}

/* ---- step by step ---- */

static int find_next(Libraries *l);

static void end(Libraries *l, int result) {
        l->ended = true;
        l->result = result;
        forget(&l->cache_fd);
        forget(&l->file_fd);
        if (result < 0 && result != -ECONNRESET)
                log_debug_errno(result, "Cannot find the libraries of %s at %s", l->unit, l->at < l->n ? l->objects[l->at].name : "the end");
        if (result != -ECONNRESET) /* whoever is on the other end next is asked anew */
                l->ready(l, l->userdata);
}

/* An answer has come: what follows from it, unless nobody wants it any more. */
static void go_on(Libraries *l, int result) {
        l->waiting = false;
        if (l->orphan) {
                really_free(l);
                return;
        }
        if (result >= 0)
                result = find_next(l);
        if (result < 0)
                end(l, result);
        else if (l->at == l->n)
                end(l, 0);
}

static void on_program(const InspectHeader *data, int result, void *userdata) {
        const InspectProgramInfo *info = (const InspectProgramInfo *) data;
        Libraries *l = userdata;
        Object *o = &l->objects[l->at];

        forget(&l->file_fd);
        if (data && (info->program.kind != PROGRAM_ELF || info->program.flags & PROGRAM_FOREIGN || info->program.n_needed > PROGRAM_NEEDED_MAX))
                result = -ENOEXEC;
        if (data && result >= 0) {
                o->flags = info->program.flags;
                o->run_path = strndup(info->program.run_path, sizeof(info->program.run_path));
                result = o->run_path ? 0 : -ENOMEM;
                for (uint32_t i = 0; result >= 0 && i < info->program.n_needed; i++)
                        result = object_add(l, info->program.needed[i], l->at);
                l->at++;
        }
        go_on(l, result);
}

static int take_file(Libraries *l, const LinkMessage *msg) {
        const HelperLibrary *data = (const HelperLibrary *) msg->header;

        if (msg->header->type != HELPER_LIBRARY || msg->len != sizeof(*data) || msg->n_fds != 1 || data->n_paths >= HELPER_LIBRARY_PATHS_MAX || l->file_fd >= 0)
                return -EBADMSG;
        l->file_fd = TAKE_FD(msg->fds[0]);
        return 0;
}

static void take_path(Libraries *l, const HelperLibrary *data) {
        Object *o = &l->objects[l->at];

        free(o->path);
        o->path = strndup(data->paths[data->n_paths], sizeof(data->paths[0]));
        if (!o->path)
                forget(&l->file_fd); /* as if there were none */
}

static void on_opened(Link *link, const LinkMessage *msg, int result, void *userdata) {
        Libraries *l = userdata;

        if (msg) {
                if (take_file(l, msg) < 0)
                        log_error("An answer about libraries that is none");
                else
                        take_path(l, (const HelperLibrary *) msg->header);
                return;
        }
        if (result >= 0 && l->file_fd < 0)
                result = -EBADMSG;
        if (result >= 0 && !l->orphan)
                result = inspector_ask(identity_files_inspector(l->manager->identity_files), INSPECT_PROGRAM, "", l->file_fd, on_program, l);
        if (result < 0 || l->orphan)
                go_on(l, result);
}

static int open_first(Libraries *l, const LibraryPaths *p, link_answer_t answer) {
        _cleanup_free_ HelperLibrary *request = calloc(1, sizeof(*request));

        if (!request)
                return -ENOMEM;
        strcpy(request->unit, l->unit);
        request->pid = l->pid;
        request->n_paths = (uint32_t) p->n;
        memcpy(request->paths, p->paths, p->n * sizeof(p->paths[0]));
        return helper_open_library(l->manager, request, answer, l);
}

static int open_library(Libraries *l, const char *cached) {
        _cleanup_free_ LibraryPaths *p = calloc(1, sizeof(*p));
        int r = p ? paths_make(l, cached, p) : -ENOMEM;

        return r < 0 ? r : open_first(l, p, on_opened);
}

static void on_cached(const InspectHeader *data, int result, void *userdata) {
        Libraries *l = userdata;

        if (data || result == -ENOENT)
                result = l->orphan ? 0 : open_library(l, data ? ((const InspectLibraryPath *) data)->path : "");
        if (result < 0 || l->orphan)
                go_on(l, result);
}

static int find_next(Libraries *l) {
        int r = 0;

        if (l->at == l->n)
                return 0;
        if (l->cache_fd >= 0 && !strchr(l->objects[l->at].name, '/'))
                r = inspector_ask(identity_files_inspector(l->manager->identity_files), INSPECT_LIBRARY, l->objects[l->at].name, l->cache_fd, on_cached, l);
        else
                r = open_library(l, "");
        l->waiting = r >= 0;
        return r;
}

static void on_cache(Link *link, const LinkMessage *msg, int result, void *userdata) {
        Libraries *l = userdata;

        if (msg) {
                if (take_file(l, msg) < 0)
                        log_error("An answer about the loader's cache that is none");
                return;
        }
        l->cache_fd = TAKE_FD(l->file_fd);
        go_on(l, result == -ENOENT ? 0 : result); /* other loaders than glibc's have none */
}

static int start(Libraries *l, const LibrariesProgram *program) {
        static const LibraryPaths cache = { .n = 1, .paths = { CACHE_PATH } };
        Object *o = &l->objects[0];
        int r = 0;

        if (program->facts->kind != PROGRAM_ELF || program->facts->flags & PROGRAM_FOREIGN)
                return -ENOEXEC;
        *o = (Object) { .path = strdup(program->path), .run_path = strdup(program->facts->run_path), .flags = program->facts->flags };
        l->n = l->at = 1;
        if (!o->path || !o->run_path)
                return -ENOMEM;
        for (size_t i = 0; r >= 0 && i < program->facts->n_needed; i++)
                r = object_add(l, program->facts->needed[i], 0);
        if (r < 0 || l->n == 1) {
                l->ended = true; /* linked statically */
                return r;
        }
        r = open_first(l, &cache, on_cache);
        l->waiting = r >= 0;
        return r;
}

int libraries_find(Manager *m, const LibrariesProgram *program, libraries_ready_t ready, void *userdata, Libraries **ret) {
        Libraries *l = calloc(1, sizeof(*l));
        int r;

        if (!l)
                return -ENOMEM;
        *l = (Libraries) { .manager = m, .pid = program->pid, .key = program->facts->key, .cache_fd = -1, .file_fd = -1, .ready = ready, .userdata = userdata };
        (void) snprintf(l->unit, sizeof(l->unit), "%s", program->unit);
        r = start(l, program);
        if (r == -ENOMEM) {
                really_free(l);
                return r;
        }
        if (r < 0) {
                l->ended = true;
                l->result = r;
        }
        *ret = l;
        return 0;
}

/* ---- what was found ---- */

bool libraries_is_of_file(const Libraries *l, const FileKey *key) {
        return file_key_same_file(&l->key, key);
}

bool libraries_is_of(const Libraries *l, uint32_t pid, const FileKey *key) {
        return l->pid == pid && libraries_is_of_file(l, key);
}

bool libraries_is_whole(const Libraries *l) {
        return l->ended && l->result >= 0;
}

bool libraries_is_ended(const Libraries *l) {
        return l->ended;
}

bool libraries_is_lost(const Libraries *l) {
        return l->ended && (l->result == -ECONNRESET || l->result == -ENOTCONN);
}

size_t libraries_count(const Libraries *l) {
        return l->n - 1;
}

const char *libraries_name(const Libraries *l, size_t i) {
        return l->objects[1 + i].name;
}

const char *libraries_path(const Libraries *l, size_t i) {
        return l->objects[1 + i].path;
}

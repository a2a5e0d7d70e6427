/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/identity-files.h"

#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <sys/stat.h>

#include "enforcer/identity-inspect.h"
#include "util/clock.h"
#include "util/log.h"

/* The time of change has the kernel's tick as its unit (10 ms at most): a change in the same tick after the hash would not show. Ten times that. */
#define TOO_NEW_USEC (100 * USEC_PER_MSEC)

typedef struct Entry {
        FileFacts facts;         /* first: the tree compares keys */
        IdentityFiles *files;
        unsigned n_waiting;      /* answers to come */
        bool hash_asked, program_asked;
        bool too_new;            /* when it was hashed: to be hashed again */
} Entry;

struct IdentityFiles {
        Inspector *inspector;
        void *tree;
        unsigned n_entries;
        file_ready_t ready;
        void *userdata;
};

#define COMPARE(a, b) (((a) > (b)) - ((a) < (b)))

static int entry_compare(const void *a, const void *b) {
        const FileKey *x = a, *y = b;
        int r = COMPARE(x->inode, y->inode);

        r = r ?: COMPARE(x->device, y->device);
        r = r ?: COMPARE(x->size, y->size);
        r = r ?: COMPARE(x->ctime_sec, y->ctime_sec);
        return r ?: COMPARE(x->ctime_nsec, y->ctime_nsec);
}

int file_key_of(int fd, FileKey *ret) {
        struct stat st;

        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode))
                return -EBADF;
        *ret = (FileKey) { st.st_dev, st.st_ino, st.st_size, st.st_ctim.tv_sec, st.st_ctim.tv_nsec };
        return 0;
}

bool file_key_same_file(const FileKey *a, const FileKey *b) {
        return a->device == b->device && a->inode == b->inode;
}

static void facts_clear_program(FileFacts *f) {
        for (size_t i = 0; i < f->n_needed; i++)
                free(f->needed[i]);
        free(f->needed);
        free(f->interpreter);
        free(f->argument);
        free(f->run_path);
        f->needed = NULL;
        f->interpreter = f->argument = f->run_path = NULL;
        f->n_needed = 0;
        f->has_program = false;
}

static void entry_free(void *p) {
        facts_clear_program(&((Entry *) p)->facts);
        free(p);
}

int identity_files_new(sd_event *event, int inspect_fd, file_ready_t ready, void *userdata, IdentityFiles **ret) {
        _cleanup_(identity_files_freep) IdentityFiles *f = calloc(1, sizeof(*f));
        int r;

        if (!f)
                return -ENOMEM;
        f->ready = ready;
        f->userdata = userdata;
        r = inspector_new(event, inspect_fd, &f->inspector);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(f);
        return 0;
}

IdentityFiles *identity_files_free(IdentityFiles *f) {
        if (!f)
                return NULL;
        f->ready = NULL;
        f->inspector = inspector_free(f->inspector); /* answers to entries that are still there */
        tdestroy(f->tree, entry_free);
        free(f);
        return NULL;
}

/* ---- answers ---- */

static void entry_answered(Entry *e, const char *what, int result) {
        e->n_waiting--;
        if (!e->files->ready)
                return;
        if (result < 0)
                log_warning_errno(result, "Cannot find out the %s of an executable (inode %llu)", what, (unsigned long long) e->facts.key.inode);
        e->files->ready(&e->facts, e->files->userdata);
}

static bool changed_just_now(const FileKey *key) {
        usec_t changed = (usec_t) key->ctime_sec * USEC_PER_SEC + (usec_t) key->ctime_nsec / 1000, now = clock_realtime_usec();

        return changed <= now && now - changed < TOO_NEW_USEC;
}

static void on_hash(const InspectHeader *data, int result, void *userdata) {
        const InspectHashed *hashed = (const InspectHashed *) data;
        Entry *e = userdata;

        e->too_new = e->too_new || !hashed;
        if (!hashed && result != -EAGAIN && result != -ECONNRESET)
                e->too_new = false; /* would come out the same: too long, unreadable */
        for (size_t i = 0; hashed && i < sizeof(hashed->sha256); i++)
                (void) snprintf(e->facts.sha256 + 2 * i, 3, "%02x", hashed->sha256[i]);
        entry_answered(e, "hash", result);
}

static int facts_take_program(FileFacts *f, const ProgramInfo *p) {
        if (p->n_needed > PROGRAM_NEEDED_MAX)
                return -EBADMSG;
        f->interpreter = strndup(p->interpreter, sizeof(p->interpreter));
        f->argument = strndup(p->argument, sizeof(p->argument));
        f->run_path = strndup(p->run_path, sizeof(p->run_path));
        f->needed = calloc(p->n_needed + 1, sizeof(*f->needed));
        if (!f->interpreter || !f->argument || !f->run_path || !f->needed)
                return -ENOMEM;
        for (; f->n_needed < p->n_needed; f->n_needed++) {
                f->needed[f->n_needed] = strndup(p->needed[f->n_needed], sizeof(p->needed[0]));
                if (!f->needed[f->n_needed])
                        return -ENOMEM;
        }
        f->kind = p->kind <= PROGRAM_SCRIPT ? (ProgramKind) p->kind : PROGRAM_OTHER;
        f->flags = p->flags;
        f->has_program = true;
        return 0;
}

static void on_program(const InspectHeader *data, int result, void *userdata) {
        Entry *e = userdata;

        if (data) {
                facts_clear_program(&e->facts);
                result = facts_take_program(&e->facts, &((const InspectProgramInfo *) data)->program);
                if (result < 0)
                        facts_clear_program(&e->facts);
        }
        entry_answered(e, "libraries", result);
}

/* ---- questions ---- */

static int ask(Entry *e, InspectType type, int fd, inspect_answer_t answer, bool *asked) {
        int r = inspector_ask(e->files->inspector, type, "", fd, answer, e);

        if (r < 0)
                return r;
        *asked = true;
        e->n_waiting++;
        return 0;
}

static void entry_remove(IdentityFiles *f, Entry *e) {
        tdelete(e, &f->tree, entry_compare);
        f->n_entries--;
        entry_free(e);
}

typedef struct Search {
        Entry *idle;
} Search;

static void find_idle(const void *node, VISIT which, void *userdata) {
        Entry *e = *(Entry *const *) node;
        Search *s = userdata;

        if ((which == preorder || which == leaf) && e->n_waiting == 0)
                s->idle = e;
}

static int entry_add(IdentityFiles *f, const FileKey *key, Entry **ret) {
        Entry *e, **slot;

        if (f->n_entries >= IDENTITY_FILES_MAX) {
                Search s = {};

                twalk_r(f->tree, find_idle, &s);
                if (!s.idle)
                        return -ENOBUFS;
                entry_remove(f, s.idle);
        }
        e = calloc(1, sizeof(*e));
        if (!e)
                return -ENOMEM;
        e->facts.key = *key;
        e->files = f;
        slot = tsearch(e, &f->tree, entry_compare);
        if (!slot || *slot != e) {
                free(e);
                return -ENOMEM;
        }
        f->n_entries++;
        *ret = e;
        return 0;
}

static Entry *entry_find(const IdentityFiles *f, const FileKey *key) {
        Entry **slot = tfind(key, &f->tree, entry_compare);

        return slot ? *slot : NULL;
}

int identity_files_look(IdentityFiles *f, int fd, const FileKey *key) {
        Entry *e = entry_find(f, key);
        int r = e ? 0 : entry_add(f, key, &e);

        if (r >= 0 && (!e->hash_asked || (e->too_new && e->n_waiting == 0))) {
                e->too_new = changed_just_now(key);
                r = ask(e, INSPECT_HASH, fd, on_hash, &e->hash_asked);
        }
        if (r >= 0 && !e->program_asked)
                r = ask(e, INSPECT_PROGRAM, fd, on_program, &e->program_asked);
        return r;
}

const FileFacts *identity_files_get(const IdentityFiles *f, const FileKey *key) {
        const Entry *e = entry_find(f, key);

        return e ? &e->facts : NULL;
}

Inspector *identity_files_inspector(const IdentityFiles *f) {
        return f->inspector;
}

bool identity_files_waits(const IdentityFiles *f, const FileKey *key) {
        const Entry *e = entry_find(f, key);

        return e && e->n_waiting > 0;
}

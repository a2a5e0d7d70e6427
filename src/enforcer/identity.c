/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/identity.h"

#include <errno.h>
#include <linux/fsverity.h>
#include <stdio.h>
#include <sys/ioctl.h>

#include "enforcer/enforce.h"
#include "enforcer/helper-client.h"
#include "enforcer/identity-tags.h"
#include "enforcer/run-labels.h"
#include "util/log.h"
#include "util/packed.h"

/* Wrappers execute their program within milliseconds of a start, and nothing tells when. Later a look a minute finds what changed. */
#define LOOK_FIRST_USEC (20 * USEC_PER_MSEC)
#define LOOK_LAST_USEC (60 * USEC_PER_SEC)

struct Identity {
        Manager *manager;
        Unit *unit;
        sd_event_source *timer;       /* NULL: never looked. Of a slice, none is needed */
        usec_t delay_usec;
        bool asking, again;
        bool answered;                /* once at least */
        Packed *facts;                /* IdentityFacts; NULL: nothing is known */
        Libraries *libraries;         /* of the file that is executed, or being found */
        Libraries *former;            /* of the same file before, or of another process of it, until the others are found: it must not be unknown for a moment in between */
        UnitPlugins plugins;
};

/* ---- asking the helper ---- */

typedef struct Query {
        Manager *manager;
        identity_answer_t answer;
        void *userdata;
        IdentityFacts facts;
} Query;

/* A socket unit is who the service is that it starts. */
const char *identity_unit_to_ask(const UnitInfo *info) {
        const char *dot = strrchr(info->triggers, '.');

        return dot && streq(dot, ".service") && !strstr(info->triggers, "@.") ? info->triggers : info->unit;
}

bool identity_can_ask(const UnitInfo *info) {
        const char *dot = strrchr(identity_unit_to_ask(info), '.');

        return dot && (streq(dot, ".service") || streq(dot, ".scope"));
}

/* False: could not be asked. fsverity.rst: the measurement of a file without it is ENODATA, of a file system or a kernel without it ENOTTY or EOPNOTSUPP. */
static bool measure_verity(int fd, char ret[static IDENTITY_VERITY_MAX]) {
        union { struct fsverity_digest head; uint8_t space[sizeof(struct fsverity_digest) + 64]; } d = { .head.digest_size = 64 };
        size_t n;

        ret[0] = '\0';
        if (ioctl(fd, FS_IOC_MEASURE_VERITY, &d) < 0)
                return errno == ENODATA || errno == ENOTTY || errno == EOPNOTSUPP;
        if (d.head.digest_size > 64)
                return false;
        n = (size_t) snprintf(ret, IDENTITY_VERITY_MAX, "%s:", d.head.digest_algorithm == FS_VERITY_HASH_ALG_SHA512 ? "sha512" : "sha256");
        for (size_t i = 0; i < d.head.digest_size; i++)
                n += (size_t) snprintf(ret + n, IDENTITY_VERITY_MAX - n, "%02x", d.head.digest[i]);
        return true;
}

static void take_executable(Query *q, const HelperExecutable *e, int fd) {
        IdentityFile *f = e->flags & HELPER_FROM_PROCESS ? &q->facts.process : &q->facts.start;
        int r = file_key_of(fd, &f->key);

        if (r >= 0)
                r = identity_files_look(q->manager->identity_files, fd, &f->key);
        if (r < 0) {
                log_warning_errno(r, "Cannot look at an executable");
                return;
        }
        f->known = true;
        f->pid = e->pid;
        f->other_root = e->flags & HELPER_OTHER_ROOT;
        f->path_known = (e->flags & HELPER_PATH_IS_FILE) && memchr(e->path, '\0', sizeof(e->path));
        if (f->path_known)
                strcpy(f->path, e->path);
        f->verity_known = measure_verity(fd, f->verity);
}

static bool credentials_valid(const HelperCredentials *c) {
        if (c->n_groups > HELPER_GROUPS_MAX || !memchr(c->user, '\0', sizeof(c->user)) || !memchr(c->group, '\0', sizeof(c->group)) ||
            !memchr(c->selinux, '\0', sizeof(c->selinux)) || !memchr(c->apparmor, '\0', sizeof(c->apparmor)))
                return false;
        for (size_t i = 0; i < HELPER_GROUPS_MAX; i++)
                if (!memchr(c->group_names[i], '\0', sizeof(c->group_names[i])))
                        return false;
        return true;
}

static void on_answer(Link *l, const LinkMessage *msg, int result, void *userdata) {
        Query *q = userdata;

        if (!msg) {
                q->answer(q->manager, result, result < 0 ? NULL : &q->facts, q->userdata);
                free(q);
                return;
        }
        if (msg->header->type == HELPER_CREDENTIALS && msg->len == sizeof(HelperCredentials)) {
                q->facts.credentials = *(const HelperCredentials *) msg->header;
                q->facts.has_credentials = credentials_valid(&q->facts.credentials);
        } else if (msg->header->type == HELPER_EXECUTABLE && msg->len == sizeof(HelperExecutable) && msg->n_fds == 1)
                take_executable(q, (const HelperExecutable *) msg->header, msg->fds[0]);
}

int identity_ask(Manager *m, const UnitInfo *info, identity_answer_t answer, void *userdata) {
        _cleanup_free_ Query *q = calloc(1, sizeof(*q));
        int r;

        if (!q)
                return -ENOMEM;
        q->manager = m;
        q->answer = answer;
        q->userdata = userdata;
        r = helper_request(m, HELPER_GET_IDENTITY, identity_unit_to_ask(info), 0, on_answer, q);
        if (r >= 0)
                TAKE_PTR(q);
        return r;
}

/* ---- looking again ---- */

static void look(Identity *i);

static int on_timer(sd_event_source *s, uint64_t usec, void *userdata) {
        Identity *i = userdata;

        if (!i->unit->remnant)
                look(i);
        return 0;
}

static void look_later(Identity *i) {
        int r = i->timer ? sd_event_source_set_time_relative(i->timer, i->delay_usec)
                         : sd_event_add_time_relative(i->manager->event, &i->timer, CLOCK_BOOTTIME, i->delay_usec, 0, on_timer, i);

        if (r >= 0)
                r = sd_event_source_set_enabled(i->timer, SD_EVENT_ONESHOT);
        if (r < 0)
                log_error_errno(r, "Cannot arm the timer that looks at the main process of %s", i->unit->name);
        i->delay_usec = MIN(i->delay_usec * 2, LOOK_LAST_USEC);
}

static void on_look(Manager *m, int result, const IdentityFacts *facts, void *userdata) {
        Unit *u = units_find_index(&m->units, (uint32_t) (uintptr_t) userdata);
        bool again;

        if (!u || !u->identity || u->remnant || !u->identity->asking)
                return;
        again = u->identity->again;
        u->identity->asking = u->identity->again = false;
        if (result == -ECONNRESET) /* whoever is on the other end next tells of all units anew */
                return;
        if (result < 0 && result != -ENOENT)
                log_warning_errno(result, "Cannot find out what %s executes", u->name);
        /* No answer in time is no news: what was found out stands until the timer's next look, or a busy host would cut what it authorized. Nor is a unit that PID 1 does not
         * know any more: how it ended is on its way, and what it has sent still drains. */
        result = result == -ETIMEDOUT || result == -ENOENT ? 0 : identity_set(m, u, facts);
        if (result < 0)
                log_error_errno(result, "Cannot keep the identity of %s", u->name);
        enforce_identity_changed(m, u);
        if (u->identity && again)
                look(u->identity);
}

static void look(Identity *i) {
        int r;

        if (i->asking) {
                i->again = true;
                return;
        }
        r = identity_ask(i->manager, &i->unit->info, on_look, (void *) (uintptr_t) i->unit->index);
        i->asking = r >= 0;
        if (r < 0 && r != -ENOTCONN)
                log_warning_errno(r, "Cannot ask what %s executes", i->unit->name);
        look_later(i);
}

void identity_event(Manager *m, Unit *u) {
        if (!u->identity || !identity_can_ask(&u->info))
                return;
        u->identity->delay_usec = LOOK_FIRST_USEC;
        look(u->identity);
        plugins_run(m, u);
}

UnitPlugins *identity_plugins(Unit *u) {
        return &u->identity->plugins;
}

/* ---- what is kept ---- */

/* A file that was replaced on disk has lost its path and has another time of change, but the process executes it as before. */
static void file_inherit(IdentityFile *f, const IdentityFile *old) {
        if (!f->known || !old->known || f->pid != old->pid || !file_key_same_file(&f->key, &old->key))
                return;
        if (!f->path_known && old->path_known) {
                f->path_known = true;
                strcpy(f->path, old->path);
        }
        strcpy(f->sha256, old->sha256);
}

static void file_take_hash(const Manager *m, IdentityFile *f) {
        const FileFacts *facts = f->known ? identity_files_get(m->identity_files, &f->key) : NULL;

        if (facts && facts->sha256[0])
                strcpy(f->sha256, facts->sha256);
}

/* ---- libraries ---- */

static const IdentityFile *file_executed(const IdentityFacts *facts) {
        return facts->process.known ? &facts->process : facts->start.known ? &facts->start : NULL;
}

static void libraries_forget(Identity *i) {
        i->libraries = libraries_free(i->libraries);
        i->former = libraries_free(i->former);
}

static void on_libraries(Libraries *l, void *userdata) {
        Identity *i = userdata;

        i->former = libraries_free(i->former);
        if (!i->unit->remnant)
                enforce_identity_changed(i->manager, i->unit);
}

static void libraries_look(Identity *i, const IdentityFacts *known) {
        const IdentityFile *f = file_executed(known);
        const FileFacts *facts = f ? identity_files_get(i->manager->identity_files, &f->key) : NULL;
        LibrariesProgram program;
        int r;

        if (!f || (f->pid == 0 && f->other_root)) {
                libraries_forget(i);
                return;
        }
        if (i->libraries && (libraries_is_lost(i->libraries) || !libraries_is_of(i->libraries, f->pid, &f->key))) {
                if (libraries_is_whole(i->libraries)) {
                        libraries_free(i->former);
                        i->former = TAKE_PTR(i->libraries);
                } else
                        i->libraries = libraries_free(i->libraries);
                if (i->former && !libraries_is_of_file(i->former, &f->key))
                        i->former = libraries_free(i->former);
        }
        if (i->libraries || !facts || !facts->has_program || facts->kind != PROGRAM_ELF)
                return;
        program = (LibrariesProgram) { .unit = identity_unit_to_ask(&i->unit->info), .pid = f->pid, .path = f->path_known ? f->path : "", .facts = facts };
        r = libraries_find(i->manager, &program, on_libraries, i, &i->libraries);
        if (r < 0)
                log_warning_errno(r, "Cannot look for the libraries of %s", i->unit->name);
}

/* NULL: not known. */
static const Libraries *libraries_known(const Identity *i) {
        const Libraries *l = i->former ?: i->libraries;

        return l && libraries_is_whole(l) ? l : NULL;
}

static int identity_new(Manager *m, Unit *u, Identity **ret) {
        Identity *i = calloc(1, sizeof(*i));

        if (!i)
                return -ENOMEM;
        *i = (Identity) { .manager = m, .unit = u, .delay_usec = LOOK_FIRST_USEC };
        *ret = i;
        return 0;
}

Identity *identity_free(Identity *i) {
        if (!i)
                return NULL;
        sd_event_source_disable_unref(i->timer);
        unit_plugins_done(&i->plugins);
        libraries_forget(i);
        free(i->facts);
        free(i);
        return NULL;
}

/* What triremectl run is about to become has no tags of triremectl's: when they were taken back, connections that it has made by then would be cut. */
static bool is_waiting_child(const Unit *u, const IdentityFile *process) {
        const char *name = process->known && process->path_known ? strrchr(process->path, '/') : NULL;

        return name && streq(name, "/triremectl") && startswith(u->name, RUN_UNIT_PREFIX);
}

static IdentityFacts facts_read(const Identity *i) {
        IdentityFacts facts;

        packed_read(i ? i->facts : NULL, &facts, sizeof(facts));
        return facts;
}

static int facts_write(Identity *i, const IdentityFacts *facts) {
        Packed *packed;
        int r = packed_new(facts, sizeof(*facts), &packed);

        if (r < 0)
                return r;
        free(i->facts);
        i->facts = packed;
        return 0;
}

static int identity_take(Manager *m, Unit *u, const IdentityFacts *facts) {
        const IdentityFacts old = facts_read(u->identity);
        IdentityFacts fresh = *facts;
        int r;

        if (is_waiting_child(u, &fresh.process))
                fresh.process = (IdentityFile) {};
        file_inherit(&fresh.process, &old.process);
        file_inherit(&fresh.start, &old.start);
        file_take_hash(m, &fresh.process);
        file_take_hash(m, &fresh.start);
        r = facts_write(u->identity, &fresh);
        if (r < 0)
                return r;
        u->identity->answered = true;
        libraries_look(u->identity, &fresh);
        return 0;
}

int identity_set(Manager *m, Unit *u, const IdentityFacts *facts) {
        bool is_new = !u->identity;
        int r = is_new ? identity_new(m, u, &u->identity) : 0;

        if (r < 0)
                return r;
        if (facts)
                r = identity_take(m, u, facts);
        else {
                free(u->identity->facts);
                u->identity->facts = NULL;
                libraries_forget(u->identity);
        }
        if (r < 0)
                return r;
        if (is_new && identity_can_ask(&u->info)) {
                look_later(u->identity);
                plugins_run(m, u);
        }
        return 0;
}

int identity_tags(Manager *m, const Unit *u, TagSet *ret, uint16_t *ret_families) {
        const Identity *i = u->identity;
        const IdentityFacts facts = facts_read(i);
        int r = identity_tags_make(m, u->name, i ? &facts : NULL, i ? libraries_known(i) : NULL, ret, ret_families);

        return r < 0 ? r : plugins_tags(m, i ? &i->plugins : NULL, ret, ret_families);
}

static bool file_is(const IdentityFile *f, const FileKey *key) {
        return f->known && memcmp(&f->key, key, sizeof(*key)) == 0;
}

void identity_file_ready(const FileFacts *facts, void *userdata) {
        Manager *m = userdata;

        for (Unit *u = m->units.first, *next; u; u = next) {
                IdentityFacts known;

                next = u->next;
                if (!u->identity || !u->identity->facts || u->remnant)
                        continue;
                known = facts_read(u->identity);
                if (!file_is(&known.process, &facts->key) && !file_is(&known.start, &facts->key))
                        continue;
                file_take_hash(m, &known.process);
                file_take_hash(m, &known.start);
                if (facts_write(u->identity, &known) < 0)
                        log_error("Out of memory for the identity of %s", u->name);
                libraries_look(u->identity, &known);
                enforce_identity_changed(m, u);
        }
}

static bool file_waits(const Manager *m, const IdentityFile *f) {
        return f->known && identity_files_waits(m->identity_files, &f->key);
}

bool identity_is_settled(const Manager *m, const Unit *u) {
        const Identity *i = u->identity;
        IdentityFacts facts;

        if (!i || !identity_can_ask(&u->info))
                return true;
        facts = facts_read(i);
        return i->answered && !file_waits(m, &facts.process) && !file_waits(m, &facts.start) && (!i->libraries || libraries_is_ended(i->libraries)) && !plugins_wait(m, &i->plugins);
}

int identity_faults(const Unit *u, plugin_fault_t done, void *userdata) {
        return u->identity ? plugins_faults(u->identity->manager, &u->identity->plugins, done, userdata) : 0;
}

const char *identity_origin(const Unit *u, const Tag *t) {
        const IdentityFacts f = facts_read(u->identity);

        switch (tag_family(t->key)) {
        case TAG_FAMILY_EXE:
        case TAG_FAMILY_EXE_SHA256:
        case TAG_FAMILY_EXE_VERITY:
        case TAG_FAMILY_LIB:
                return f.process.known ? "main process" : "ExecStart=";
        case TAG_FAMILY_USER:
        case TAG_FAMILY_UID:
        case TAG_FAMILY_GROUP:
        case TAG_FAMILY_GID:
        case TAG_FAMILY_GROUPS:
        case TAG_FAMILY_SELINUX:
        case TAG_FAMILY_APPARMOR:
                return !f.has_credentials ? "name of the slice" : f.credentials.flags & HELPER_FROM_PROCESS ? "main process" : "unit settings";
        case TAG_FAMILY_UNIT:
                return "service manager";
        case TAG_FAMILY_HOST:
        case TAG_FAMILY_MACHINE:
                return "this host";
        case TAG_FAMILY_PLUGIN:
                return "plug-in";
        default:
                return "label";
        }
}

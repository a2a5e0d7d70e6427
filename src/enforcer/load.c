/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A load walks over names, one after the other: the unit; the service it triggers, if the unit itself says nothing; then, only if there is something to inherit to,
 * the slices above. Each is one question to the helper, which opens the files in PID 1's order. The last question is who the unit is. */
#include "enforcer/load.h"

#include <errno.h>
#include <stdio.h>

#include "enforcer/helper-client.h"
#include "enforcer/identity-tags.h"
#include "enforcer/run-labels.h"
#include "util/log.h"
#include "util/utf8.h"

#define SECTION "X-Trireme"
#define SLICES_MAX 16u /* of one unit; HELPER_LEVEL_MAX is what the rules reach */
#define LOADS_BETWEEN_TRIMS 64u

typedef struct LoadFile {
        char *path, *data;
        size_t size;
} LoadFile;

struct Load {
        Load *next;
        Manager *manager;
        HelperUnit info;
        LoadRequest request;
        bool dropped;             /* replaced by a newer one */
        uint64_t number;          /* the how manieth it is; of one that replaced others, that of the first */
        char name[HELPER_UNIT_NAME_MAX];                 /* being asked about */
        bool at_trigger;
        UnitSettings own, slices[SLICES_MAX];
        size_t n_slices;
        bool at_slices;
        LoadFile files[HELPER_DROPINS_MAX];              /* of name */
        size_t n_files;
        char *sources[HELPER_DROPINS_MAX];               /* paths that mention us, over all names; for status */
        size_t n_sources;
        int error;                /* of reading name's files */
        LoadResult result;
};

static int load_ask(Load *l, const char *name);

static void load_clear_files(Load *l) {
        for (size_t i = 0; i < l->n_files; i++) {
                free(l->files[i].path);
                free(l->files[i].data);
        }
        l->n_files = 0;
}

static void load_free(Load *l) {
        for (Load **p = &l->manager->loads; *p; p = &(*p)->next)
                if (*p == l) {
                        *p = l->next;
                        break;
                }
        load_clear_files(l);
        for (size_t i = 0; i < l->n_sources; i++)
                free(l->sources[i]);
        unit_settings_done(&l->own);
        for (size_t i = 0; i < l->n_slices; i++)
                unit_settings_done(&l->slices[i]);
        unit_policy_unref(l->result.policy);
        free(l->result.text);
        free(l);
}

void loads_free(Manager *m) {
        while (m->loads)
                load_free(m->loads);
}

static void load_finish(Load *l, int error) {
        Manager *m = l->manager;

        l->result.error = error;
        l->result.attach = l->request.attach;
        if (!l->dropped)
                l->request.done(m, &l->info, &l->result, l->request.userdata);
        load_free(l);
        m->trim |= ++m->n_loaded % LOADS_BETWEEN_TRIMS == 0;
        manager_check_settled(m, false);
}

/* "a-b.slice" is in "a.slice", that in "-.slice", that in nothing. */
static bool slice_parent(const char *slice, char ret[static HELPER_UNIT_NAME_MAX]) {
        const char *dash = strrchr(slice, '-');

        if (!slice[0] || streq(slice, "-.slice"))
                return false;
        if (!dash || dash == slice)
                strcpy(ret, "-.slice");
        else {
                memcpy(ret, slice, (size_t) (dash - slice));
                strcpy(ret + (dash - slice), ".slice");
        }
        return true;
}

static int load_add_source(Load *l, const char *path) {
        if (l->n_sources >= ELEMENTSOF(l->sources))
                return 0;
        l->sources[l->n_sources] = strdup(path);
        return l->sources[l->n_sources] ? (l->n_sources++, 0) : -ENOMEM;
}

/* Settings of labels of units made by triremectl run stand in no unit file. */
static int load_run_labels(Load *l) {
        _cleanup_free_ char *text = NULL;
        int r;

        r = run_labels_read(l->manager, l->info.unit, &text);
        if (r <= 0)
                return r;
        l->own.labelled = true;
        return run_labels_parse(text, &l->own.labels);
}

/* What it cannot have is no reason for another policy to hold: the unit is denied everything. */
static int load_deny_unknown_policy(Load *l) {
        const Manager *m = l->manager;
        _cleanup_free_ char *name = tag_escape(l->own.policy);

        l->result.reason = REASON_BAD_SETTINGS;
        if (!name || asprintf(&l->result.text, "TriremePolicy=%s: there is no policy of this name in policy.d%s", name,
                              m->policies_fault ? ", whose files have faults (triremectl status shows them)" : "") < 0) {
                l->result.text = NULL;
                return -ENOMEM;
        }
        return 0;
}

static int load_make_policy(Load *l) {
        const UnitSettings *slices[SLICES_MAX];
        const UnitFacts facts = {
                .unit = l->info.unit, .triggers = l->info.triggers, .hostname = l->manager->hostname, .machine = l->manager->machine,
                .policy = l->own.policy ? policy_book_find(&l->manager->policies, l->own.policy) : NULL,
        };
        int r;

        if (l->own.policy && !facts.policy)
                return load_deny_unknown_policy(l);
        for (size_t i = 0; i < l->n_slices; i++)
                slices[i] = &l->slices[i];
        r = unit_policy_new(&l->own, slices, l->n_slices, &facts, &l->manager->config, &l->result.policy);
        for (size_t i = 0; r >= 0 && i < l->n_sources; i++)
                r = unit_policy_add_file(l->result.policy, l->sources[i]);
        if (r != -E2BIG && r != -EINVAL)
                return r;
        l->result.reason = r == -E2BIG ? REASON_TOO_BIG : REASON_BAD_SETTINGS;
        l->result.text = strdup(r == -E2BIG ? "more tags than a token can carry" : "a tag of this unit is none that a token can carry");
        return l->result.text ? 0 : -ENOMEM;
}

static int load_identify(Load *l, const IdentityFacts *facts) {
        TagSet tags = {};
        uint16_t families;
        int r;

        l->result.identity = facts;
        r = identity_tags_make(l->manager, l->info.unit, facts, NULL, &tags, &families);
        if (r >= 0)
                r = unit_policy_identify(l->result.policy, &tags, families);
        tag_set_done(&tags);
        return r == -E2BIG ? 0 : r; /* rules that need more than the settings do not hold */
}

/* What cannot be found out of the unit's processes is in no tag, and no reason not to start it. */
static void on_identity(Manager *m, int result, const IdentityFacts *facts, void *userdata) {
        Load *l = userdata;

        if (result < 0 && result != -ECONNRESET) {
                log_warning_errno(result, "Cannot find out what %s executes", l->info.unit);
                result = 0;
        }
        if (result >= 0)
                result = load_identify(l, facts);
        load_finish(l, MIN(result, 0));
}

static void load_finish_labelled(Load *l) {
        const UnitInfo info = unit_info_of(&l->info);
        int r = load_make_policy(l);

        if (r >= 0 && l->result.policy) {
                r = identity_can_ask(&info) ? identity_ask(l->manager, &info, on_identity, l) : load_identify(l, NULL);
                if (r >= 0 && identity_can_ask(&info))
                        return;
        }
        load_finish(l, MIN(r, 0));
}

static void load_next_slice(Load *l, const char *below) {
        char parent[HELPER_UNIT_NAME_MAX];
        int r;

        if (!slice_parent(below, parent) || l->n_slices >= SLICES_MAX) {
                load_finish_labelled(l);
                return;
        }
        r = load_ask(l, parent);
        if (r < 0)
                load_finish(l, r);
}

static void load_first_slice(Load *l) {
        int r;

        l->result.labelled = true;
        l->at_slices = true;
        if (!l->info.slice[0]) { /* the root slice itself */
                load_finish_labelled(l);
                return;
        }
        r = load_ask(l, l->info.slice);
        if (r < 0)
                load_finish(l, r);
}

/* The files of l->name were read: what do they say, and what is the next question? */
static void load_advance(Load *l) {
        const UnitSpecifiers specifiers = { .unit = l->name, .hostname = l->manager->hostname, .machine_id = l->manager->machine_id };
        ConfigFile files[HELPER_DROPINS_MAX];
        ConfigErrors errors = {};
        UnitSettings *settings = l->at_slices ? &l->slices[l->n_slices] : &l->own;
        int r;

        for (size_t i = 0; i < l->n_files; i++)
                files[i] = (ConfigFile) { .path = l->files[i].path, .data = l->files[i].data, .size = l->files[i].size };
        r = unit_settings_parse(files, l->n_files, &specifiers, settings, &errors);
        if (r == -EINVAL) {
                l->result.labelled = true;
                l->result.reason = REASON_BAD_SETTINGS;
                l->result.text = config_errors_format_line(&errors);
                config_errors_done(&errors);
                load_finish(l, l->result.text ? 0 : -ENOMEM);
                return;
        }
        config_errors_done(&errors);
        if (r == 0 && !l->at_slices)
                r = load_run_labels(l);
        if (r < 0)
                load_finish(l, r);
        else if (l->at_slices) {
                l->n_slices++;
                load_next_slice(l, l->name);
        } else if (l->own.labelled)
                load_first_slice(l);
        else if (l->info.triggers[0] && !l->at_trigger) {
                l->at_trigger = true;
                r = load_ask(l, l->info.triggers);
                if (r < 0)
                        load_finish(l, r);
        } else
                load_finish(l, 0);
}

static int load_take_file(Load *l, int fd, const char *path) {
        LoadFile *f = &l->files[l->n_files];
        int r;

        r = file_cache_read(l->manager->files, fd, &f->data, &f->size);
        if (r < 0)
                return log_error_errno(r, "Cannot read %s", path);
        if (!f->data) /* says nothing about us */
                return 0;
        f->path = utf8_is_printable(path, strlen(path)) ? strdup(path) : tag_escape(path); /* it becomes part of messages */
        if (!f->path) {
                free(f->data);
                return -ENOMEM;
        }
        l->n_files++;
        return memmem(f->data, f->size, SECTION, strlen(SECTION)) ? load_add_source(l, f->path) : 0; /* others only mention a unit of ours */
}

static void on_files(Link *link, const LinkMessage *msg, int result, void *userdata) {
        const HelperUnitFiles *files = msg ? (const HelperUnitFiles *) msg->header : NULL;
        Load *l = userdata;

        if (!msg) {
                if (result >= 0 && l->error < 0)
                        result = l->error;
                if (result == -ENOENT && (l->at_slices || l->at_trigger)) /* not loaded: it has no settings that are in force */
                        result = 0;
                if (result < 0)
                        load_finish(l, result);
                else
                        load_advance(l);
                return;
        }
        if (files->header.type != HELPER_UNIT_FILES || msg->len != sizeof(*files) || msg->n_fds != files->n_files || files->n_files > HELPER_DROPINS_MAX) {
                l->error = -EBADMSG;
                return;
        }
        for (size_t i = 0; i < msg->n_fds && l->error >= 0 && l->n_files < HELPER_DROPINS_MAX; i++) {
                char path[sizeof(files->paths[i]) + 1] = "";

                memcpy(path, files->paths[i], sizeof(files->paths[i]));
                l->error = load_take_file(l, msg->fds[i], path);
        }
}

static int load_ask(Load *l, const char *name) {
        load_clear_files(l);
        l->error = 0;
        memmove(l->name, name, strlen(name) + 1);
        return helper_request(l->manager, HELPER_OPEN_UNIT_FILES, l->name, 0, on_files, l);
}

bool loads_any_until(const Manager *m, uint64_t n_loads) {
        for (const Load *l = m->loads; l; l = l->next)
                if (!l->dropped && l->number <= n_loads)
                        return true;
        return false;
}

static bool load_replace_older(Load *l) {
        bool attach = false;

        for (Load *older = l->manager->loads; older; older = older->next)
                if (older->request.replace && !older->dropped && streq(older->info.unit, l->info.unit)) {
                        older->dropped = true;
                        l->number = MIN(l->number, older->number);
                        attach = attach || older->request.attach;
                }
        return attach;
}

int load_start(Manager *m, const LoadRequest *request) {
        Load *l = calloc(1, sizeof(*l));
        int r;

        if (!l)
                return -ENOMEM;
        l->manager = m;
        l->number = ++m->n_loads;
        l->info = *request->info;
        l->request = *request;
        l->request.info = NULL;
        r = load_ask(l, l->info.unit);
        if (r < 0) {
                load_free(l);
                return r;
        }
        if (request->replace && load_replace_older(l))
                l->request.attach = true;
        l->next = m->loads;
        m->loads = l;
        return 0;
}

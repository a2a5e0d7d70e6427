/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/identity-plugins.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "enforcer/enforce.h"
#include "enforcer/helper-client.h"
#include "enforcer/identity.h"
#include "enforcer/identity-output.h"
#include "util/array.h"
#include "util/fd.h"
#include "util/log.h"

/* One process. It is over when the helper says so and its output is at its end. */
typedef struct Run {
        struct Run *next;
        Plugins *plugins;
        uint32_t index;            /* of the unit */
        char name[HELPER_PLUGIN_NAME_MAX];
        sd_event_source *io;
        size_t n;
        bool has_output, at_end, replied;
        int result;
        char output[PLUGIN_OUTPUT_MAX + 1];
} Run;

typedef struct HostTags {          /* of a plug-in that says "# host" */
        bool known;
        bool fresh;                /* told since the plug-ins were last listed */
        TagSet tags;
} HostTags;

struct Plugins {
        Manager *manager;
        char names[PLUGINS_MAX][HELPER_PLUGIN_NAME_MAX], new_names[PLUGINS_MAX][HELPER_PLUGIN_NAME_MAX];
        HostTags host[PLUGINS_MAX];
        size_t n, n_new;
        bool listed;
        Run *runs;
};

int plugins_new(Manager *m, Plugins **ret) {
        Plugins *p = calloc(1, sizeof(*p));

        if (!p)
                return -ENOMEM;
        p->manager = m;
        *ret = p;
        return 0;
}

static void host_forget(HostTags *h) {
        tag_set_done(&h->tags);
        *h = (HostTags) {};
}

static void run_free(Run *r) {
        for (Run **i = &r->plugins->runs; *i; i = &(*i)->next)
                if (*i == r) {
                        *i = r->next;
                        break;
                }
        sd_event_source_disable_unref(r->io);
        free(r);
}

Plugins *plugins_free(Plugins *p) {
        if (!p)
                return NULL;
        while (p->runs)
                run_free(p->runs);
        for (size_t i = 0; i < PLUGINS_MAX; i++)
                host_forget(&p->host[i]);
        free(p);
        return NULL;
}

void unit_plugins_done(UnitPlugins *p) {
        for (size_t i = 0; i < p->n; i++) {
                tag_set_done(&p->plugins[i].tags);
                free(p->plugins[i].fault);
        }
        free(p->plugins);
        *p = (UnitPlugins) {};
}

/* ---- what came out ---- */

static int find_name(const Plugins *p, const char *name) {
        for (size_t i = 0; i < p->n; i++)
                if (streq(p->names[i], name))
                        return (int) i;
        return -ENOENT;
}

static const UnitPlugin *unit_plugin_find(const UnitPlugins *u, const char *name) {
        for (size_t i = 0; u && i < u->n; i++)
                if (streq(u->plugins[i].name, name))
                        return &u->plugins[i];
        return NULL;
}

static UnitPlugin *unit_plugin(UnitPlugins *u, const char *name) {
        const UnitPlugin *found = unit_plugin_find(u, name);

        if (found)
                return &u->plugins[found - u->plugins];
        if (u->n >= PLUGINS_MAX || !ARRAY_GROW(u->plugins, u->n))
                return NULL;
        u->plugins[u->n] = (UnitPlugin) {};
        strcpy(u->plugins[u->n].name, name);
        return &u->plugins[u->n++];
}

static void keep(Plugins *p, Unit *u, const char *name, TagSet *tags, const char *fault) {
        UnitPlugin *k = unit_plugin(identity_plugins(u), name);

        if (!k)
                return;
        tag_set_done(&k->tags);
        free(k->fault);
        k->tags = *tags;
        *tags = (TagSet) {};
        k->fault = fault ? strdup(fault) : NULL;
        enforce_identity_changed(p->manager, u);
}

static void keep_for_host(Plugins *p, int i, TagSet *tags) {
        tag_set_done(&p->host[i].tags);
        p->host[i] = (HostTags) { .known = true, .fresh = true, .tags = *tags };
        *tags = (TagSet) {};
        for (Unit *u = p->manager->units.first, *next; u; u = next) {
                next = u->next;
                if (!u->remnant)
                        enforce_identity_changed(p->manager, u);
        }
}

static void run_finish(Run *r) {
        Plugins *p = r->plugins;
        Unit *u = units_find_index(&p->manager->units, r->index);
        int i = find_name(p, r->name), result = r->result;
        const char *fault = NULL;
        TagSet tags = {};
        bool host = false;

        if (result >= 0 || r->n > PLUGIN_OUTPUT_MAX) /* of one that prints too much no more is read, and that is how it ends */
                result = plugin_output_parse(r->name, r->output, r->n, &tags, &host, &fault);
        if (result < 0 && !fault)
                fault = result == -ECANCELED ? "it failed or did not end in time" : strerror(-result);
        if (result < 0 && u && result != -ECONNRESET)
                log_warning("Plug-in %s tells nothing of %s: %s", r->name, u->name, fault);
        if (result == -ECONNRESET) /* the next helper is asked for all of them */
                i = -ENOENT;
        if (i >= 0 && !host && !p->host[i].fresh)
                host_forget(&p->host[i]);
        if (result >= 0 && host && i >= 0)
                keep_for_host(p, i, &tags);
        else if (u && !u->remnant && u->identity && i >= 0)
                keep(p, u, r->name, &tags, fault);
        tag_set_done(&tags);
        run_free(r);
}

static void run_check(Run *r) {
        if (r->replied && (r->at_end || !r->has_output || r->result < 0))
                run_finish(r);
}

static int on_output(sd_event_source *s, int fd, uint32_t events, void *userdata) {
        Run *r = userdata;
        ssize_t n = read(fd, r->output + r->n, sizeof(r->output) - r->n);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        if (n > 0) {
                r->n += (size_t) n;
                if (r->n < sizeof(r->output))
                        return 0; /* one byte more than may be is kept, so that it is seen */
        }
        r->at_end = true;
        r->io = sd_event_source_disable_unref(r->io);
        run_check(r);
        return 0;
}

static int run_take_output(Run *r, int *fd) {
        int k;

        if (r->has_output)
                return -EBADMSG;
        if (fcntl(*fd, F_SETFL, O_NONBLOCK) < 0)
                return -errno;
        k = sd_event_add_io(r->plugins->manager->event, &r->io, *fd, EPOLLIN, on_output, r);
        if (k >= 0)
                k = sd_event_source_set_io_fd_own(r->io, true);
        if (k < 0)
                return k;
        TAKE_FD(*fd);
        r->has_output = true;
        return 0;
}

static void on_run(Link *l, const LinkMessage *msg, int result, void *userdata) {
        Run *r = userdata;

        if (msg) {
                int k = msg->header->type == HELPER_PLUGIN && msg->n_fds == 1 ? run_take_output(r, &msg->fds[0]) : -EBADMSG;

                if (k < 0)
                        r->result = k;
                return;
        }
        r->replied = true;
        if (r->result >= 0)
                r->result = result;
        run_check(r);
}

/* ---- running ---- */

static void run_start(Plugins *p, Unit *u, const char *name) {
        HelperPlugin request = {};
        Run *r = calloc(1, sizeof(*r));
        int k;

        if (!r) {
                log_error("Out of memory");
                return;
        }
        *r = (Run) { .plugins = p, .index = u->index };
        strcpy(r->name, name);
        strcpy(request.name, name);
        strcpy(request.unit, identity_unit_to_ask(&u->info));
        k = helper_run_plugin(p->manager, &request, on_run, r);
        if (k < 0) {
                if (k != -ENOTCONN)
                        log_warning_errno(k, "Cannot run the plug-in %s", name);
                free(r);
                return;
        }
        r->next = p->runs;
        p->runs = r;
}

void plugins_run(Manager *m, Unit *u) {
        UnitPlugins *k = u->identity ? identity_plugins(u) : NULL;
        Plugins *p = m->plugins;

        if (!k || !p->listed || u->info.active != HELPER_ACTIVE || !identity_can_ask(&u->info) ||
            (k->run && memcmp(k->invocation_id, u->info.invocation_id, sizeof(k->invocation_id)) == 0))
                return;
        if (memcmp(k->invocation_id, u->info.invocation_id, sizeof(k->invocation_id)) != 0)
                unit_plugins_done(k);
        k->run = true;
        memcpy(k->invocation_id, u->info.invocation_id, sizeof(k->invocation_id));
        for (size_t i = 0; i < p->n; i++)
                if (!p->host[i].fresh)
                        run_start(p, u, p->names[i]);
}

/* What was told before holds until it is told anew: a reload in which nothing changed must not change a unit's tags for a moment, which would cut its connections. */
static void host_carry_over(Plugins *p) {
        HostTags old[PLUGINS_MAX];

        memcpy(old, p->host, sizeof(old));
        memset(p->host, 0, sizeof(p->host));
        for (size_t i = 0; i < p->n_new; i++) {
                int k = find_name(p, p->new_names[i]);

                if (k < 0)
                        continue;
                p->host[i] = old[k];
                p->host[i].fresh = false;
                old[k] = (HostTags) {};
        }
        for (size_t i = 0; i < PLUGINS_MAX; i++)
                host_forget(&old[i]);
}

static void plugins_listed(Plugins *p) {
        host_carry_over(p);
        memcpy(p->names, p->new_names, sizeof(p->names));
        p->n = p->n_new;
        p->listed = true;
        for (Unit *u = p->manager->units.first, *next; u; u = next) {
                next = u->next;
                if (u->remnant || !u->identity)
                        continue;
                identity_plugins(u)->run = false;
                plugins_run(p->manager, u);
        }
}

static void on_list(Link *l, const LinkMessage *msg, int result, void *userdata) {
        Plugins *p = helper_manager(l)->plugins;
        const HelperPlugin *data = msg ? (const HelperPlugin *) msg->header : NULL;

        if (!msg) {
                if (result >= 0)
                        plugins_listed(p);
                else if (result != -ECONNRESET)
                        log_warning_errno(result, "Cannot list the plug-ins");
                p->n_new = 0; /* of the next list, which may have been asked for already: the answers come one after the other */
                return;
        }
        if (data->header.type == HELPER_PLUGIN && msg->len == sizeof(*data) && p->n_new < PLUGINS_MAX && memchr(data->name, '\0', sizeof(data->name)))
                strcpy(p->new_names[p->n_new++], data->name);
}

void plugins_list(Manager *m) {
        int r = helper_request(m, HELPER_LIST_PLUGINS, "", 0, on_list, NULL);

        if (r < 0 && r != -ENOTCONN)
                log_warning_errno(r, "Cannot ask for the plug-ins");
}

int plugins_tags(const Manager *m, const UnitPlugins *p, TagSet *tags, uint16_t *families) {
        const Plugins *all = m->plugins;
        int r = 0;

        for (size_t i = 0; r >= 0 && i < all->n; i++) {
                const UnitPlugin *own = unit_plugin_find(p, all->names[i]);

                if (all->host[i].known)
                        r = tag_set_merge(tags, &all->host[i].tags);
                else if (own)
                        r = tag_set_merge(tags, &own->tags);
        }
        if (all->listed)
                *families |= TAG_FAMILY_BIT(TAG_FAMILY_PLUGIN);
        return r;
}

bool plugins_wait(const Manager *m, const UnitPlugins *p) {
        const Plugins *all = m->plugins;

        for (size_t i = 0; i < all->n; i++)
                if (!all->host[i].known && !unit_plugin_find(p, all->names[i]))
                        return true;
        return !all->listed;
}

int plugins_faults(const Manager *m, const UnitPlugins *p, plugin_fault_t done, void *userdata) {
        const Plugins *all = m->plugins;
        int r = 0;

        for (size_t i = 0; r >= 0 && i < all->n; i++) {
                const UnitPlugin *own = all->host[i].known ? NULL : unit_plugin_find(p, all->names[i]);
                char text[512];

                if (!own || !own->fault)
                        continue;
                (void) snprintf(text, sizeof(text), "%s: %s", own->name, own->fault);
                r = done(text, userdata);
        }
        return r;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Order: polkit, labels, their file, the scope (closed), its evaluation (enforced), and only then the answer that lets the caller's process go on. */
#include "enforcer/run.h"

#include <errno.h>
#include <stdio.h>

#include "crypto/crypto.h"
#include "enforcer/enforce.h"
#include "enforcer/helper-client.h"
#include "enforcer/load.h"
#include "enforcer/polkit.h"
#include "enforcer/run-labels.h"
#include "util/log.h"

#define LABELS_MAX 64u

typedef struct Run {
        Manager *manager;
        sd_bus_message *call;
        unsigned n_ref;          /* one for each answer under way */
        bool answered;
        char unit[64];
} Run;

static void run_unref(Run *run) {
        if (--run->n_ref > 0)
                return;
        sd_bus_message_unref(run->call);
        free(run);
}

static void run_fail(Run *run, int error, const char *what) {
        int r;

        if (run->answered)
                return;
        run->answered = true;
        run_labels_remove(run->manager, run->unit);
        r = sd_bus_reply_method_errnof(run->call, error, "%s: %s", what, strerror(-error));
        if (r < 0)
                log_debug_errno(r, "Cannot answer a call");
}

static void run_answer(Run *run, const Unit *u) {
        int r;

        if (run->answered)
                return;
        run->answered = true;
        if (!u || u->state == UNIT_DENIED)
                r = sd_bus_reply_method_errorf(run->call, "org.trireme.Error.Denied", "The labelled scope is denied everything: %s",
                                               u && u->reason_text ? u->reason_text : "it could not be enforced");
        else
                r = sd_bus_reply_method_return(run->call, "s", run->unit);
        if (r < 0)
                log_debug_errno(r, "Cannot answer a call");
}

static int run_ask(Run *run, HelperType type, link_answer_t answer) {
        int r = helper_request(run->manager, type, run->unit, 0, answer, run);

        if (r >= 0)
                run->n_ref++;
        return r;
}

/* Everything that was asked of the helper for this unit was asked before this request, and is done when it is answered. */
static void on_settled(Link *l, const LinkMessage *msg, int result, void *userdata) {
        Run *run = userdata;

        if (msg)
                return;
        if (result < 0)
                run_fail(run, result, "The scope cannot be enforced");
        run_answer(run, units_find(&run->manager->units, run->unit));
        run_unref(run);
}

static void on_loaded(Manager *m, const HelperUnit *info, LoadResult *result, void *userdata) {
        Run *run = userdata;
        int r = result->error;

        if (r >= 0) {
                enforce_loaded(m, info, result, NULL);
                r = run_ask(run, HELPER_GET_UNIT, on_settled);
        }
        if (r < 0)
                run_fail(run, r, "The scope's settings cannot be read");
        run_unref(run);
}

static void on_unit(Link *l, const LinkMessage *msg, int result, void *userdata) {
        Run *run = userdata;
        int r;

        if (msg && msg->header->type == HELPER_UNIT && msg->len == sizeof(HelperUnit)) {
                const LoadRequest request = { .info = (const HelperUnit *) msg->header, .done = on_loaded, .userdata = run };

                r = load_start(run->manager, &request);
                if (r < 0)
                        run_fail(run, r, "The scope's settings cannot be read");
                else
                        run->n_ref++;
                return;
        }
        if (msg)
                return;
        if (result < 0)
                run_fail(run, result, "The scope cannot be found");
        run_unref(run);
}

static void on_scope(Link *l, const LinkMessage *msg, int result, void *userdata) {
        Run *run = userdata;
        int r;

        if (msg)
                return;
        r = result < 0 ? result : run_ask(run, HELPER_GET_UNIT, on_unit);
        if (r < 0)
                run_fail(run, r, "The scope cannot be made");
        run_unref(run);
}

static int check_labels(char *const *labels, sd_bus_error *error) {
        TagSet tags = {};
        size_t n = 0;
        int r = 0;

        for (; r >= 0 && labels && labels[n]; n++) {
                const char *fault = "it cannot be read";

                r = label_parse(labels[n], &tags, &fault);
                if (r < 0 && r != -ENOMEM)
                        r = sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS, "\"%s\" is no label: %s", labels[n], fault);
        }
        tag_set_done(&tags);
        if (r >= 0 && (n == 0 || n > LABELS_MAX))
                return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS, "One to %u labels, please", LABELS_MAX);
        return r;
}

static int authorize(Manager *m, sd_bus_message *call, char *const *labels, sd_bus_error *error) {
        _cleanup_free_ char *text = NULL;
        size_t size = 1;

        for (char *const *l = labels; *l; l++)
                size += strlen(*l) + 1;
        text = calloc(1, size);
        if (!text)
                return -ENOMEM;
        for (char *const *l = labels; *l; l++) {
                strcat(text, l == labels ? "" : " ");
                strcat(text, *l);
        }
        return polkit_check(m, call, POLKIT_RUN, (const char *const[]) { "labels", text, NULL }, error);
}

static int sender_uid(sd_bus_message *call, uid_t *ret) {
        sd_bus_creds *creds = NULL;
        int r = sd_bus_query_sender_creds(call, SD_BUS_CREDS_EUID, &creds);

        if (r >= 0)
                r = sd_bus_creds_get_euid(creds, ret);
        sd_bus_creds_unref(creds);
        return r;
}

static int start_scope(Run *run, const uint8_t *id, uid_t uid, int pidfd) {
        HelperScope request = { .header.type = HELPER_START_SCOPE, .uid = uid };
        int r;

        if (!run->manager->helper_ready)
                return -ENOTCONN;
        memcpy(request.id, id, sizeof(request.id));
        r = link_request(run->manager->helper, &request, sizeof(request), pidfd, on_scope, run);
        if (r >= 0)
                run->n_ref++;
        return r;
}

/* A host that never had a labelled unit. Who may run this may have a key made (trireme-keygen.service), and ask again. */
static int check_key(const Manager *m, sd_bus_error *error) {
        if (m->keys->mode != KEY_NONE || !m->keys->fault || !startswith(m->keys->fault, "no key:"))
                return 1;
        return sd_bus_error_set(error, "org.trireme.Error.NoKey", m->keys->fault);
}

static int run_new(Manager *m, sd_bus_message *call, char *const *labels, int pidfd) {
        uint8_t id[16];
        size_t n = strlen(RUN_UNIT_PREFIX);
        uid_t uid;
        Run *run;
        int r;

        r = sender_uid(call, &uid);
        if (r >= 0)
                r = crypto_random(id, sizeof(id));
        if (r < 0)
                return r;
        run = calloc(1, sizeof(*run));
        if (!run)
                return -ENOMEM;
        *run = (Run) { .manager = m, .call = sd_bus_message_ref(call), .n_ref = 1, .unit = RUN_UNIT_PREFIX };
        for (size_t i = 0; i < sizeof(id); i++, n += 2)
                (void) snprintf(run->unit + n, 3, "%02x", id[i]);
        strcpy(run->unit + n, ".scope");
        r = run_labels_write(m, run->unit, labels);
        if (r >= 0)
                r = start_scope(run, id, uid, pidfd);
        if (r < 0)
                run_fail(run, r, "The scope cannot be made");
        run_unref(run);
        return 1;
}

int run_start(Manager *m, sd_bus_message *call, sd_bus_error *error) {
        char **labels = NULL;
        int r, pidfd;

        r = sd_bus_message_read_strv(call, &labels);
        if (r >= 0)
                r = sd_bus_message_read(call, "h", &pidfd);
        if (r >= 0)
                r = check_labels(labels, error);
        if (r >= 0)
                r = authorize(m, call, labels, error);
        if (r > 0)
                r = check_key(m, error);
        if (r > 0)
                r = run_new(m, call, labels, pidfd);
        else if (r == 0) { /* polkit was asked: the same call comes again and is read from its beginning */
                r = sd_bus_message_rewind(call, true);
                r = r < 0 ? r : 1;
        }
        for (char **l = labels; l && *l; l++)
                free(*l);
        free(labels);
        return r;
}

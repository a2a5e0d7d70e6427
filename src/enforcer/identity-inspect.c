/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/identity-inspect.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>

#include "enforcer/link.h"
#include "util/clock.h"
#include "util/fd.h"
#include "util/log.h"

#define IDLE_USEC (30 * USEC_PER_SEC) /* a process that nobody needs is 3 MiB */

typedef struct Question {
        struct Question *next;
        Inspector *inspector;
        InspectRequest request;
        int fd;
        unsigned n_tries;
        bool asked;
        InspectHeader *data;   /* came ahead of the reply */
        inspect_answer_t answer;
        void *userdata;
} Question;

struct Inspector {
        sd_event *event;          /* borrowed */
        Link *link;               /* NULL: there was nothing to ask for a while */
        sd_event_source *idle;
        Question *questions;
        unsigned n_questions;
        bool given;               /* the link's socket is from the caller: there is no other */
        bool ending;
};

static int on_idle(sd_event_source *s, uint64_t usec, void *userdata) {
        Inspector *i = userdata;

        if (i->n_questions == 0)
                i->link = link_free(i->link);
        return 0;
}

static void idle_begin(Inspector *i) {
        int r;

        if (!i->idle)
                r = sd_event_add_time_relative(i->event, &i->idle, CLOCK_BOOTTIME, IDLE_USEC, USEC_PER_SEC, on_idle, i);
        else {
                r = sd_event_source_set_time_relative(i->idle, IDLE_USEC);
                if (r >= 0)
                        r = sd_event_source_set_enabled(i->idle, SD_EVENT_ONESHOT);
        }
        if (r < 0)
                log_warning_errno(r, "trireme-inspect stays");
}

static void question_finish(Question *q, int result) {
        Inspector *i = q->inspector;

        for (Question **p = &i->questions; *p; p = &(*p)->next)
                if (*p == q) {
                        *p = q->next;
                        break;
                }
        i->n_questions--;
        if (result >= 0 && !q->data)
                result = -ENODATA;
        if (i->n_questions == 0 && !i->ending && !i->given)
                idle_begin(i);
        q->answer(result < 0 ? NULL : q->data, result, q->userdata);
        free(q->data);
        closep(&q->fd);
        free(q);
}

typedef struct Shape {
        InspectType type;
        size_t size;
} Shape;

/* What the data of an answer looks like. */
static Shape shape_of(InspectType question) {
        switch (question) {
        case INSPECT_HASH: return (Shape) { INSPECT_HASHED, sizeof(InspectHashed) };
        case INSPECT_LIBRARY: return (Shape) { INSPECT_LIBRARY_PATH, sizeof(InspectLibraryPath) };
        default: return (Shape) { INSPECT_PROGRAM_INFO, sizeof(InspectProgramInfo) };
        }
}

static void on_answer(Link *l, const LinkMessage *msg, int result, void *userdata) {
        Question *q = userdata;

        if (msg) {
                const Shape shape = shape_of(q->request.header.type);

                if (q->data || msg->header->type != shape.type || msg->len != shape.size)
                        return;
                q->data = malloc(msg->len);
                if (q->data)
                        memcpy(q->data, msg->header, msg->len);
                return;
        }
        q->asked = false;
        if (result == -ECONNRESET && !q->inspector->ending && q->n_tries < INSPECT_TRIES) { /* on_state() asks it again */
                free(q->data);
                q->data = NULL;
                return;
        }
        question_finish(q, result);
}

static int question_ask(Question *q) {
        int r;

        if (!link_is_connected(q->inspector->link))
                return 0; /* on_state() does it */
        r = link_request(q->inspector->link, &q->request, sizeof(q->request), q->fd, on_answer, q);
        if (r < 0)
                return r;
        q->asked = true;
        q->n_tries++;
        return 0;
}

static void on_message(Link *l, const LinkMessage *msg, void *userdata) {
        log_debug("An answer without a question from the inspection");
}

static void on_state(Link *l, bool connected, void *userdata) {
        Inspector *i = userdata;

        if (!connected)
                return;
        for (Question *q = i->questions, *next; q; q = next) {
                int r = q->asked ? 0 : question_ask(q);

                next = q->next;
                if (r < 0)
                        question_finish(q, r);
        }
}

static int inspector_connect(Inspector *i, int fd) {
        const LinkConfig config = {
                .name = "the inspection", .path = INSPECT_SOCKET_PATH, .message_max = sizeof(InspectProgramInfo), .reply_type = INSPECT_REPLY,
                .on_message = on_message, .on_state = on_state, .userdata = i,
        };

        return fd >= 0 ? link_new_fd(i->event, &config, fd, &i->link) : link_new(i->event, &config, &i->link);
}

int inspector_new(sd_event *event, int fd, Inspector **ret) {
        _cleanup_(inspector_freep) Inspector *i = calloc(1, sizeof(*i));
        int r;

        if (!i)
                return -ENOMEM;
        i->event = event;
        i->given = fd >= 0;
        r = fd >= 0 ? inspector_connect(i, fd) : 0;
        if (r < 0)
                return r;
        *ret = TAKE_PTR(i);
        return 0;
}

Inspector *inspector_free(Inspector *i) {
        if (!i)
                return NULL;
        i->ending = true;
        i->idle = sd_event_source_disable_unref(i->idle);
        i->link = link_free(i->link);
        while (i->questions)
                question_finish(i->questions, -ECONNRESET);
        free(i);
        return NULL;
}

int inspector_ask(Inspector *i, InspectType type, const char *name, int fd, inspect_answer_t answer, void *userdata) {
        Question *q;
        int r;

        if (i->n_questions >= INSPECT_WAITING_MAX)
                return -ENOBUFS;
        if (strlen(name) >= PROGRAM_NAME_MAX)
                return -ENAMETOOLONG;
        r = i->link ? 0 : inspector_connect(i, -1);
        if (r < 0)
                return r;
        q = calloc(1, sizeof(*q));
        if (!q)
                return -ENOMEM;
        *q = (Question) { .inspector = i, .request.header.type = type, .answer = answer, .userdata = userdata };
        strcpy(q->request.name, name);
        q->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        if (q->fd < 0) {
                r = -errno;
                free(q);
                return r;
        }
        r = question_ask(q);
        if (r < 0) {
                closep(&q->fd);
                free(q);
                return r;
        }
        q->next = i->questions;
        i->questions = q;
        i->n_questions++;
        return 0;
}

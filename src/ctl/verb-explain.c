/* SPDX-License-Identifier: GPL-2.0-or-later */

/* explain: would this connection be allowed, and why. The enforcer answers; it is the one that decides. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/agent.h"
#include "ctl/bus.h"
#include "ctl/names.h"
#include "ctl/output.h"
#include "util/log.h"

/* A unit, or labels "k=v k=v". */
static int who(const char *s, char **ret) {
        char *p;

        if (!strchr(s, '='))
                return unit_name_mangle(s, ret);
        p = strdup(s);
        if (!p)
                return log_error_errno(-ENOMEM, "Cannot explain");
        *ret = p;
        return 0;
}

/* The text may have several lines; each is somebody's words. */
static void print_lines(const char *indent, const char *text) {
        _cleanup_free_ char *copy = strdup(text);

        for (char *line = copy, *next; line && *line; line = next) {
                next = line + strcspn(line, "\n");
                if (*next)
                        *next++ = '\0';
                printf("%s", indent);
                print_text(line);
                printf("\n");
        }
}

static void print_side(const char *title, json_t *side) {
        const char *unit = json_string_value(json_object_get(side, "unit")), *text = json_string_value(json_object_get(side, "text"));

        printf("\n%s: ", title);
        print_text(unit && *unit ? unit : "any peer");
        printf(" %s\n", json_is_true(json_object_get(side, "allowed")) ? "allows it" : "denies it");
        print_field("Labels", json_object_get(side, "labels"));
        print_field("Reason", json_object_get(side, "reason"));
        print_field("Rule", json_object_get(side, "rule"));
        if (text)
                print_lines("              ", text);
}

static void print_explanation(const Options *o, json_t *v, bool allowed) {
        const char *text = json_string_value(json_object_get(v, "text"));

        print_word(o, allowed ? "allowed" : "DENIED", 0);
        printf(": ");
        print_text(json_string_value(json_object_get(v, "reason")));
        printf("\n");
        if (text)
                print_lines("", text);
        if (json_is_object(json_object_get(v, "client")))
                print_side("Client", json_object_get(v, "client"));
        if (json_is_object(json_object_get(v, "server")))
                print_side("Server", json_object_get(v, "server"));
}

int verb_explain(const Options *o, int argc, char **argv) {
        _cleanup_(agent_closep) _unused_ pid_t agent = 0;
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(json_decrefp) json_t *v = NULL;
        _cleanup_free_ char *from = NULL, *to = NULL;
        json_error_t error;
        const char *text;
        int r, allowed;

        if (!o->from || !o->to) {
                log_error("explain needs --from= and --to=");
                return CTL_FAILED;
        }
        r = who(o->from, &from);
        if (r >= 0)
                r = who(o->to, &to);
        if (r < 0)
                return CTL_FAILED;
        agent = agent_open(o);
        r = ctl_bus_open(o, &bus);
        if (r >= 0)
                r = ctl_bus_call(bus, "explain", "Explain", &reply, "sss", from, to, o->port ?: "");
        if (r >= 0)
                r = sd_bus_message_read(reply, "bs", &allowed, &text);
        if (r < 0)
                return CTL_FAILED;
        v = json_loads(text, JSON_REJECT_DUPLICATES, &error);
        if (!v) {
                log_error("The enforcer's answer is not JSON (%s)", error.text);
                return CTL_FAILED;
        }
        if (o->json == JSON_OFF)
                print_explanation(o, v, allowed);
        else if (print_json(o, v) < 0)
                return CTL_FAILED;
        return allowed ? CTL_OK : CTL_DENIED;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */

/* suggest: what was denied of one unit, as the settings that would have allowed it. Nothing is written: whether it should be allowed is for a person to say. */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ctl/agent.h"
#include "ctl/bus.h"
#include "ctl/names.h"
#include "ctl/output.h"
#include "policy/suggest.h"
#include "util/log.h"

static int read_denials(sd_bus *bus, const char *unit, SuggestionList *ret) {
        _cleanup_(json_decrefp) json_t *flows = NULL;
        json_t *flow;
        size_t i;
        int r = ctl_bus_list_flows(bus, CTL_FLOWS_ALL, true, &flows);

        if (r < 0)
                return r;
        json_array_foreach(flows, i, flow) {
                bool connect = streq(json_text(flow, "direction"), "connect");
                json_t *labels = json_object_get(flow, "peer_labels");
                _cleanup_free_ char *text = labels ? json_to_text(labels) : strdup("");
                const SuggestDenial d = {
                        .connect = connect,
                        .claimed = json_is_true(json_object_get(flow, "claimed")),
                        .reason = json_text(flow, "reason"),
                        .rule = json_text(flow, "rule"),
                        .address = json_text(flow, connect ? "destination" : "source"),
                        .protocol = json_text(flow, "protocol"),
                        .port = (uint16_t) json_integer_value(json_object_get(flow, "port")),
                        .peer_unit = json_text(flow, "peer_unit"),
                        .labels = text,
                };

                if (!streq(json_text(flow, "local_unit"), unit))
                        continue;
                r = text ? suggest(&d, ret) : -ENOMEM;
                if (r < 0)
                        return log_error_errno(r, "Cannot suggest");
        }
        return 0;
}

static int append(json_t *lines, char *line, const char *why, unsigned n) {
        json_t *o = line ? json_pack("{s:s s:s s:i}", "line", line, "why", why, "connections", (int) n) : NULL;

        free(line);
        return o && json_array_append_new(lines, o) == 0 ? 0 : -ENOMEM;
}

/* A rule of the unit's own takes the place of what accepts now: its policy's accept rules, or the default policy same-label. Both are said again. */
static int append_kept(json_t *lines, json_t *unit, bool connect) {
        json_t *rules = json_object_get(unit, connect ? "connect" : "accept"), *labels = json_object_get(unit, "labels"), *v;
        const char *last = json_string_value(json_array_get(rules, json_array_size(rules) - 1)) ?: "";
        bool named = *json_text(unit, "policy");
        size_t i;
        int r = 0;

        if (!named && !streq(last, "same-label")) /* lines of the unit's own, which stay */
                return 0;
        json_array_foreach(named ? rules : labels, i, v) {
                const char *text = json_string_value(v) ?: "";

                if (r >= 0 && !startswith(text, "reject ") && !startswith(text, "observe "))
                        r = append(lines, suggest_line(connect, text), named ? "accepted by its policy, whose accept rules a line of the unit's own replaces"
                                                                             : "accepted by same-label, which a line of the unit's own replaces", 0);
        }
        return r;
}

static int make_lines(json_t *unit, const SuggestionList *list, json_t *lines) {
        bool kept[2] = {};
        int r = 0;

        for (size_t i = 0; r >= 0 && i < list->n_items; i++) {
                const Suggestion *s = &list->items[i];

                if (s->rule && !kept[s->connect])
                        r = append_kept(lines, unit, s->connect);
                kept[s->connect] = kept[s->connect] || s->rule;
                if (r >= 0 && s->line)
                        r = append(lines, strdup(s->line), s->why, s->n_denials);
        }
        for (size_t i = 0; r >= 0 && i < list->n_items; i++)
                if (!list->items[i].line)
                        r = append(lines, strdup(""), list->items[i].why, list->items[i].n_denials);
        return r < 0 ? log_error_errno(r, "Cannot suggest") : 0;
}

static void print_drop_in(const char *unit, json_t *lines) {
        const char *before = "";
        json_t *v;
        size_t i;

        printf("# For \"systemctl edit %s\": what would allow what was denied so far. Take what should be allowed.\n[X-Trireme]\n", unit);
        json_array_foreach(lines, i, v) {
                json_int_t n = json_integer_value(json_object_get(v, "connections"));
                const char *why = json_text(v, "why"), *line = json_text(v, "line");

                if (!streq(why, before) || n > 0) {
                        printf("\n# ");
                        if (n > 0)
                                printf("%lld time%s: ", (long long) n, n == 1 ? "" : "s");
                        print_text(why);
                        printf("\n");
                }
                before = why;
                if (*line) {
                        print_text(line);
                        printf("\n");
                }
        }
}

int verb_suggest(const Options *o, int argc, char **argv) {
        _cleanup_(agent_closep) _unused_ pid_t agent = agent_open(o);
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_(json_decrefp) json_t *unit = NULL, *lines = json_array();
        _cleanup_(suggestion_list_done) SuggestionList list = {};
        _cleanup_(pager_closep) _unused_ pid_t pager = 0;
        _cleanup_free_ char *name = NULL, *path = NULL;
        int r = unit_name_mangle(argv[1], &name);

        if (r >= 0)
                r = ctl_bus_open(o, &bus);
        if (r < 0)
                return CTL_FAILED;
        ctl_bus_real_name(bus, &name);
        r = ctl_bus_get_unit(bus, name, &path);
        if (r >= 0)
                r = ctl_bus_describe(bus, path, TRIREME_UNIT, &unit);
        if (r >= 0)
                r = read_denials(bus, name, &list);
        if (r >= 0)
                r = make_lines(unit, &list, lines);
        if (r < 0)
                return CTL_FAILED;
        if (o->json != JSON_OFF)
                return print_json(o, lines) < 0 ? CTL_FAILED : CTL_OK;
        pager = pager_open(o);
        if (json_array_size(lines) > 0)
                print_drop_in(name, lines);
        else if (!o->no_legend)
                printf("# No denial of %s is remembered.\n", name);
        return CTL_OK;
}

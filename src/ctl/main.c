/* SPDX-License-Identifier: GPL-2.0-or-later */

/* triremectl(1): options, and the verb that they are for. */

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "ctl/ctl.h"
#include "ctl/names.h"
#include "ctl/output.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/macro.h"

#define FLOWS_DEFAULT 100u

typedef struct Verb {
        const char *name;
        int min_args, max_args; /* without the name itself; -1: any number */
        verb_fn fn;
        const char *synopsis;
} Verb;

static const Verb verbs[] = {
        { "list", 0, 0, verb_list, "list                                   List the labelled units" },
        { "status", 0, 1, verb_status, "status [UNIT]                          What is in force, on this host or for one unit" },
        { "show", 1, 1, verb_show, "show UNIT                              Properties of a unit, for programs" },
        { "explain", 0, 0, verb_explain, "explain --from=WHO --to=WHO            Would it be allowed, and why" },
        { "flows", 0, 0, verb_flows, "flows [-f] [--denied]                  Who connected to whom" },
        { "graph", 0, -1, verb_graph, "graph [UNIT...] [--dot]                Who may connect to whom on this host, and who did" },
        { "suggest", 1, 1, verb_suggest, "suggest UNIT                           Settings that would allow what was denied" },
        { "run", 1, -1, verb_run, "run --label=K=V... [--] COMMAND...     Run a command with labels" },
        { "ping", 1, 1, verb_ping, "ping HOST:PORT [--label=K=V...]        What the path does to identities" },
        { "label", 2, -1, verb_label, "label UNIT K=V... [--confirm=TIME]     Write a drop-in with labels" },
        { "confirm", 1, 1, verb_confirm, "confirm UNIT                           Keep the labels that are on trial" },
        { "revert", 1, 1, verb_revert, "revert UNIT                            Take the labels that are on trial back" },
        { "policy", 1, -1, verb_policy, "policy eval|check ...                  Judge by rules, or look for faults, without a daemon" },
        { "key", 1, -1, verb_key, "key new|show|rotate ...                Make, show and change keys" },
        { "ca", 2, -1, verb_ca, "ca init|issue|revoke DIRECTORY ...     A small certification authority" },
        { "doctor", 0, 0, verb_doctor, "doctor                                 Look for what is wrong on this host, and try whether it works" },
        { "audit", 0, -1, verb_audit, "audit [UNIT...]                        Name the ways out of each labelled unit's cage" },
        { "disarm", 0, 0, verb_disarm, "disarm [--for=TIME]                    Let everything pass" },
        { "arm", 0, 0, verb_arm, "arm                                    Enforce again" },
        { "reload", 0, 0, verb_reload, "reload                                 Read configuration and units again" },
};

enum {
        ARG_VERSION = 256, ARG_JSON, ARG_NO_PAGER, ARG_NO_LEGEND, ARG_NO_ASK_PASSWORD, ARG_LABEL, ARG_FROM, ARG_TO, ARG_PORT, ARG_DENIED, ARG_FOR,
        ARG_RUNTIME, ARG_ENCRYPT, ARG_POLICY, ARG_NAME, ARG_RULE, ARG_DIRECTION, ARG_TAGS, ARG_THRESHOLD, ARG_DOT, ARG_CONFIRM,
};

static const struct option long_options[] = {
        { "help", no_argument, NULL, 'h' }, { "version", no_argument, NULL, ARG_VERSION }, { "json", required_argument, NULL, ARG_JSON },
        { "no-pager", no_argument, NULL, ARG_NO_PAGER }, { "no-legend", no_argument, NULL, ARG_NO_LEGEND },
        { "no-ask-password", no_argument, NULL, ARG_NO_ASK_PASSWORD }, { "host", required_argument, NULL, 'H' },
        { "machine", required_argument, NULL, 'M' }, { "label", required_argument, NULL, ARG_LABEL }, { "from", required_argument, NULL, ARG_FROM },
        { "to", required_argument, NULL, ARG_TO }, { "port", required_argument, NULL, ARG_PORT }, { "follow", no_argument, NULL, 'f' },
        { "denied", no_argument, NULL, ARG_DENIED }, { "lines", required_argument, NULL, 'n' }, { "for", required_argument, NULL, ARG_FOR },
        { "runtime", no_argument, NULL, ARG_RUNTIME }, { "encrypt", no_argument, NULL, ARG_ENCRYPT }, { "policy", required_argument, NULL, ARG_POLICY }, { "name", required_argument, NULL, ARG_NAME },
        { "rule", required_argument, NULL, ARG_RULE }, { "direction", required_argument, NULL, ARG_DIRECTION }, { "tags", required_argument, NULL, ARG_TAGS },
        { "confirm", required_argument, NULL, ARG_CONFIRM },
        { "threshold", required_argument, NULL, ARG_THRESHOLD }, { "dot", no_argument, NULL, ARG_DOT },
        {},
};

static int usage(void) {
        printf("%s [OPTIONS...] VERB ...\n\nAsk and steer the Trireme enforcer.\n\nVerbs:\n", program_invocation_short_name);
        for (size_t i = 0; i < ELEMENTSOF(verbs); i++)
                printf("  %s\n", verbs[i].synopsis);
        printf("\nOptions:\n"
               "  -h --help               Show this help\n"
               "     --version            Show the version\n"
               "     --json=MODE          Print JSON: short, pretty, off\n"
               "  -j                      --json=pretty on a terminal, --json=short elsewhere\n"
               "     --no-pager           Do not pipe the output into a pager\n"
               "     --no-legend          Do not print headers and totals\n"
               "     --no-ask-password    Do not ask for passwords\n"
               "  -H --host=[USER@]HOST   Ask a host over ssh\n"
               "  -M --machine=CONTAINER  Ask a local container\n"
               "     --label=KEY=VALUE    run, ping: a label of the command or the connection; ca issue: one that the node's units may have\n"
               "     --from=WHO --to=WHO  explain: a unit, or \"KEY=VALUE ...\"\n"
               "     --port=PORT/PROTO    explain, policy eval: the server's port\n"
               "  -f --follow             flows: go on as they come\n"
               "     --denied             flows: only what was denied, or would have been\n"
               "  -n --lines=N            flows: the last N (default 100)\n"
               "     --for=TIME           disarm: arm again after this time; ca: how long it is valid\n"
               "     --runtime            label: until the next boot only\n"
               "     --confirm=TIME       label: take it back after this time, unless it is confirmed\n"
               "     --encrypt            key new: with systemd-creds, into /etc/credstore.encrypted\n"
               "     --threshold=N        audit: fail if a unit has more ways out\n"
               "     --dot                graph: for dot(1) of graphviz\n"
               "     --rule='CLAUSE ...' --policy=FILE --name=NAME --direction=accept|connect --tags='KEY=VALUE ...'\n"
               "                          policy eval: which rules, which way, over which tags\n"
               "\nExit status: 0 done or allowed, 1 failed, 3 denied (explain, ping, policy eval); run: that of the command.\n");
        return CTL_OK;
}

static int parse_json_mode(const char *s, JsonMode *ret) {
        static const char *const names[] = { [JSON_OFF] = "off", [JSON_SHORT] = "short", [JSON_PRETTY] = "pretty" };

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (streq(s, names[i])) {
                        *ret = (JsonMode) i;
                        return 0;
                }
        log_error("--json= is short, pretty or off.");
        return -EINVAL;
}

static int list_add(CtlList *list, const char *item) {
        if (list->n_items == CTL_LIST_MAX) {
                log_error("At most %u of these, please: %s", CTL_LIST_MAX, item);
                return -E2BIG;
        }
        list->items[list->n_items++] = item;
        return 0;
}

static int parse_lines(const char *s, uint32_t *ret) {
        unsigned long n;
        char *end;

        errno = 0;
        n = strtoul(s, &end, 10);
        if (errno != 0 || end == s || *end || *s == '-' || n == 0 || n > UINT32_MAX) {
                log_error("--lines= is a number above zero.");
                return -EINVAL;
        }
        *ret = (uint32_t) n;
        return 0;
}

static int parse_threshold(const char *s, size_t *ret) {
        unsigned long n;
        char *end;

        errno = 0;
        n = strtoul(s, &end, 10);
        if (errno != 0 || end == s || *end || *s == '-') {
                log_error("--threshold= is a number.");
                return -EINVAL;
        }
        *ret = n;
        return 0;
}

/* 0, or a negative errno, said already. */
static int parse_option(Options *o, int c) {
        switch (c) {
        case ARG_JSON: return parse_json_mode(optarg, &o->json);
        case 'j': o->json = isatty(STDOUT_FILENO) ? JSON_PRETTY : JSON_SHORT; return 0;
        case ARG_NO_PAGER: o->no_pager = true; return 0;
        case ARG_NO_LEGEND: o->no_legend = true; return 0;
        case ARG_NO_ASK_PASSWORD: o->no_ask_password = true; return 0;
        case 'H': o->host = optarg; return 0;
        case 'M': o->machine = optarg; return 0;
        case ARG_LABEL: return list_add(&o->labels, optarg);
        case ARG_FROM: o->from = optarg; return 0;
        case ARG_TO: o->to = optarg; return 0;
        case ARG_PORT: o->port = optarg; return 0;
        case 'f': o->follow = true; return 0;
        case ARG_DENIED: o->denied = true; return 0;
        case 'n': return parse_lines(optarg, &o->lines);
        case ARG_FOR: return parse_span(optarg, &o->usec);
        case ARG_CONFIRM: return parse_span(optarg, &o->confirm_usec);
        case ARG_RUNTIME: o->runtime = true; return 0;
        case ARG_ENCRYPT: o->encrypt = true; return 0;
        case ARG_POLICY: o->policy = optarg; return 0;
        case ARG_NAME: o->policy_name = optarg; return 0;
        case ARG_RULE: return list_add(&o->rules, optarg);
        case ARG_DIRECTION: o->direction = optarg; return 0;
        case ARG_TAGS: o->tags = optarg; return 0;
        case ARG_THRESHOLD: return parse_threshold(optarg, &o->threshold);
        case ARG_DOT: o->dot = true; return 0;
        default: return -EINVAL; /* getopt said it */
        }
}

/* Options in argv[1..], up to the first word if posix. Returns 0, 1 when help or version was printed, or a negative errno. */
static int parse_options(Options *o, int argc, char **argv, bool posix) {
        int c;

        optind = 0; /* glibc: begin anew */
        while ((c = getopt_long(argc, argv, posix ? "+hjH:M:fn:" : "hjH:M:fn:", long_options, NULL)) >= 0) {
                int r = 0;

                if (c == 'h')
                        return usage() == CTL_OK;
                if (c == ARG_VERSION)
                        return printf("trireme " TRIREME_VERSION "\n") > 0;
                r = parse_option(o, c);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int run_verb(Options *o, int argc, char **argv) {
        const Verb *verb = NULL;
        char *name;
        int r;

        for (size_t i = 0; i < ELEMENTSOF(verbs); i++)
                if (streq(argv[0], verbs[i].name))
                        verb = &verbs[i];
        if (!verb) {
                log_error("Unknown verb \"%s\". Try --help.", argv[0]);
                return CTL_FAILED;
        }
        name = argv[0];
        argv[0] = program_invocation_short_name; /* for what getopt says */
        r = parse_options(o, argc, argv, verb->fn == verb_run); /* what follows COMMAND is COMMAND's */
        argv[0] = name;
        if (r != 0)
                return r < 0 ? CTL_FAILED : CTL_OK;
        argc -= optind;
        if (argc < verb->min_args || (verb->max_args >= 0 && argc > verb->max_args)) {
                log_error("Too %s arguments. Usage: %s %.*s", argc < verb->min_args ? "few" : "many", program_invocation_short_name,
                          (int) (strstr(verb->synopsis, "  ") - verb->synopsis), verb->synopsis);
                return CTL_FAILED;
        }
        argv += optind - 1;
        return verb->fn(o, argc + 1, argv);
}

/* With one of them closed, the next descriptor opened would take its number, and messages would go wherever that leads. */
static int open_standard_streams(void) {
        int fd;

        do
                fd = open("/dev/null", O_RDWR | O_CLOEXEC); /* closed again in the command of run, as the caller had it */
        while (fd >= 0 && fd <= STDERR_FILENO);
        if (fd > STDERR_FILENO)
                close(fd);
        return fd < 0 ? -errno : 0;
}

/* What printf() could not write shows only here. */
static int finish(int code) {
        if (fflush(stdout) == 0 && !ferror(stdout))
                return code;
        if (code != CTL_FAILED)
                log_error("Cannot write all of the output.");
        return CTL_FAILED;
}

int main(int argc, char **argv) {
        Options o = { .lines = FLOWS_DEFAULT, .usec = USEC_INFINITY, .threshold = SIZE_MAX };
        static char list[] = "list";
        char *default_argv[] = { list, NULL };
        int r;

        (void) setlocale(LC_ALL, "");
        o.colors = colors_wanted();
        log_setup("triremectl");
        if (open_standard_streams() < 0)
                return CTL_FAILED;
        r = parse_options(&o, argc, argv, true);
        if (r != 0)
                return finish(r < 0 ? CTL_FAILED : CTL_OK);
        return finish(optind < argc ? run_verb(&o, argc - optind, argv + optind) : run_verb(&o, 1, default_argv));
}

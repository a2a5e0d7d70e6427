/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* triremectl: what its verbs share. A verb gets the options and its arguments, prints, and returns an exit code of CtlExit. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum CtlExit {
        CTL_OK = 0,     /* done, or allowed */
        CTL_FAILED = 1,
        CTL_DENIED = 3, /* explain, ping, policy eval */
} CtlExit;

typedef enum JsonMode { JSON_OFF, JSON_SHORT, JSON_PRETTY } JsonMode;

#define CTL_LIST_MAX 64u

typedef struct CtlList { /* of a repeatable option; the strings are borrowed from the command line */
        const char *items[CTL_LIST_MAX];
        size_t n_items;
} CtlList;

typedef struct Options {
        const char *host, *machine;
        JsonMode json;
        bool no_pager, no_legend, no_ask_password;
        bool colors;
        /* of single verbs */
        CtlList labels, rules;          /* run, ping; policy eval */
        const char *from, *to, *port;   /* explain; port: policy eval too */
        const char *policy, *policy_name, *direction, *tags; /* policy eval */
        bool follow, denied;            /* flows */
        uint32_t lines;                 /* flows */
        uint64_t usec;                  /* disarm: for how long */
        bool runtime;                   /* label */
        uint64_t confirm_usec;          /* label: taken back after this time; 0: never */
        size_t threshold;               /* audit: ways out that a unit may have */
        bool dot;                       /* graph */
        bool encrypt;                   /* key new */
} Options;

/* argv[0] is the verb's own name. */
typedef int (*verb_fn)(const Options *o, int argc, char **argv);

int verb_list(const Options *o, int argc, char **argv);
int verb_status(const Options *o, int argc, char **argv);
int verb_show(const Options *o, int argc, char **argv);
int verb_explain(const Options *o, int argc, char **argv);
int verb_flows(const Options *o, int argc, char **argv);
int verb_run(const Options *o, int argc, char **argv);
int verb_ping(const Options *o, int argc, char **argv);
int verb_doctor(const Options *o, int argc, char **argv);
int verb_label(const Options *o, int argc, char **argv);
int verb_confirm(const Options *o, int argc, char **argv);
int verb_revert(const Options *o, int argc, char **argv);
int verb_disarm(const Options *o, int argc, char **argv);
int verb_arm(const Options *o, int argc, char **argv);
int verb_reload(const Options *o, int argc, char **argv);
int verb_key(const Options *o, int argc, char **argv);
int verb_ca(const Options *o, int argc, char **argv);
int verb_policy(const Options *o, int argc, char **argv);
int verb_graph(const Options *o, int argc, char **argv);
int verb_suggest(const Options *o, int argc, char **argv);
int verb_audit(const Options *o, int argc, char **argv);

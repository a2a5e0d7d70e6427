/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* "triremectl policy eval": rules and tags as text in, a verdict as text out. Pure, needs no daemon. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/config-file.h"
#include "util/macro.h"

typedef struct PolicyEvalInput {
        const char *const *rules;  /* "CLAUSE ...", accept rules of the direction, as in TriremeAccept= */
        size_t n_rules;
        const ConfigFile *policy;  /* a JSON policy file, NULL: none. With rules: they replace its accepts */
        const char *policy_name;   /* which of its policies; NULL: the only one */
        bool connect;              /* false: accept rules over a client's tags; true: connect rules over a server's */
        const char *tags;          /* "k=v k=v", a key without '@' is a label */
        const char *port;          /* "80/tcp", "80"; NULL: not known */
} PolicyEvalInput;

typedef struct PolicyEvalResult {
        bool accept;
        const char *reason; /* reason_to_string() */
        char *rule;         /* name of the deciding rule (of one given as text: the text), NULL: none */
        char *text;         /* explanation for people, several lines */
} PolicyEvalResult;

void policy_eval_result_done(PolicyEvalResult *r);
/* 0; -EINVAL: faults appended to *errors (path is the file, or "--rule", "--tags", "--port", "--name"), *ret untouched; -ENOMEM. */
_must_use_ int policy_eval(const PolicyEvalInput *in, PolicyEvalResult *ret, ConfigErrors *errors);
/* "80/tcp", "53/udp", "80": protocol is IPPROTO_*, port host order. -EINVAL. */
_must_use_ int policy_port_parse(const char *s, uint8_t *ret_protocol, uint16_t *ret_port);

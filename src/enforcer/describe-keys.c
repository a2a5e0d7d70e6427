/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/describe-keys.h"

#include <stdio.h>
#include <time.h>

/* Takes text; NULL: no memory. */
static int append(json_t *array, char *text) {
        int r = text ? json_array_append_new(array, json_string(text)) : -1;

        free(text);
        return r;
}

static int fill_psk(json_t *ids, const Keys *k) {
        int r = 0;

        for (size_t i = 0; r >= 0 && i < k->n_psks; i++) {
                char *text;

                r = asprintf(&text, "%08x%s", k->psks[i].key_id, i == 0 ? " (own)" : " (accepted)") < 0 ? -1 : append(ids, text);
        }
        return r;
}

static int fill_names(json_t *labels, json_t *hosts, const Constraints *c) {
        int r = 0;

        for (size_t i = 0; r >= 0 && i < c->n_patterns; i++)
                if (c->patterns[i].depth == 0)
                        r = append(labels, constraint_format(&c->patterns[i]));
        for (size_t i = 0; r >= 0 && i < c->n_hosts; i++)
                r = append(hosts, tag_escape(c->hosts[i]));
        return r;
}

static void format_serial(const CertificateInfo *info, char ret[static 2 * CERTIFICATE_SERIAL_MAX + 1]) {
        for (uint32_t i = 0; i < info->serial_len && i < CERTIFICATE_SERIAL_MAX; i++)
                ret += sprintf(ret, "%02X", info->serial[i]);
        *ret = '\0';
}

static void format_date(int64_t sec, char ret[static 32]) {
        time_t t = (time_t) sec;
        struct tm tm;

        if (sec == 0 || !gmtime_r(&t, &tm) || strftime(ret, 32, "%Y-%m-%d %H:%M:%S UTC", &tm) == 0)
                *ret = '\0';
}

json_t *describe_keys(const Keys *k) {
        char serial[2 * CERTIFICATE_SERIAL_MAX + 1], until[32];
        json_t *o;

        format_serial(&k->info, serial);
        format_date(k->info.own_until_sec, until);
        o = json_pack("{s:s s:s s:[] s:s s:s s:[] s:[]}", "mode", key_mode_to_string(k->mode), "fault", k->fault ?: "", "key_ids", "serial", serial,
                      "valid_until", until, "labels", "hosts");
        if (o && (fill_psk(json_object_get(o, "key_ids"), k) < 0 ||
                  fill_names(json_object_get(o, "labels"), json_object_get(o, "hosts"), &k->constraints) < 0)) {
                json_decref(o);
                return NULL;
        }
        return o;
}

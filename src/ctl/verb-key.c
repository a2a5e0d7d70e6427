/* SPDX-License-Identifier: GPL-2.0-or-later */

/* key: makes, shows and changes the keys of this node. What goes from host to host is the file; nothing here touches another host. */

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/authority.h"
#include "ctl/bus.h"
#include "ctl/ctl.h"
#include "ctl/key-file.h"
#include "ctl/output.h"
#include "util/log.h"

#define PSK_PATH CREDSTORE "/trireme.psk"

static int key_new(const Options *o, const char *path) {
        _cleanup_(secret_freep) char *text = NULL;
        int r = psk_text_new(&text);

        if (r >= 0 && !o->encrypt && streq(path, PSK_PATH) && mkdir(CREDSTORE, 0700) < 0 && errno != EEXIST)
                r = log_error_errno(errno, "Cannot create " CREDSTORE);
        if (r >= 0 && o->encrypt)
                r = key_store_encrypted("trireme.psk", text);
        else if (r >= 0)
                r = key_file_write(path, text, 0600, false);
        if (r < 0)
                return CTL_FAILED;
        log_notice("Made %s. Copy it to the hosts that shall form one group, then run triremectl reload on each.", o->encrypt ? "an encrypted trireme.psk" : path);
        return CTL_OK;
}

/* ---- rotate ---- */

typedef struct Lines { /* of a trireme.psk; second is NULL when there is but one */
        const char *first, *second;
        size_t n_first;
} Lines;

static int split(const char *path, const char *text, Lines *ret) {
        const char *newline = strchr(text, '\n');

        *ret = (Lines) { .first = text, .n_first = newline ? (size_t) (newline - text) : strlen(text) };
        ret->second = newline && newline[1] ? newline + 1 : NULL;
        if (ret->n_first > 0 && (!ret->second || !strchr(ret->second, '\n') || !strchr(ret->second, '\n')[1]))
                return 0;
        log_error("%s has more than two keys; take out what is no longer used first.", path);
        return -EINVAL;
}

/* old: own is first; add: old, new; use: new, old; drop: new. */
static int rotate_text(const char *step, const Lines *l, char **ret) {
        _cleanup_(secret_freep) char *fresh = NULL;
        size_t n_second = l->second ? strcspn(l->second, "\n") : 0;
        int n = -1;

        if (streq(step, "add") && !l->second) {
                if (psk_text_new(&fresh) < 0)
                        return -EIO;
                n = asprintf(ret, "%.*s\n%s", (int) l->n_first, l->first, fresh);
        } else if (streq(step, "use") && l->second)
                n = asprintf(ret, "%.*s\n%.*s\n", (int) n_second, l->second, (int) l->n_first, l->first);
        else if (streq(step, "drop") && l->second)
                n = asprintf(ret, "%.*s\n", (int) l->n_first, l->first);
        else {
                log_error(l->second ? "There are two keys already; go on with \"use\" or \"drop\"." : "There is one key only; begin with \"add\".");
                return -EINVAL;
        }
        return n < 0 ? log_error_errno(ENOMEM, "Cannot change the key") : 0;
}

static int key_rotate(const char *step, const char *path) {
        static const struct {
                const char *step, *next;
        } steps[] = {
                { "add", "The old key is still used, the new one accepted. Copy the file to all hosts, run triremectl reload on each; then \"triremectl key rotate use\"." },
                { "use", "The new key is used, the old one still accepted. Copy the file to all hosts, run triremectl reload on each; then \"triremectl key rotate drop\"." },
                { "drop", "The old key is gone from the file. Copy it to all hosts and run triremectl reload on each." },
        };
        _cleanup_(secret_freep) char *text = NULL, *changed = NULL;
        const char *next = NULL;
        Lines lines;
        int r;

        for (size_t i = 0; i < ELEMENTSOF(steps); i++)
                if (streq(step, steps[i].step))
                        next = steps[i].next;
        if (!next) {
                log_error("The steps are add, use and drop.");
                return CTL_FAILED;
        }
        r = key_file_read(path, &text);
        if (r == -ENOENT)
                log_error("There is no %s.", path);
        if (r >= 0)
                r = split(path, text, &lines);
        if (r >= 0)
                r = rotate_text(step, &lines, &changed);
        if (r >= 0)
                r = key_file_write(path, changed, 0600, true);
        if (r < 0)
                return CTL_FAILED;
        log_notice("%s", next);
        return CTL_OK;
}

/* ---- show ---- */

static void print_list(const char *name, json_t *array) {
        json_t *v;
        size_t i;

        json_array_foreach(array, i, v)
                printf("%12s: %s\n", i == 0 ? name : "", json_string_value(v));
}

static void print_key(json_t *key) {
        const char *mode = json_string_value(json_object_get(key, "mode")), *fault = json_string_value(json_object_get(key, "fault"));
        const char *serial = json_string_value(json_object_get(key, "serial")), *until = json_string_value(json_object_get(key, "valid_until"));

        printf("%12s: %s\n", "Mode", mode ?: "?");
        if (fault && fault[0])
                printf("%12s: %s\n", "Fault", fault);
        print_list("Key ids", json_object_get(key, "key_ids"));
        if (serial && serial[0])
                printf("%12s: %s\n%12s: %s\n", "Serial", serial, "Valid until", until ?: "?");
        print_list("Labels", json_object_get(key, "labels"));
        print_list("Hosts", json_object_get(key, "hosts"));
}

static int key_show(const Options *o) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_(json_decrefp) json_t *state = NULL;
        json_t *key;
        int r = ctl_bus_open(o, &bus);

        if (r >= 0)
                r = ctl_bus_describe(bus, TRIREME_PATH, TRIREME_MANAGER, &state);
        if (r < 0)
                return CTL_FAILED;
        key = json_object_get(state, "key");
        if (o->json != JSON_OFF)
                return print_json(o, key) < 0 ? CTL_FAILED : CTL_OK;
        print_key(key);
        return CTL_OK;
}

int verb_key(const Options *o, int argc, char **argv) {
        if (streq(argv[1], "new") && argc <= 3)
                return key_new(o, argc > 2 ? argv[2] : PSK_PATH);
        if (streq(argv[1], "show") && argc == 2)
                return key_show(o);
        if (streq(argv[1], "rotate") && (argc == 3 || argc == 4))
                return key_rotate(argv[2], argc > 3 ? argv[3] : PSK_PATH);
        log_error("Usage: key new [--encrypt] [FILE], key show, key rotate add|use|drop [FILE]");
        return CTL_FAILED;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The file is a row of records, a later one of an id in place of the earlier one; an all-zero hash stands for a unit that is gone. It is written anew when most of it is history:
 * should that fail half-way, changes made just then cut nothing, and no more is lost. */
#include "enforcer/told.h"

#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <unistd.h>

#include "crypto/crypto.h"
#include "enforcer/append-file.h"
#include "util/fd.h"
#include "util/log.h"

#define FILE_MAX (16u << 20)
#define RECORDS_KEPT 4096u /* beyond twice what lives */

typedef struct Record { /* first the key, without padding */
        uint64_t cgroup_id;
        uint8_t hash[CRYPTO_HASH_SIZE];
} Record;

struct Told {
        void *by_id; /* tsearch(3) */
        size_t n, n_records;
        int fd;
};

static int record_compare(const void *p, const void *q) {
        const Record *a = p, *b = q;

        return a->cgroup_id < b->cgroup_id ? -1 : a->cgroup_id > b->cgroup_id;
}

static bool is_gone(const Record *r) {
        static const uint8_t zero[CRYPTO_HASH_SIZE];

        return memcmp(r->hash, zero, sizeof(zero)) == 0;
}

Told *told_free(Told *t) {
        if (!t)
                return NULL;
        tdestroy(t->by_id, free);
        closep(&t->fd);
        free(t);
        return NULL;
}

static Record *find(const Told *t, uint64_t cgroup_id) {
        Record key = { .cgroup_id = cgroup_id }, **slot = tfind(&key, &t->by_id, record_compare);

        return slot ? *slot : NULL;
}

static int put(Told *t, const Record *r) {
        Record *known = find(t, r->cgroup_id);

        if (is_gone(r)) {
                if (known) {
                        tdelete(r, &t->by_id, record_compare);
                        free(known);
                        t->n--;
                }
                return 0;
        }
        if (known) {
                *known = *r;
                return 0;
        }
        known = malloc(sizeof(*known));
        if (!known)
                return -ENOMEM;
        *known = *r;
        if (!tsearch(known, &t->by_id, record_compare)) {
                free(known);
                return -ENOMEM;
        }
        t->n++;
        return 0;
}

int told_new(const char *path, Told **ret) {
        _cleanup_(told_freep) Told *t = calloc(1, sizeof(*t));
        _cleanup_free_ uint8_t *data = NULL;
        size_t size = 0;
        int r = 0;

        if (!t)
                return -ENOMEM;
        t->fd = -1;
        if (path)
                r = append_file_open(path, FILE_MAX, &t->fd, &data, &size);
        for (size_t i = 0; r >= 0 && i + sizeof(Record) <= size; i += sizeof(Record)) {
                Record record;

                memcpy(&record, data + i, sizeof(record));
                r = put(t, &record);
                t->n_records++;
        }
        if (r < 0)
                return r;
        if (size % sizeof(Record) != 0 && ftruncate(t->fd, (off_t) (size - size % sizeof(Record))) < 0) /* torn by a full disk */
                return -errno;
        *ret = TAKE_PTR(t);
        return 0;
}

static void write_one(const void *node, VISIT visit, void *userdata) {
        Told *t = userdata;
        int r;

        if (visit != postorder && visit != leaf)
                return;
        r = append_file_write(t->fd, *(Record *const *) node, sizeof(Record));
        if (r < 0)
                log_warning_errno(r, "Cannot keep what a unit says of itself");
        t->n_records++;
}

static void keep(Told *t, const Record *r) {
        int k;

        if (t->fd < 0)
                return;
        if (t->n_records > 2 * t->n + RECORDS_KEPT) {
                t->n_records = 0;
                if (ftruncate(t->fd, 0) < 0)
                        log_warning_errno(errno, "Cannot write anew what units say of themselves");
                else
                        twalk_r(t->by_id, write_one, t);
                return;
        }
        k = append_file_write(t->fd, r, sizeof(*r));
        if (k < 0)
                log_warning_errno(k, "Cannot keep what a unit says of itself");
        t->n_records++;
}

static int hash_policy(const UnitPolicy *p, uint8_t ret[static CRYPTO_HASH_SIZE]) {
        _cleanup_free_ char *tags = tag_set_format(&p->settings_tags), *text = NULL;
        int n = tags ? asprintf(&text, "%x %s", p->announce, tags) : -1;

        if (n < 0) {
                text = NULL;
                return -ENOMEM;
        }
        return crypto_sha256(text, (size_t) n, ret);
}

int told_note(Told *t, uint64_t cgroup_id, const UnitPolicy *policy) {
        Record *known = find(t, cgroup_id), r = { .cgroup_id = cgroup_id };
        bool other = known;
        int k = hash_policy(policy, r.hash);

        if (k < 0)
                return k;
        if (known && memcmp(known->hash, r.hash, sizeof(r.hash)) == 0)
                return 0;
        k = put(t, &r);
        if (k < 0)
                return k;
        keep(t, &r);
        return other;
}

void told_forget(Told *t, uint64_t cgroup_id) {
        const Record gone = { .cgroup_id = cgroup_id };

        if (find(t, cgroup_id) && put(t, &gone) >= 0)
                keep(t, &gone);
}

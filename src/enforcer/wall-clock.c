/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The file is a row of records of one length, each seconds since 1970 in decimal and a newline; the last one counts. So nothing is lost by a write that a power failure cuts short. */
#include "enforcer/wall-clock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "crypto/certificate.h"
#include "enforcer/append-file.h"
#include "util/fd.h"

#define RECORD_SIZE 13u
#define RECORDS_MAX 1024u               /* then it begins anew; some days */
#define SEC_MAX INT64_C(253402300799)   /* the end of the year 9999 */

static int record_parse(const uint8_t *record, int64_t *ret) {
        int64_t sec = 0;

        for (size_t i = 0; i < RECORD_SIZE - 1; i++) {
                if (record[i] < '0' || record[i] > '9')
                        return -EINVAL;
                sec = 10 * sec + (record[i] - '0');
        }
        if (record[RECORD_SIZE - 1] != '\n' || sec > SEC_MAX)
                return -EINVAL;
        *ret = sec;
        return 0;
}

int wall_clock_open(WallClock *c, const char *path) {
        _cleanup_free_ uint8_t *data = NULL;
        _cleanup_close_ int fd = -1;
        int64_t sec = 0;
        size_t size, n;
        int r = append_file_open(path, RECORDS_MAX * RECORD_SIZE + RECORD_SIZE - 1, &fd, &data, &size);

        if (r < 0)
                return r;
        n = size / RECORD_SIZE;
        if (n > 0 && record_parse(data + (n - 1) * RECORD_SIZE, &sec) < 0)
                return -EINVAL;
        if (size % RECORD_SIZE != 0 && ftruncate(fd, (off_t) (n * RECORD_SIZE)) < 0)
                return -errno;
        c->fd = TAKE_FD(fd);
        c->n_records = (unsigned) n;
        c->seen_sec = sec;
        return n > 0;
}

void wall_clock_done(WallClock *c) {
        closep(&c->fd);
        c->fd = -1;
}

static int record_write(WallClock *c) {
        char record[32];
        int r;

        if (c->fd < 0)
                return 0;
        if (snprintf(record, sizeof(record), "%0*" PRIi64 "\n", (int) RECORD_SIZE - 1, c->seen_sec) != (int) RECORD_SIZE)
                return -ERANGE;
        if (c->n_records >= RECORDS_MAX) {
                if (ftruncate(c->fd, 0) < 0)
                        return -errno;
                c->n_records = 0;
        }
        r = append_file_write(c->fd, record, RECORD_SIZE);
        c->n_records += r >= 0;
        return r;
}

int wall_clock_note(WallClock *c, int64_t now_sec) {
        bool was_behind = c->behind_sec > 0;
        int r;

        c->behind_sec = c->seen_sec - now_sec > CERTIFICATE_SKEW_SEC ? c->seen_sec - now_sec : 0;
        if (now_sec <= c->seen_sec)
                return c->behind_sec > 0 && !was_behind;
        c->seen_sec = now_sec;
        r = record_write(c);
        return MIN(r, 0);
}

void wall_clock_note_skew(WallClock *c, int64_t skew_sec, const char *host, usec_t now_usec) {
        c->skew_sec = skew_sec;
        c->skew_usec = now_usec;
        (void) snprintf(c->skew_host, sizeof(c->skew_host), "%s", host);
}

void wall_clock_text(const WallClock *c, usec_t now_usec, char ret[static 512]) {
        const char *host = c->skew_host[0] ? c->skew_host : "another host";

        ret[0] = '\0';
        if (c->behind_sec > 0)
                (void) snprintf(ret, 512, "%" PRIi64 " s behind what it was before; if it was wrong then, remove /var/lib/trireme/clock and restart trireme.service", c->behind_sec);
        else if (c->skew_sec > 0 && now_usec < c->skew_usec + WALL_CLOCK_SKEW_USEC)
                (void) snprintf(ret, 512, "%" PRIi64 " s behind that of %s, whose tokens are refused: more than %d s are not tolerated", c->skew_sec, host, CERTIFICATE_SKEW_SEC);
        else if (c->skew_sec < 0 && now_usec < c->skew_usec + WALL_CLOCK_SKEW_USEC)
                (void) snprintf(ret, 512, "a token of %s ended %" PRIi64 " s ago and was refused: its clock is behind, or ours ahead, or somebody repeats old tokens", host, -c->skew_sec);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The client's long connections: bulk streams, and connections that are just held. */

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"

#define CHUNK (256u * 1024)

typedef struct Stream {
        const LoadOptions *options;
        _Atomic LoadPhase *phase;
        pthread_t thread;
        unsigned turn;
        uint64_t bytes;           /* sent while it was measured */
        int error;                /* 0 or a negative errno */
} Stream;

static int open_connection(const LoadOptions *o, unsigned turn, char request) {
        struct sockaddr_in to = load_address(o, turn);
        _cleanup_close_ int fd = -1;

        fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || connect(fd, (struct sockaddr *) &to, sizeof(to)) < 0 || send(fd, &request, 1, 0) < 0)
                return -errno;
        return TAKE_FD(fd);
}

static void *stream(void *arg) {
        static const char zeros[CHUNK];
        _cleanup_close_ int fd = -1;
        Stream *s = arg;

        fd = open_connection(s->options, s->turn, BYTE_BULK);
        if (fd < 0) {
                s->error = fd;
                return NULL;
        }
        while (atomic_load_explicit(s->phase, memory_order_relaxed) != PHASE_STOP) {
                ssize_t n = send(fd, zeros, sizeof(zeros), 0);

                if (n < 0) {
                        s->error = -errno;
                        return NULL;
                }
                if (atomic_load_explicit(s->phase, memory_order_relaxed) == PHASE_MEASURE)
                        s->bytes += (uint64_t) n;
        }
        return NULL;
}

int load_bulk(const LoadOptions *o) {
        _Atomic LoadPhase phase = PHASE_WARMUP;
        Stream streams[THREADS_MAX] = {};
        LoadWindow window = {};
        double bytes = 0;
        unsigned n = 0;
        int r = 0;

        for (; n < o->threads && r >= 0; n += r >= 0) {
                streams[n] = (Stream) { .options = o, .phase = &phase, .turn = n };
                r = -pthread_create(&streams[n].thread, NULL, stream, &streams[n]);
        }
        if (r >= 0)
                r = load_run_window(o, &phase, &window);
        atomic_store(&phase, PHASE_STOP);
        for (unsigned i = 0; i < n; i++) {
                pthread_join(streams[i].thread, NULL);
                bytes += (double) streams[i].bytes;
                if (r >= 0)
                        r = streams[i].error;
        }
        if (r < 0)
                return r;
        printf("{\"gbit_per_second\": %.3f, \"cpu_sec_per_gb\": %.4f, \"cpu_share\": %.3f}\n", bytes * 8 / (double) window.nsec,
               window.busy_sec * 1e9 / bytes, window.share);
        return 0;
}

static int hold_some(const LoadOptions *o, unsigned first, unsigned end) {
        for (unsigned i = first; i < end; i++) {
                int fd = open_connection(o, i, BYTE_REQUEST);
                char byte;

                if (fd < 0)
                        return fd;
                if (recv(fd, &byte, 1, 0) != 1) {
                        close(fd);
                        return -ECONNABORTED;
                }
        }
        return 0;
}

/* In several processes: a machine in a container may not raise its limit of open files. Whoever ends us ends all of them: they are one unit. */
int load_hold(const LoadOptions *o) {
        int results[2]; /* until the process ends */
        int r = 0;

        if (pipe(results) < 0)
                return -errno;
        for (unsigned i = 0; i < o->processes; i++) {
                pid_t pid = fork();

                if (pid < 0)
                        return -errno;
                if (pid > 0)
                        continue;
                r = hold_some(o, (unsigned) ((uint64_t) o->count * i / o->processes), (unsigned) ((uint64_t) o->count * (i + 1) / o->processes));
                if (write(results[1], &r, sizeof(r)) != sizeof(r) || r < 0)
                        _exit(EXIT_FAILURE);
                for (;;)
                        pause();
        }
        for (unsigned i = 0; i < o->processes && r >= 0; i++)
                if (read(results[0], &r, sizeof(r)) != sizeof(r))
                        r = -EIO;
        if (r < 0)
                return r;
        printf("{\"held\": %u}\n", o->count);
        fflush(stdout);
        for (;;)
                pause();
}

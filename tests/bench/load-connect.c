/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The client: keeps a number of connections in flight and measures each. */

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "load.h"

#define SAMPLES_MAX (1u << 20)           /* of one kind in one thread */
#define LATE_NSEC UINT64_C(150000000)    /* longer than this: a packet was lost, and TCP sent it again (at the earliest after 200 ms) */
#define STUCK_NSEC UINT64_C(500000000)   /* the same of what is still in flight at the end */

typedef struct Samples {
        uint32_t *nsec;                  /* as they came; what is beyond 4 s counts as 4 s */
        size_t n;
} Samples;

typedef enum SampleKind { SAMPLE_CONNECT, SAMPLE_FIRST_BYTE, SAMPLE_DENIED, SAMPLE_KIND_MAX } SampleKind;

typedef struct Slot {
        int fd;                          /* -1: nothing in flight */
        bool connected;
        uint64_t started;                /* now_nsec() */
} Slot;

typedef struct Worker {
        const LoadOptions *options;
        _Atomic LoadPhase *phase;
        pthread_t thread;
        int epoll;
        unsigned turn;
        Slot *slots;
        size_t n_slots;
        Samples samples[SAMPLE_KIND_MAX];
        uint64_t first_nsec;             /* the very first connection that this worker finished */
        uint64_t n_all;                  /* finished, warm-up included */
        uint64_t n_finished, n_late, n_denied, n_failed, n_stuck;
        int last_error;
} Worker;

static bool measuring(const Worker *w) {
        return atomic_load_explicit(w->phase, memory_order_relaxed) == PHASE_MEASURE;
}

static bool stopped(const Worker *w) {
        return atomic_load_explicit(w->phase, memory_order_relaxed) == PHASE_STOP;
}

static void add_sample(Worker *w, SampleKind kind, uint64_t nsec) {
        Samples *s = &w->samples[kind];

        if (measuring(w) && s->n < SAMPLES_MAX)
                s->nsec[s->n++] = (uint32_t) MIN(nsec, UINT64_C(4000000000));
}

static void slot_end(Worker *w, Slot *slot, int error) {
        uint64_t nsec = now_nsec() - slot->started;

        if (error == 0) {
                add_sample(w, SAMPLE_FIRST_BYTE, nsec);
                if (w->first_nsec == 0)
                        w->first_nsec = nsec;
                w->n_all++;
                w->n_finished += measuring(w);
                w->n_late += measuring(w) && nsec > LATE_NSEC;
        } else if (!slot->connected && (error == ECONNREFUSED || error == ECONNRESET || error == EPERM || error == EHOSTUNREACH)) {
                add_sample(w, SAMPLE_DENIED, nsec);
                w->n_denied += measuring(w);
        } else {
                w->n_failed += measuring(w);
                w->last_error = error;
        }
        if (slot->fd >= 0)
                close(slot->fd);
        *slot = (Slot) { .fd = -1 };
        if (w->options->pause_usec > 0)
                nanosleep(&(struct timespec) { .tv_sec = w->options->pause_usec / 1000000, .tv_nsec = w->options->pause_usec % 1000000 * 1000L }, NULL);
}

static int slot_begin(Worker *w, Slot *slot) {
        struct sockaddr_in to = load_address(w->options, w->turn++);
        struct epoll_event e = { .events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = slot };

        slot->started = now_nsec();
        slot->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (slot->fd < 0)
                return -errno;
        if (connect(slot->fd, (struct sockaddr *) &to, sizeof(to)) < 0 && errno != EINPROGRESS)
                return -errno;
        if (epoll_ctl(w->epoll, EPOLL_CTL_ADD, slot->fd, &e) < 0)
                return -errno;
        return 0;
}

/* A connection that fails at once is followed by the next, until one is in flight. */
static void slot_begin_next(Worker *w, Slot *slot) {
        while (!stopped(w)) {
                int r = slot_begin(w, slot);

                if (r >= 0)
                        return;
                slot_end(w, slot, -r);
        }
}

/* Returns 0 when the connection goes on, 1 when it is finished, or a negative errno. */
static int slot_advance(Worker *w, Slot *slot, uint32_t events) {
        char byte = BYTE_REQUEST;
        socklen_t size = sizeof(int);
        int error = 0;
        ssize_t n;

        if (getsockopt(slot->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
                return -errno;
        if (error != 0)
                return -error;
        if (!slot->connected) {
                if (!(events & EPOLLOUT))
                        return 0;
                slot->connected = true;
                add_sample(w, SAMPLE_CONNECT, now_nsec() - slot->started);
                return send(slot->fd, &byte, 1, 0) == 1 ? 0 : -errno;
        }
        n = recv(slot->fd, &byte, 1, 0);
        if (n < 0)
                return errno == EAGAIN ? 0 : -errno;
        return n == 1 ? 1 : -ECONNABORTED;
}

static void *work(void *arg) {
        struct epoll_event events[128];
        Worker *w = arg;

        for (size_t i = 0; i < w->n_slots; i++)
                slot_begin_next(w, &w->slots[i]);
        while (!stopped(w)) {
                int n = epoll_wait(w->epoll, events, ELEMENTSOF(events), 20);

                for (int i = 0; i < n; i++) {
                        Slot *slot = events[i].data.ptr;
                        int r;

                        r = slot_advance(w, slot, events[i].events);
                        if (r == 0)
                                continue;
                        slot_end(w, slot, r < 0 ? -r : 0);
                        slot_begin_next(w, slot);
                }
        }
        for (size_t i = 0; i < w->n_slots; i++)
                if (w->slots[i].fd >= 0) {
                        w->n_stuck += now_nsec() - w->slots[i].started > STUCK_NSEC;
                        close(w->slots[i].fd);
                }
        return NULL;
}

static void worker_done(Worker *w) {
        closep(&w->epoll);
        free(w->slots);
        for (size_t i = 0; i < SAMPLE_KIND_MAX; i++)
                free(w->samples[i].nsec);
}

static int worker_init(Worker *w, const LoadOptions *o, _Atomic LoadPhase *phase, unsigned number) {
        *w = (Worker) {
                .options = o,
                .phase = phase,
                .turn = number,
                .epoll = epoll_create1(EPOLL_CLOEXEC),
                .n_slots = o->in_flight / o->threads,
        };
        if (w->epoll < 0)
                return -errno;
        w->slots = calloc(w->n_slots, sizeof(*w->slots));
        if (!w->slots)
                return -ENOMEM;
        for (size_t i = 0; i < w->n_slots; i++)
                w->slots[i].fd = -1;
        for (size_t i = 0; i < SAMPLE_KIND_MAX; i++) {
                w->samples[i].nsec = malloc(SAMPLES_MAX * sizeof(uint32_t));
                if (!w->samples[i].nsec)
                        return -ENOMEM;
        }
        return 0;
}

static int compare(const void *a, const void *b) {
        uint32_t x = *(const uint32_t *) a, y = *(const uint32_t *) b;

        return (x > y) - (x < y);
}

static int print_percentiles(const char *name, const Worker *workers, size_t n_workers, SampleKind kind) {
        _cleanup_free_ uint32_t *all = NULL;
        size_t n = 0;

        for (size_t i = 0; i < n_workers; i++)
                n += workers[i].samples[kind].n;
        if (n == 0)
                return 0;
        all = malloc(n * sizeof(*all));
        if (!all)
                return -ENOMEM;
        n = 0;
        for (size_t i = 0; i < n_workers; i++) {
                memcpy(all + n, workers[i].samples[kind].nsec, workers[i].samples[kind].n * sizeof(*all));
                n += workers[i].samples[kind].n;
        }
        qsort(all, n, sizeof(*all), compare);
        printf(", \"%s\": {\"p50\": %.1f, \"p99\": %.1f}", name, all[n / 2] / 1e3, all[n - 1 - n / 100] / 1e3);
        return 0;
}

static int print_report(const Worker *workers, size_t n_workers, const LoadWindow *window) {
        static const char *const names[] = { "connect_us", "first_byte_us", "denied_us" };
        uint64_t all = 0, finished = 0, late = 0, denied = 0, failed = 0, stuck = 0;
        const char *error = "";
        int r;

        for (size_t i = 0; i < n_workers; i++) {
                all += workers[i].n_all;
                finished += workers[i].n_finished;
                late += workers[i].n_late;
                denied += workers[i].n_denied;
                failed += workers[i].n_failed;
                stuck += workers[i].n_stuck;
                if (workers[i].last_error != 0)
                        error = strerrorname_np(workers[i].last_error);
        }
        printf("{\"all\": %llu, \"finished\": %llu, \"late\": %llu, \"denied\": %llu, \"failed\": %llu, \"stuck\": %llu, \"error\": \"%s\"",
               (unsigned long long) all, (unsigned long long) finished, (unsigned long long) late, (unsigned long long) denied,
               (unsigned long long) failed, (unsigned long long) stuck, error);
        printf(", \"seconds\": %.4f, \"per_second\": %.1f, \"cpu_share\": %.3f", (double) window->nsec / 1e9,
               (double) finished * 1e9 / (double) window->nsec, window->share);
        if (finished > 0)
                printf(", \"cpu_us\": %.2f", window->busy_sec * 1e6 / (double) finished);
        printf(", \"queued_here\": %llu", (unsigned long long) window->queued);
        printf(", \"very_first_us\": %.1f", (double) workers[0].first_nsec / 1e3);
        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                r = print_percentiles(names[i], workers, n_workers, (SampleKind) i);
                if (r < 0)
                        return r;
        }
        printf("}\n");
        return 0;
}

int load_connect(const LoadOptions *o) {
        _Atomic LoadPhase phase = PHASE_WARMUP;
        Worker workers[THREADS_MAX] = {};
        unsigned n_init = 0, n_running = 0;
        LoadWindow window = {};
        int r = 0;

        for (; n_init < o->threads && r >= 0; n_init++)
                r = worker_init(&workers[n_init], o, &phase, n_init);
        for (; n_running < o->threads && r >= 0; n_running += r >= 0)
                r = -pthread_create(&workers[n_running].thread, NULL, work, &workers[n_running]);
        if (r >= 0)
                r = load_run_window(o, &phase, &window);
        atomic_store(&phase, PHASE_STOP);
        for (unsigned i = 0; i < n_running; i++)
                pthread_join(workers[i].thread, NULL);
        if (r >= 0)
                r = print_report(workers, n_running, &window);
        for (unsigned i = 0; i < n_init; i++)
                worker_done(&workers[i]);
        return r;
}

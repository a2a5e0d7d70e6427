/* SPDX-License-Identifier: GPL-2.0-or-later */

/* load: server and client of the benchmark.
 *
 *     load serve   --address=ADDRESS --port=PORT [--processes=N] [--threads=N]
 *     load connect --address=ADDRESS --port=PORT [--spread=N] [--threads=N] [--in-flight=N] [--pause-us=N] [--warmup-ms=N] [--ms=N]
 *     load bulk    --address=ADDRESS --port=PORT [--threads=STREAMS] [--warmup-ms=N] [--ms=N]
 *     load hold    --address=ADDRESS --port=PORT [--spread=N] [--processes=N] [--count=N]
 *
 * hold keeps its connections until it is killed. The others end by themselves and print one line of JSON. */

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "load.h"

static int read_cpu(double *ret_busy_sec, double *ret_all_sec) {
        unsigned long long user, nice_, system_, idle, iowait, irq, softirq;
        double ticks = (double) sysconf(_SC_CLK_TCK);
        FILE *f;
        int n;

        f = fopen("/proc/stat", "re");
        if (!f)
                return -errno;
        n = fscanf(f, "cpu %llu %llu %llu %llu %llu %llu %llu", &user, &nice_, &system_, &idle, &iowait, &irq, &softirq);
        fclose(f);
        if (n != 7)
                return -EBADMSG;
        *ret_busy_sec = (double) (user + nice_ + system_ + irq + softirq) / ticks;
        *ret_all_sec = *ret_busy_sec + (double) (idle + iowait) / ticks;
        return 0;
}

/* Packets that went to user space on this machine so far: the id of each queue's last one. 0 where there is no such queue. */
static int read_queued(uint64_t *ret) {
        FILE *f = fopen("/proc/net/netfilter/nfnetlink_queue", "re");
        unsigned long long id;

        *ret = 0;
        if (!f)
                return errno == ENOENT ? 0 : -errno;
        while (fscanf(f, "%*u %*u %*u %*u %*u %*u %*u %llu %*u", &id) == 1)
                *ret += id;
        fclose(f);
        return 0;
}

static void sleep_msec(unsigned msec) {
        struct timespec ts = { .tv_sec = msec / 1000, .tv_nsec = (long) (msec % 1000) * 1000000 };

        while (nanosleep(&ts, &ts) < 0 && errno == EINTR)
                ;
}

int load_run_window(const LoadOptions *o, _Atomic LoadPhase *phase, LoadWindow *ret) {
        double busy_before, all_before, busy, all;
        uint64_t started, ended, queued_before, queued;
        int r;

        sleep_msec(o->warmup_msec);
        r = read_cpu(&busy_before, &all_before);
        if (r >= 0)
                r = read_queued(&queued_before);
        if (r < 0)
                return r;
        started = now_nsec();
        atomic_store(phase, PHASE_MEASURE);
        sleep_msec(o->msec);
        atomic_store(phase, PHASE_STOP);
        ended = now_nsec();
        r = read_cpu(&busy, &all);
        if (r >= 0)
                r = read_queued(&queued);
        if (r < 0)
                return r;
        *ret = (LoadWindow) {
                .nsec = ended - started,
                .queued = queued - queued_before,
                .busy_sec = busy - busy_before,
                .share = all > all_before ? (busy - busy_before) / (all - all_before) : 0,
        };
        return 0;
}

struct sockaddr_in load_address(const LoadOptions *o, unsigned turn) {
        struct sockaddr_in a = o->address;

        a.sin_addr.s_addr = htonl(ntohl(a.sin_addr.s_addr) + turn % o->spread);
        return a;
}

static int parse_number(const char *s, unsigned min, unsigned max, unsigned *ret) {
        unsigned long v;
        char *end;

        errno = 0;
        v = strtoul(s, &end, 10);
        if (errno != 0 || end == s || *end != '\0' || v < min || v > max)
                return -EINVAL;
        *ret = (unsigned) v;
        return 0;
}

static int parse_options(int argc, char **argv, LoadOptions *o) {
        enum { ADDRESS, PORT, SPREAD, PROCESSES, THREADS, IN_FLIGHT, PAUSE, WARMUP, MSEC, COUNT };
        static const struct option options[] = {
                { "address", required_argument, NULL, ADDRESS }, { "port", required_argument, NULL, PORT },
                { "spread", required_argument, NULL, SPREAD }, { "processes", required_argument, NULL, PROCESSES }, { "threads", required_argument, NULL, THREADS },
                { "in-flight", required_argument, NULL, IN_FLIGHT }, { "pause-us", required_argument, NULL, PAUSE },
                { "warmup-ms", required_argument, NULL, WARMUP }, { "ms", required_argument, NULL, MSEC },
                { "count", required_argument, NULL, COUNT }, {}
        };
        unsigned port;
        int c, r = 0;

        while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0) {
                if (c == ADDRESS)
                        r = inet_pton(AF_INET, optarg, &o->address.sin_addr) == 1 ? 0 : -EINVAL;
                else if (c == PORT) {
                        r = parse_number(optarg, 1, 65535, &port);
                        if (r >= 0)
                                o->address.sin_port = htons((uint16_t) port);
                } else if (c == SPREAD)
                        r = parse_number(optarg, 1, 200, &o->spread);
                else if (c == PROCESSES)
                        r = parse_number(optarg, 1, THREADS_MAX, &o->processes);
                else if (c == THREADS)
                        r = parse_number(optarg, 1, THREADS_MAX, &o->threads);
                else if (c == IN_FLIGHT)
                        r = parse_number(optarg, 1, SLOTS_MAX, &o->in_flight);
                else if (c == PAUSE)
                        r = parse_number(optarg, 0, 1000000, &o->pause_usec);
                else if (c == WARMUP)
                        r = parse_number(optarg, 0, 60000, &o->warmup_msec);
                else if (c == MSEC)
                        r = parse_number(optarg, 1, 60000, &o->msec);
                else if (c == COUNT)
                        r = parse_number(optarg, 1, HELD_MAX, &o->count);
                else
                        return -EINVAL;
                if (r < 0) {
                        fprintf(stderr, "load: bad value '%s'\n", optarg);
                        return r;
                }
        }
        return optind == argc && o->address.sin_port != 0 && o->in_flight >= o->threads ? 0 : -EINVAL;
}

int main(int argc, char **argv) {
        static const struct {
                const char *name;
                int (*run)(const LoadOptions *o);
        } verbs[] = { { "serve", load_serve }, { "connect", load_connect }, { "bulk", load_bulk }, { "hold", load_hold } };
        LoadOptions o = {
                .address = { .sin_family = AF_INET }, .spread = 1, .processes = 1, .threads = 1, .in_flight = THREADS_MAX, .warmup_msec = 150, .msec = 1000, .count = 1,
        };
        int r;

        signal(SIGPIPE, SIG_IGN);
        for (size_t i = 0; argc > 1 && i < ELEMENTSOF(verbs); i++)
                if (streq(argv[1], verbs[i].name)) {
                        r = parse_options(argc - 1, argv + 1, &o);
                        if (r < 0)
                                break;
                        r = verbs[i].run(&o);
                        if (r < 0)
                                fprintf(stderr, "load %s: %s\n", argv[1], strerror(-r));
                        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
                }
        fprintf(stderr, "usage: load serve|connect|bulk|hold --address=ADDRESS --port=PORT [OPTION...]\n");
        return EXIT_FAILURE;
}

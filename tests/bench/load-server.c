/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The server: each thread has a listener (SO_REUSEPORT) and an epoll of its own, as today's servers do. */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"

#define BULK_BUFFER (256u * 1024)

static int open_listener(const LoadOptions *o) {
        _cleanup_close_ int fd = -1;
        int one = 1;

        fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
            setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) < 0 ||
            bind(fd, (const struct sockaddr *) &o->address, sizeof(o->address)) < 0 || listen(fd, 4096) < 0)
                return -errno;
        return TAKE_FD(fd);
}

/* A bulk stream would starve the other connections of its thread, so it gets one of its own. */
static void *drain(void *arg) {
        _cleanup_free_ char *buffer = malloc(BULK_BUFFER);
        _cleanup_close_ int fd = (int) (intptr_t) arg;

        while (buffer && recv(fd, buffer, BULK_BUFFER, 0) > 0)
                ;
        return NULL;
}

static void start_drain(int epoll, int fd) {
        pthread_t thread;

        epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL);
        fcntl(fd, F_SETFL, 0);
        if (pthread_create(&thread, NULL, drain, (void *) (intptr_t) fd) != 0) {
                close(fd);
                return;
        }
        pthread_detach(thread);
}

static void accept_all(int epoll, int listener) {
        for (;;) {
                struct epoll_event e = { .events = EPOLLIN };
                int fd;

                fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
                if (fd < 0)
                        return;
                e.data.fd = fd;
                if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) < 0)
                        close(fd);
        }
}

static void serve_connection(int epoll, int fd) {
        char byte;
        ssize_t n;

        n = recv(fd, &byte, 1, 0);
        if (n < 0 && errno == EAGAIN)
                return;
        if (n == 1 && byte == BYTE_BULK)
                start_drain(epoll, fd);
        else if (n != 1 || send(fd, &byte, 1, 0) != 1)
                close(fd); /* leaves the epoll by that */
}

static void *serve(void *arg) {
        struct epoll_event events[128], e = { .events = EPOLLIN };
        _cleanup_close_ int listener = (int) (intptr_t) arg, epoll = -1;

        epoll = epoll_create1(EPOLL_CLOEXEC);
        e.data.fd = listener;
        if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &e) < 0)
                abort();
        for (;;) {
                int n = epoll_wait(epoll, events, ELEMENTSOF(events), -1);

                for (int i = 0; i < n; i++)
                        if (events[i].data.fd == listener)
                                accept_all(epoll, listener);
                        else
                                serve_connection(epoll, events[i].data.fd);
        }
        return NULL;
}

int load_serve(const LoadOptions *o) {
        pthread_t threads[THREADS_MAX];
        int r;

        for (unsigned i = 1; i < o->processes; i++) {
                pid_t pid = fork();

                if (pid < 0)
                        return -errno;
                if (pid == 0)
                        break;
        }
        for (unsigned i = 0; i < o->threads; i++) {
                int listener = open_listener(o);

                if (listener < 0)
                        return listener;
                r = pthread_create(&threads[i], NULL, serve, (void *) (intptr_t) listener);
                if (r != 0)
                        return -r;
        }
        for (unsigned i = 0; i < o->threads; i++)
                pthread_join(threads[i], NULL);
        return 0;
}

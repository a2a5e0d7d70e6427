/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Component by component, because a look at the end of a path says nothing of who can turn it elsewhere on the way. */
#include "helper/open-trusted.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#include "util/fd.h"

#define LINKS_MAX 40u /* as the kernel's own limit, path_resolution(7) */

typedef struct Walk {
        int root_fd, fd;      /* root borrowed */
        uid_t owner;
        unsigned depth;       /* below the root: ".." of the root is the root */
        unsigned n_links;
        char rest[PATH_MAX];  /* still to be walked */
} Walk;

static int check_owner(const Walk *w, const struct stat *st) {
        if (st->st_uid != w->owner)
                return -EPERM;
        return !S_ISLNK(st->st_mode) && (st->st_mode & (S_IWGRP | S_IWOTH)) ? -EPERM : 0;
}

static int walk_to(Walk *w, int fd) {
        closep(&w->fd);
        w->fd = fd;
        return fd < 0 ? -errno : 0;
}

static int walk_to_root(Walk *w) {
        w->depth = 0;
        return walk_to(w, openat(w->root_fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC));
}

static int walk_up(Walk *w) {
        if (w->depth == 0)
                return 0;
        w->depth--;
        return walk_to(w, openat(w->fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC));
}

static int walk_link(Walk *w, int fd) {
        char text[PATH_MAX];
        size_t left = strlen(w->rest);
        ssize_t n = readlinkat(fd, "", text, sizeof(text));

        if (n < 0)
                return -errno;
        if (++w->n_links > LINKS_MAX)
                return -ELOOP;
        if ((size_t) n + 1 + left >= sizeof(w->rest))
                return -ENAMETOOLONG;
        memmove(w->rest + n + 1, w->rest, left + 1);
        memcpy(w->rest, text, (size_t) n);
        w->rest[n] = '/';
        return text[0] == '/' ? walk_to_root(w) : 0;
}

static int walk_into(Walk *w, const char *name) {
        _cleanup_close_ int fd = openat(w->fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        struct stat st;
        int k;

        if (fd < 0 || fstat(fd, &st) < 0)
                return -errno;
        k = check_owner(w, &st);
        if (k < 0)
                return k;
        if (S_ISLNK(st.st_mode))
                return walk_link(w, fd);
        w->depth++;
        return walk_to(w, TAKE_FD(fd));
}

/* Splits the first component off rest; "" when there is none. */
static int next_component(Walk *w, char ret[static NAME_MAX + 1]) {
        const char *s = w->rest + strspn(w->rest, "/");
        size_t n = strcspn(s, "/");

        if (n > NAME_MAX)
                return -ENAMETOOLONG;
        memcpy(ret, s, n);
        ret[n] = '\0';
        memmove(w->rest, s + n, strlen(s + n) + 1);
        return 0;
}

static int walk(Walk *w) {
        char name[NAME_MAX + 1];
        struct stat st;
        int k = walk_to_root(w);

        if (k >= 0)
                k = fstat(w->fd, &st) < 0 ? -errno : check_owner(w, &st);
        while (k >= 0 && (k = next_component(w, name)) >= 0 && name[0]) {
                if (streq(name, "."))
                        continue;
                k = streq(name, "..") ? walk_up(w) : walk_into(w, name);
        }
        return k;
}

int open_trusted(int root_fd, const char *path, uid_t owner) {
        Walk w = { .root_fd = root_fd, .fd = -1, .owner = owner };
        int k;

        if (path[0] != '/')
                return -EINVAL;
        if (strlen(path) >= sizeof(w.rest))
                return -ENAMETOOLONG;
        strcpy(w.rest, path);
        k = walk(&w);
        if (k >= 0)
                return w.fd;
        closep(&w.fd);
        return k;
}

int reopen_regular(int path_fd) {
        char name[64];
        struct stat st;
        int fd;

        if (fstat(path_fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode))
                return -EBADF;
        (void) snprintf(name, sizeof(name), "/proc/self/fd/%d", path_fd);
        fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        return fd < 0 ? -errno : fd;
}

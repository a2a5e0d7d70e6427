/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tags @containers: of the container that a unit runs: engine, name, image, and label.KEY for each of its labels. Which container that is stands in the control group
 * ("docker-ID.scope", "libpod-ID.scope"), or in the one below it that podman makes in a unit of its own ("libpod-payload-ID", quadlet), which neither the container nor its
 * user writes. The engine is asked over its API socket; who may open that
 * is the administrator's choice (trireme.service(8)). */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "util/fd.h"
#include "util/utf8.h"

#define ID_SIZE 64u                  /* both engines: SHA-256 in hexadecimal */
#define ANSWER_MAX (1u << 20)
#define TIMEOUT_SEC 5

typedef struct Engine {
        const char *name, *prefix, *socket;
} Engine;

static const Engine engines[] = {
        { "docker", "docker-", "/run/docker.sock" },
        { "podman", "libpod-payload-", "/run/podman/podman.sock" },
        { "podman", "libpod-", "/run/podman/podman.sock" },
};

/* The last component that has an engine's prefix and a whole ID behind it. */
static const Engine *find_container(const char *cgroup, char ret_id[static ID_SIZE + 1]) {
        const Engine *found = NULL;

        for (const char *s = cgroup; s; s = strchr(s, '/')) {
                s += *s == '/';
                for (size_t i = 0; i < ELEMENTSOF(engines); i++) {
                        const char *id = startswith(s, engines[i].prefix);

                        if (!id || strspn(id, "0123456789abcdef") != ID_SIZE || (id[ID_SIZE] && id[ID_SIZE] != '.' && id[ID_SIZE] != '/'))
                                continue;
                        memcpy(ret_id, id, ID_SIZE);
                        ret_id[ID_SIZE] = '\0';
                        found = &engines[i];
                }
        }
        return found;
}

static const Engine *find_below(const char *cgroup, char ret_id[static ID_SIZE + 1]) {
        const char *root = getenv("TRIREME_CGROUP_ROOT") ?: "/sys/fs/cgroup";
        const Engine *found = NULL;
        const struct dirent *e;
        char path[PATH_MAX];
        DIR *d;

        if (snprintf(path, sizeof(path), "%s%s", root, cgroup) >= (int) sizeof(path))
                return NULL;
        d = opendir(path);
        while (d && !found && (e = readdir(d)))
                found = find_container(e->d_name, ret_id);
        if (d)
                closedir(d);
        return found;
}

static int api_connect(const char *path) {
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        const struct timeval timeout = { .tv_sec = TIMEOUT_SEC };
        struct sockaddr_un sa = { .sun_family = AF_UNIX };

        if (fd < 0)
                return -errno;
        if (strlen(path) >= sizeof(sa.sun_path))
                return -ENAMETOOLONG;
        strcpy(sa.sun_path, path);
        if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) < 0 || connect(fd, (struct sockaddr *) &sa, sizeof(sa)) < 0)
                return -errno;
        return TAKE_FD(fd);
}

/* HTTP/1.0, so that the answer ends with the connection and comes in one piece. */
static int api_ask(int fd, const char *id, char *ret, size_t size) {
        char request[256];
        size_t n = 0;
        int k = snprintf(request, sizeof(request), "GET /containers/%s/json HTTP/1.0\r\nHost: localhost\r\n\r\n", id);

        if (send(fd, request, (size_t) k, MSG_NOSIGNAL) != k)
                return -EIO;
        while (n < size - 1) {
                ssize_t got = recv(fd, ret + n, size - 1 - n, 0);

                if (got < 0 && errno == EINTR)
                        continue;
                if (got < 0)
                        return -errno;
                if (got == 0) {
                        ret[n] = '\0';
                        return 0;
                }
                n += (size_t) got;
        }
        return -EFBIG;
}

static const char *api_body(const char *answer) {
        const char *status = strchr(answer, ' '), *body = strstr(answer, "\r\n\r\n");

        return startswith(answer, "HTTP/1.") && status && startswith(status, " 200") && body ? body + 4 : NULL;
}

/* What a tag cannot hold is left out, and with it nothing else. */
static void print_tag(const char *prefix, const char *key, const char *value) {
        if (!value || !value[0] || strlen(value) > 255 || !utf8_is_printable(value, strlen(value)) || strlen(prefix) + strlen(key) > 100)
                return;
        for (const char *s = key; *s; s++)
                if (!isascii(*s) || (!isalnum((unsigned char) *s) && !strchr("_.:/-+$%", *s)))
                        return;
        printf("%s%s=%s\n", prefix, key, value);
}

static void print_container(const Engine *e, json_t *o) {
        json_t *config = json_object_get(o, "Config"), *value;
        const char *name = json_string_value(json_object_get(o, "Name")), *key;

        print_tag("", "engine", e->name);
        print_tag("", "name", name && name[0] == '/' ? name + 1 : name);
        print_tag("", "image", json_string_value(json_object_get(config, "Image")));
        json_object_foreach(json_object_get(config, "Labels"), key, value)
                print_tag("label.", key, json_string_value(value));
}

static int run(const Engine *e, const char *id) {
        const char *path = getenv("TRIREME_CONTAINER_SOCKET") ?: e->socket;
        _cleanup_free_ char *answer = malloc(ANSWER_MAX);
        _cleanup_close_ int fd = api_connect(path);
        const char *body;
        json_t *o;
        int k;

        if (!answer)
                return -ENOMEM;
        if (fd < 0) {
                fprintf(stderr, "Cannot connect to %s: %s\n", path, strerror(-fd));
                return fd;
        }
        k = api_ask(fd, id, answer, ANSWER_MAX);
        body = k < 0 ? NULL : api_body(answer);
        o = body ? json_loads(body, 0, NULL) : NULL;
        if (!o) {
                fprintf(stderr, "%s does not describe the container\n", path);
                return k < 0 ? k : -EBADMSG;
        }
        print_container(e, o);
        json_decref(o);
        return 0;
}

int main(void) {
        const char *cgroup = getenv("TRIREME_CGROUP");
        const Engine *e;
        char id[ID_SIZE + 1];

        e = cgroup ? find_container(cgroup, id) ?: find_below(cgroup, id) : NULL;
        if (!e) { /* told, so that rules can ask for what is none */
                printf("engine=none\n");
                return fflush(stdout) != 0 ? EXIT_FAILURE : EXIT_SUCCESS;
        }
        return run(e, id) < 0 || fflush(stdout) != 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

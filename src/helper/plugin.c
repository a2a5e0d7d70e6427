/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "helper/plugin.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "helper/open-trusted.h"
#include "util/fd.h"
#include "util/log.h"

static const char *const directories[] = { "/etc/trireme/metadata.d", "/usr/lib/trireme/metadata.d" }; /* the first wins */

bool plugin_name_is_valid(const char *name) {
        static const char *const ours[] = { "usr", "sys", "port" };
        size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-");

        if (n == 0 || name[n] || n >= HELPER_PLUGIN_NAME_MAX || name[0] < 'a')
                return false;
        for (size_t i = 0; i < ELEMENTSOF(ours); i++)
                if (streq(name, ours[i]))
                        return false;
        return true;
}

int plugin_find(const char *name, char ret_path[static PLUGIN_PATH_MAX]) {
        _cleanup_close_ int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

        if (!plugin_name_is_valid(name))
                return -EINVAL;
        if (root < 0)
                return -errno;
        for (size_t i = 0; i < ELEMENTSOF(directories); i++) {
                _cleanup_close_ int fd = -1;
                char path[PLUGIN_PATH_MAX];
                struct stat st;

                (void) snprintf(path, sizeof(path), "%s/%s", directories[i], name);
                if (stat(path, &st) >= 0 && S_ISCHR(st.st_mode)) /* masked: a link to /dev/null, which nobody but root may write to is not */
                        return -ENOENT;
                fd = open_trusted(root, path, 0);
                if (fd == -ENOENT)
                        continue;
                if (fd < 0)
                        return fd;
                if (fstat(fd, &st) < 0)
                        return -errno;
                if (!S_ISREG(st.st_mode) || !(st.st_mode & S_IXOTH))
                        return -EACCES;
                memcpy(ret_path, path, sizeof(path));
                return 0;
        }
        return -ENOENT;
}

static bool is_listed(char names[static PLUGINS_MAX][HELPER_PLUGIN_NAME_MAX], size_t n, const char *name) {
        for (size_t i = 0; i < n; i++)
                if (streq(names[i], name))
                        return true;
        return false;
}

static size_t list_directory(const char *directory, char names[static PLUGINS_MAX][HELPER_PLUGIN_NAME_MAX], size_t n) {
        char path[PLUGIN_PATH_MAX];
        struct dirent *e;
        DIR *d = opendir(directory);

        while (d && n < PLUGINS_MAX && (e = readdir(d))) {
                int k;

                if (!plugin_name_is_valid(e->d_name) || is_listed(names, n, e->d_name))
                        continue;
                k = plugin_find(e->d_name, path);
                if (k >= 0)
                        strcpy(names[n++], e->d_name);
                else if (k != -ENOENT)
                        log_warning_errno(k, "Plug-in %s/%s is not used", directory, e->d_name);
        }
        if (d)
                closedir(d);
        return n;
}

size_t plugin_list(char ret_names[static PLUGINS_MAX][HELPER_PLUGIN_NAME_MAX]) {
        size_t n = 0;

        for (size_t i = 0; i < ELEMENTSOF(directories); i++)
                n = list_directory(directories[i], ret_names, n);
        return n;
}

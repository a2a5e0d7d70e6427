/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/append-file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/fd.h"
#include "util/log.h"

int append_file_open(const char *path, size_t max, int *ret_fd, uint8_t **ret_data, size_t *ret_size) {
        _cleanup_close_ int to = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600), from = -1;
        _cleanup_free_ uint8_t *data = NULL;
        struct stat st;
        ssize_t n;

        if (to < 0)
                return -errno;
        from = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (from < 0 || fstat(from, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode) || st.st_size > (off_t) max)
                return -EINVAL;
        data = malloc((size_t) st.st_size + 1);
        if (!data)
                return -ENOMEM;
        n = read(from, data, (size_t) st.st_size);
        if (n < 0)
                return -errno;
        *ret_fd = TAKE_FD(to);
        *ret_data = TAKE_PTR(data);
        *ret_size = (size_t) n;
        return 0;
}

int append_file_write(int fd, const void *data, size_t size) {
        off_t end = lseek(fd, 0, SEEK_END);
        ssize_t k;
        int r;

        if (end < 0)
                return -errno;
        k = write(fd, data, size);
        if (k == (ssize_t) size)
                return 0;
        r = k < 0 ? -errno : -ENOSPC;
        if (ftruncate(fd, end) < 0)
                log_error_errno(errno, "Cannot cut a torn record off");
        return r;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "util/fd.h"

#define PSK_BYTES 32u
#define PSK_TEXT_LEN 44u       /* 32 bytes in base64 with padding */
#define PSK_DISTINCT_MIN 16u   /* of 32 random bytes fewer than 16 distinct ones are rarer than 2^-60: a repeated or padded word */

static int base64_value(char c) {
        if (c >= 'A' && c <= 'Z')
                return c - 'A';
        if (c >= 'a' && c <= 'z')
                return c - 'a' + 26;
        if (c >= '0' && c <= '9')
                return c - '0' + 52;
        return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static const char *psk_weakness(const uint8_t *psk) {
        bool seen[256] = {}, text = true;
        size_t distinct = 0;

        for (size_t i = 0; i < PSK_BYTES; i++) {
                distinct += !seen[psk[i]];
                seen[psk[i]] = true;
                text = text && psk[i] >= 0x20 && psk[i] < 0x7f;
        }
        if (text)
                return "it is text, not 32 random bytes; make one with: openssl rand -base64 32";
        return distinct < PSK_DISTINCT_MIN ? "it repeats itself and is not random; make one with: openssl rand -base64 32" : NULL;
}

int psk_parse(const char *text, size_t len, uint8_t ret[static 32], const char **ret_fault) {
        uint8_t psk[PSK_TEXT_LEN / 4 * 3];
        uint32_t bits = 0;

        if (len == PSK_TEXT_LEN + 1 && text[len - 1] == '\n')
                len--;
        if (len != PSK_TEXT_LEN || text[len - 1] != '=') {
                *ret_fault = "it is not 32 bytes in base64; make one with: openssl rand -base64 32";
                return -EINVAL;
        }
        for (size_t i = 0; i < PSK_TEXT_LEN; i++) {
                int v = i == PSK_TEXT_LEN - 1 ? 0 : base64_value(text[i]);

                if (v < 0) {
                        *ret_fault = "it is not base64";
                        return -EINVAL;
                }
                bits = bits << 6 | (uint32_t) v;
                if (i % 4 == 3)
                        for (size_t k = 0; k < 3; k++)
                                psk[i / 4 * 3 + k] = (uint8_t) (bits >> (16 - 8 * k));
        }
        *ret_fault = psk_weakness(psk);
        if (!*ret_fault)
                memcpy(ret, psk, PSK_BYTES);
        crypto_wipe(psk, sizeof(psk));
        return *ret_fault ? -EINVAL : 0;
}

static int keys_set_fault(Keys *k, const char *what, const char *why) {
        return asprintf(&k->fault, "%s: %s", what, why) < 0 ? -ENOMEM : 0;
}

static int keys_read_psk(Keys *k, int fd) {
        uint8_t psk[PSK_BYTES];
        const char *fault;
        struct stat st;
        char text[128];
        ssize_t n;
        int r;

        if (fstat(fd, &st) < 0)
                return keys_set_fault(k, "trireme.psk", strerror(errno));
        if (!S_ISREG(st.st_mode) || (st.st_mode & S_IRWXO))
                return keys_set_fault(k, "trireme.psk", "it can be read by others; make it mode 0600 and choose a new one");
        n = read(fd, text, sizeof(text));
        if (n < 0)
                return keys_set_fault(k, "trireme.psk", strerror(errno));
        r = psk_parse(text, (size_t) n, psk, &fault);
        crypto_wipe(text, sizeof(text));
        if (r < 0)
                return keys_set_fault(k, "trireme.psk", fault);
        r = psk_keys_derive(psk, &k->psk);
        crypto_wipe(psk, sizeof(psk));
        if (r >= 0)
                k->mode = KEY_PSK;
        return r;
}

static int keys_load_files(Keys *k, const char *directory) {
        _cleanup_close_ int dir = -1, fd = -1;

        if (!directory)
                return keys_set_fault(k, "no key", "no credentials were passed to the service (trireme.psk in /etc/credstore)");
        dir = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (dir < 0)
                return keys_set_fault(k, directory, strerror(errno));
        /* a certificate wins over a PSK, and one that cannot be used never falls back to it */
        if (faccessat(dir, "trireme.cert", F_OK, 0) >= 0 || faccessat(dir, "trireme.key", F_OK, 0) >= 0)
                return keys_set_fault(k, "trireme.cert", "this version cannot use certificates; remove trireme.cert and trireme.key to use trireme.psk");
        fd = openat(dir, "trireme.psk", O_RDONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0)
                return errno == ENOENT ? keys_set_fault(k, "no key", "there is no trireme.psk in /etc/credstore; make one with: openssl rand -base64 32")
                                       : keys_set_fault(k, "trireme.psk", strerror(errno));
        return keys_read_psk(k, fd);
}

int keys_load(const char *directory, usec_t now_usec, Keys **ret) {
        _cleanup_(keys_freep) Keys *k = calloc(1, sizeof(*k));
        int r;

        if (!k)
                return -ENOMEM;
        r = keys_load_files(k, directory);
        if (r < 0)
                return r;
        r = dh_key_generate(&k->dh);
        if (r < 0)
                return r;
        k->dh_made_usec = now_usec;
        *ret = TAKE_PTR(k);
        return 0;
}

Keys *keys_free(Keys *k) {
        if (!k)
                return NULL;
        free(k->fault);
        crypto_wipe(k, sizeof(*k));
        free(k);
        return NULL;
}

int keys_rotate_dh(Keys *k, usec_t now_usec) {
        DhKey fresh;
        int r;

        if (now_usec < k->dh_made_usec + KEYS_DH_LIFE_USEC)
                return 0;
        r = dh_key_generate(&fresh);
        if (r < 0)
                return r;
        k->previous_dh = k->dh;
        k->has_previous_dh = true;
        k->dh = fresh;
        k->dh_made_usec = now_usec;
        crypto_wipe(&fresh, sizeof(fresh));
        return 1;
}

const DhKey *keys_find_dh(const Keys *k, const uint8_t *public_key) {
        if (memcmp(k->dh.public_key, public_key, sizeof(k->dh.public_key)) == 0)
                return &k->dh;
        if (k->has_previous_dh && memcmp(k->previous_dh.public_key, public_key, sizeof(k->previous_dh.public_key)) == 0)
                return &k->previous_dh;
        return NULL;
}

const char *key_mode_to_string(KeyMode mode) {
        return mode == KEY_PSK ? "psk" : "none";
}

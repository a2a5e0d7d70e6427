/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/deny-list.h"

#include <errno.h>
#include <stdlib.h>
#include <strings.h>

#include "util/array.h"

#define HOST_MAX 253u /* RFC 1035 section 2.3.4, as text */

void deny_list_done(DenyList *l) {
        for (size_t i = 0; i < l->n_nodes; i++)
                free(l->nodes[i].host);
        free(l->nodes);
        *l = (DenyList) {};
}

static int hex_value(char c) {
        return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* "AB:CD:..." or "abcd...", 32 bytes. */
static bool fingerprint_parse(const char *word, uint8_t *ret) {
        bool colons = strlen(word) > 2 && word[2] == ':';

        for (size_t i = 0; i < DENY_FINGERPRINT_SIZE; i++) {
                int high = hex_value(word[0]), low = high < 0 ? -1 : hex_value(word[1]);

                if (low < 0)
                        return false;
                ret[i] = (uint8_t) (high << 4 | low);
                word += 2;
                if (colons && i + 1 < DENY_FINGERPRINT_SIZE && *word++ != ':')
                        return false;
        }
        return !*word;
}

/* One that looks like a mistyped fingerprint must not become the name of a host that nobody has. */
static bool is_host(const char *word) {
        static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
        size_t n = strlen(word);

        return n > 0 && n <= HOST_MAX && strspn(word, letters) == n && (n < 40 || strspn(word, "0123456789abcdefABCDEF") != n);
}

int deny_list_add(DenyList *l, const char *word, const char **ret_fault) {
        DeniedNode node = {};
        bool fingerprint = fingerprint_parse(word, node.fingerprint);

        if (!fingerprint && !is_host(word)) {
                *ret_fault = "write a host name, or the SHA-256 fingerprint of a certificate (openssl x509 -noout -fingerprint -sha256)";
                return -EINVAL;
        }
        if (!ARRAY_GROW(l->nodes, l->n_nodes))
                return -ENOMEM;
        node.host = fingerprint ? NULL : strdup(word);
        if (!fingerprint && !node.host)
                return -ENOMEM;
        l->nodes[l->n_nodes++] = node;
        return 0;
}

bool deny_list_equal(const DenyList *a, const DenyList *b) {
        bool equal = a->n_nodes == b->n_nodes;

        for (size_t i = 0; equal && i < a->n_nodes; i++) {
                const DeniedNode *x = &a->nodes[i], *y = &b->nodes[i];

                equal = !x->host == !y->host && (x->host ? streq(x->host, y->host) : memcmp(x->fingerprint, y->fingerprint, DENY_FINGERPRINT_SIZE) == 0);
        }
        return equal;
}

/* Names of the DNS know no case: RFC 4343. */
static bool has_host(const CertificateInfo *info, const char *host) {
        for (size_t i = 0; i < info->n_names && i < ELEMENTSOF(info->names); i++)
                if (info->names[i].kind == CERTIFICATE_DNS && info->names[i].offset < sizeof(info->text) && strcasecmp(info->text + info->names[i].offset, host) == 0)
                        return true;
        return false;
}

bool deny_list_names(const DenyList *l, const uint8_t fingerprint[static DENY_FINGERPRINT_SIZE], const CertificateInfo *info) {
        for (size_t i = 0; i < l->n_nodes; i++)
                if (l->nodes[i].host ? has_host(info, l->nodes[i].host) : memcmp(l->nodes[i].fingerprint, fingerprint, DENY_FINGERPRINT_SIZE) == 0)
                        return true;
        return false;
}

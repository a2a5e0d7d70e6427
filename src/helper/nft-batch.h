/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* One nftables transaction: messages are collected, sent as one, and hold all together or not at all. Allocation errors are kept and
 * returned by nft_batch_send(), so that callers can write straight on. */

#include <linux/netlink.h>
#include <netinet/in.h> /* ahead of linux/netfilter.h, which else brings the kernel's own definitions */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/macro.h"

#define NFT_MESSAGE_MAX 65536u /* a netlink attribute's length has 16 bits: no message of ours may come near it */

typedef struct NftBatch {
        uint8_t *buf;
        size_t size, len;
        uint32_t first_seq, seq; /* of the first and of the next message */
        int error;               /* negative errno of the first failure, else 0 */
} NftBatch;

void nft_batch_init(NftBatch *b);
void nft_batch_done(NftBatch *b);
#define _cleanup_batch_ _cleanup_(nft_batch_done)

/* A message of NFT_MSG_* type with room for NFT_MESSAGE_MAX bytes, or NULL when memory is short. Valid until the next call. */
struct nlmsghdr *nft_batch_begin(NftBatch *b, uint16_t type, uint16_t flags);
void nft_batch_end(NftBatch *b, const struct nlmsghdr *nlh);

/* Sends everything and reads the kernel's answers. 0, or the first error of any message. A batch is sent once. */
_must_use_ int nft_batch_send(NftBatch *b, int fd);

/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Handshake messages <-> bytes: docs/protocol.md, "Messages". Pure. */

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

#include "util/macro.h"

#define MESSAGE_HEAD_SIZE 68u
#define MESSAGE_MAC_SIZE 16u
#define MESSAGE_NONCE_SIZE 16u
#define MESSAGE_TOKEN_MAX 1096u
#define MESSAGE_SIZE_MIN (MESSAGE_HEAD_SIZE + MESSAGE_MAC_SIZE)
#define MESSAGE_SIZE_MAX (MESSAGE_HEAD_SIZE + MESSAGE_TOKEN_MAX + MESSAGE_MAC_SIZE)
#define MESSAGE_VIEW_SIZE (MESSAGE_HEAD_SIZE + 32u + MESSAGE_MAC_SIZE)

typedef enum MessageType { MESSAGE_SYN = 1, MESSAGE_SYN_ACK = 2, MESSAGE_ACK = 3 } MessageType;
enum { MESSAGE_KNOWN = 1 << 0 };

/* What one side sees of the connection; addresses as in Packet, ports and ISNs in host order. */
typedef struct Endpoints {
        struct in6_addr client, server;
        uint16_t client_port, server_port;
        uint32_t client_isn, server_isn;
} Endpoints;

typedef struct Message {
        MessageType type;
        uint8_t flags;
        Endpoints endpoints;
        uint8_t nonce[MESSAGE_NONCE_SIZE];
        const uint8_t *token;   /* borrowed */
        uint16_t token_len;
        uint8_t mac[MESSAGE_MAC_SIZE];
} Message;

/* Returns 0; -ENOMSG when payload does not begin with our magic (any version): not ours; -EBADMSG when it does and is malformed: wrong
 * version, type, flags or reserved bits, length that does not fill the payload exactly, nonce or token where none may be. A SYN must be
 * MESSAGE_SIZE_MAX long: what follows its MAC is zero (docs/protocol.md, "Padding"). A SYN-ACK without a token is a reminder of one that had it. */
_must_use_ int message_parse(const uint8_t *payload, size_t len, Message *ret);

/* Returns the size written to buf; -EMSGSIZE; -EINVAL for what message_parse() would refuse. A SYN is padded: MESSAGE_SIZE_MAX is written. */
_must_use_ int message_write(const Message *m, uint8_t *buf, size_t size);

/* The bytes that stand for a message in a MAC: head, token's SHA-256, MAC (docs/protocol.md, "MACs"). token_hash is 32 bytes. */
void message_view(const Message *m, const uint8_t *token_hash, uint8_t ret[static MESSAGE_VIEW_SIZE]);

/* A SYN-ACK is written before the server's ISN is known. These two complete it, and its view, which begins and ends like it. */
void message_set_server_isn(uint8_t *bytes, uint32_t isn);
void message_set_mac(uint8_t *bytes, size_t len, const uint8_t mac[static MESSAGE_MAC_SIZE]);
/* The reminder of a SYN-ACK that was written: its head, told that there is no token, and its MAC. */
void message_write_reminder(const uint8_t *syn_ack, size_t len, uint8_t ret[static MESSAGE_SIZE_MIN]);

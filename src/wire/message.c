/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <stdbool.h>

#include "wire/bytes.h"
#include "wire/message.h"

#define MESSAGE_VERSION 1u

static const uint8_t magic[3] = { 'T', 'R', 'I' };

/* Offsets in the head. */
enum {
        AT_VERSION = 3,
        AT_TYPE = 4,
        AT_FLAGS = 5,
        AT_TOKEN_LEN = 6,
        AT_CLIENT = 8,
        AT_SERVER = 24,
        AT_CLIENT_PORT = 40,
        AT_SERVER_PORT = 42,
        AT_CLIENT_ISN = 44,
        AT_SERVER_ISN = 48,
        AT_NONCE = 52,
};

static bool is_zero(const uint8_t *p, size_t n) {
        uint8_t any = 0;

        for (size_t i = 0; i < n; i++)
                any |= p[i];
        return any == 0;
}

/* What a field may hold depends on the type; everything that has no meaning is zero, so that a message has one encoding. */
static bool message_is_valid(const Message *m) {
        switch (m->type) {
        case MESSAGE_SYN:
                return (m->flags & ~MESSAGE_KNOWN) == 0 && m->token_len > 0 && m->token_len <= MESSAGE_TOKEN_MAX &&
                       m->endpoints.server_isn == 0 && ((m->flags & MESSAGE_KNOWN) || is_zero(m->mac, sizeof(m->mac)));
        case MESSAGE_SYN_ACK:
                return m->flags == 0 && m->token_len <= MESSAGE_TOKEN_MAX;
        case MESSAGE_ACK:
                return m->flags == 0 && m->token_len == 0 && is_zero(m->nonce, sizeof(m->nonce));
        default:
                return false;
        }
}

/* Zeros behind the MAC: a SYN, which may prove nothing, is made as large as any answer (docs/protocol.md, "Padding"). */
static size_t message_padding(const Message *m) {
        if (m->type != MESSAGE_SYN || m->token_len > MESSAGE_TOKEN_MAX)
                return 0;
        return MESSAGE_TOKEN_MAX - m->token_len;
}

int message_parse(const uint8_t *payload, size_t len, Message *ret) {
        Message m;
        size_t end;

        if (len < sizeof(magic) || memcmp(payload, magic, sizeof(magic)) != 0)
                return -ENOMSG;
        if (len < MESSAGE_SIZE_MIN || payload[AT_VERSION] != MESSAGE_VERSION)
                return -EBADMSG;
        m = (Message) {
                .type = payload[AT_TYPE],
                .flags = payload[AT_FLAGS],
                .endpoints.client_port = load_be16(payload + AT_CLIENT_PORT),
                .endpoints.server_port = load_be16(payload + AT_SERVER_PORT),
                .endpoints.client_isn = load_be32(payload + AT_CLIENT_ISN),
                .endpoints.server_isn = load_be32(payload + AT_SERVER_ISN),
                .token = payload + MESSAGE_HEAD_SIZE,
                .token_len = load_be16(payload + AT_TOKEN_LEN),
        };
        end = MESSAGE_HEAD_SIZE + m.token_len + MESSAGE_MAC_SIZE;
        if (len != end + message_padding(&m) || !is_zero(payload + end, len - end))
                return -EBADMSG;
        memcpy(&m.endpoints.client, payload + AT_CLIENT, sizeof(m.endpoints.client));
        memcpy(&m.endpoints.server, payload + AT_SERVER, sizeof(m.endpoints.server));
        memcpy(m.nonce, payload + AT_NONCE, sizeof(m.nonce));
        memcpy(m.mac, payload + end - MESSAGE_MAC_SIZE, sizeof(m.mac));
        if (!message_is_valid(&m))
                return -EBADMSG;
        *ret = m;
        return 0;
}

static void message_write_head(const Message *m, uint8_t *head) {
        memcpy(head, magic, sizeof(magic));
        head[AT_VERSION] = MESSAGE_VERSION;
        head[AT_TYPE] = (uint8_t) m->type;
        head[AT_FLAGS] = m->flags;
        store_be16(head + AT_TOKEN_LEN, m->token_len);
        memcpy(head + AT_CLIENT, &m->endpoints.client, sizeof(m->endpoints.client));
        memcpy(head + AT_SERVER, &m->endpoints.server, sizeof(m->endpoints.server));
        store_be16(head + AT_CLIENT_PORT, m->endpoints.client_port);
        store_be16(head + AT_SERVER_PORT, m->endpoints.server_port);
        store_be32(head + AT_CLIENT_ISN, m->endpoints.client_isn);
        store_be32(head + AT_SERVER_ISN, m->endpoints.server_isn);
        memcpy(head + AT_NONCE, m->nonce, sizeof(m->nonce));
}

int message_write(const Message *m, uint8_t *buf, size_t size) {
        size_t len = MESSAGE_HEAD_SIZE + m->token_len + MESSAGE_MAC_SIZE, padding = message_padding(m);

        if (!message_is_valid(m))
                return -EINVAL;
        if (len + padding > size)
                return -EMSGSIZE;
        message_write_head(m, buf);
        if (m->token_len > 0)
                memcpy(buf + MESSAGE_HEAD_SIZE, m->token, m->token_len);
        memcpy(buf + len - MESSAGE_MAC_SIZE, m->mac, MESSAGE_MAC_SIZE);
        memset(buf + len, 0, padding);
        return (int) (len + padding);
}

void message_view(const Message *m, const uint8_t *token_hash, uint8_t ret[static MESSAGE_VIEW_SIZE]) {
        message_write_head(m, ret);
        memcpy(ret + MESSAGE_HEAD_SIZE, token_hash, 32);
        memcpy(ret + MESSAGE_HEAD_SIZE + 32, m->mac, MESSAGE_MAC_SIZE);
}

void message_set_server_isn(uint8_t *bytes, uint32_t isn) {
        store_be32(bytes + AT_SERVER_ISN, isn);
}

void message_set_mac(uint8_t *bytes, size_t len, const uint8_t mac[static MESSAGE_MAC_SIZE]) {
        memcpy(bytes + len - MESSAGE_MAC_SIZE, mac, MESSAGE_MAC_SIZE);
}

void message_write_reminder(const uint8_t *syn_ack, size_t len, uint8_t ret[static MESSAGE_SIZE_MIN]) {
        memcpy(ret, syn_ack, MESSAGE_HEAD_SIZE);
        store_be16(ret + AT_TOKEN_LEN, 0);
        memcpy(ret + MESSAGE_HEAD_SIZE, syn_ack + len - MESSAGE_MAC_SIZE, MESSAGE_MAC_SIZE);
}

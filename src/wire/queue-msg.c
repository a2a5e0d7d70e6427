/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>

#include "wire/netlink.h"
#include "wire/queue-msg.h"

static int get_be32(const NetlinkAttr *attr, uint32_t *ret) {
        if (attr->len != sizeof(uint32_t))
                return -EBADMSG;
        *ret = load_be32(attr->data);
        return 0;
}

static int queue_msg_parse_header(const NetlinkAttr *attr, QueueMsg *m) {
        struct nfqnl_msg_packet_hdr header;

        if (attr->len != sizeof(header))
                return -EBADMSG;
        memcpy(&header, attr->data, sizeof(header));
        m->id = ntohl(header.packet_id);
        m->hook = header.hook;
        return m->hook == QUEUE_HOOK_INPUT || m->hook == QUEUE_HOOK_OUTPUT ? 0 : -EBADMSG;
}

static int queue_msg_parse_attr(const NetlinkAttr *attr, QueueMsg *m) {
        switch (attr->type) {
        case NFQA_PACKET_HDR:
                return queue_msg_parse_header(attr, m);
        case NFQA_MARK:
                return get_be32(attr, &m->mark);
        case NFQA_PRIORITY:
                return get_be32(attr, &m->priority);
        case NFQA_IFINDEX_INDEV:
                return get_be32(attr, &m->iif);
        case NFQA_IFINDEX_OUTDEV:
                return get_be32(attr, &m->oif);
        case NFQA_CAP_LEN:
                return get_be32(attr, &m->cap_len);
        case NFQA_PAYLOAD:
                m->payload = attr->data;
                m->payload_len = attr->len;
                return 0;
        default:
                return 0; /* the kernel adds attributes as it grows */
        }
}

static int queue_msg_parse_attrs(Reader *r, QueueMsg *m) {
        NetlinkAttr attr;
        int more, result = 0;

        /* A bad attribute does not end the search for the id. */
        while ((more = netlink_next_attr(r, &attr)) > 0)
                if (queue_msg_parse_attr(&attr, m) < 0)
                        result = -EBADMSG;
        if (more < 0 || m->hook == 0)
                return -EBADMSG;
        return result;
}

int queue_msg_parse(const void *data, size_t len, QueueMsg *ret) {
        struct nlmsghdr header;
        struct nfgenmsg family;
        const uint8_t *p;
        QueueMsg m = {};
        Reader r;

        ret->id = 0;
        ret->queue = 0;
        if (netlink_open(data, len, &header, &r) < 0)
                return -EBADMSG;
        if (header.nlmsg_type != (NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_PACKET))
                return -ENOMSG;
        p = reader_take(&r, sizeof(family));
        if (!p)
                return -EBADMSG;
        memcpy(&family, p, sizeof(family));
        m.queue = ntohs(family.res_id);
        if (queue_msg_parse_attrs(&r, &m) < 0) {
                ret->id = m.id;
                ret->queue = m.queue;
                return -EBADMSG;
        }
        *ret = m;
        return 0;
}

static void queue_begin(NetlinkWriter *w, uint16_t type, uint16_t flags, uint16_t queue, uint32_t seq, void *buf, size_t size) {
        const struct nlmsghdr header = {
                .nlmsg_type = (uint16_t) (NFNL_SUBSYS_QUEUE << 8 | type),
                .nlmsg_flags = NLM_F_REQUEST | flags,
                .nlmsg_seq = seq,
        };
        const struct nfgenmsg family = { .nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0, .res_id = htons(queue) };

        netlink_begin(w, buf, size, &header);
        netlink_put(w, &family, sizeof(family));
}

static void put_verdict(NetlinkWriter *w, uint32_t verdict, uint32_t id) {
        const struct nfqnl_msg_verdict_hdr header = { .verdict = htonl(verdict), .id = htonl(id) };

        netlink_put_attr(w, NFQA_VERDICT_HDR, &header, sizeof(header));
}

int queue_verdict_write(const QueueVerdict *v, void *buf, size_t size) {
        const uint32_t priority = htonl(v->priority);
        NetlinkWriter w;

        queue_begin(&w, NFQNL_MSG_VERDICT, 0, v->queue, 0, buf, size);
        put_verdict(&w, v->drop ? NF_DROP : NF_ACCEPT, v->id);
        if (!v->drop) {
                netlink_put_attr(&w, NFQA_PRIORITY, &priority, sizeof(priority));
                if (v->payload)
                        netlink_put_attr(&w, NFQA_PAYLOAD, v->payload, v->payload_len);
        }
        return netlink_finish(&w);
}

int queue_config_write_bind(uint16_t queue, uint32_t seq, void *buf, size_t size) {
        const struct nfqnl_msg_config_cmd command = { .command = NFQNL_CFG_CMD_BIND };
        NetlinkWriter w;

        queue_begin(&w, NFQNL_MSG_CONFIG, NLM_F_ACK, queue, seq, buf, size);
        netlink_put_attr(&w, NFQA_CFG_CMD, &command, sizeof(command));
        return netlink_finish(&w);
}

int queue_config_write_params(uint16_t queue, uint32_t copy_range, uint32_t max_len, uint32_t seq, void *buf, size_t size) {
        const struct nfqnl_msg_config_params params = { .copy_range = htonl(copy_range), .copy_mode = NFQNL_COPY_PACKET };
        const uint32_t queue_len = htonl(max_len);
        NetlinkWriter w;

        queue_begin(&w, NFQNL_MSG_CONFIG, NLM_F_ACK, queue, seq, buf, size);
        netlink_put_attr(&w, NFQA_CFG_PARAMS, &params, sizeof(params));
        netlink_put_attr(&w, NFQA_CFG_QUEUE_MAXLEN, &queue_len, sizeof(queue_len));
        return netlink_finish(&w);
}

int queue_drop_batch_write(uint16_t queue, uint32_t id, void *buf, size_t size) {
        NetlinkWriter w;

        queue_begin(&w, NFQNL_MSG_VERDICT_BATCH, 0, queue, 0, buf, size);
        put_verdict(&w, NF_DROP, id);
        return netlink_finish(&w);
}

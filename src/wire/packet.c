/* SPDX-License-Identifier: GPL-2.0-or-later */

/* IP: RFC 791, RFC 8200; TCP: RFC 9293; Fast Open: RFC 7413; checksums: RFC 1071. Struct layouts of the system's headers are not used, so
 * that nothing depends on the alignment of what the kernel hands over. */

#include <errno.h>
#include <sys/socket.h>

#include "wire/bytes.h"
#include "wire/packet.h"

#define IPV4_HEADER_MIN 20u
#define IPV6_HEADER_SIZE 40u
#define TCP_HEADER_MIN 20u
#define UDP_HEADER_SIZE 8u
#define ICMP_HEADER_SIZE 8u

/* Offsets in the headers. */
enum { IPV4_TOTAL_LENGTH = 2, IPV4_FRAGMENT = 6, IPV4_PROTOCOL = 9, IPV4_CHECKSUM = 10, IPV4_SOURCE = 12, IPV4_DESTINATION = 16 };
enum { IPV6_PAYLOAD_LENGTH = 4, IPV6_NEXT_HEADER = 6, IPV6_SOURCE = 8, IPV6_DESTINATION = 24 };
enum { TCP_SEQ = 4, TCP_ACK = 8, TCP_DATA_OFFSET = 12, TCP_FLAGS = 13, TCP_WINDOW = 14, TCP_CHECKSUM = 16, TCP_URGENT = 18 };

enum { IPV4_MORE_FRAGMENTS = 0x2000, IPV4_FRAGMENT_OFFSET = 0x1fff };
enum { IPV6_FRAGMENT_MASK = 0xfff9 }; /* offset and "more"; the two bits between are reserved */

/* RFC 9293 3.1, RFC 7413 4.1.1; the experimental form is RFC 6994's, with the magic number that RFC 7413 appendix A names. */
enum { TCP_FAST_OPEN = 34, TCP_EXPERIMENT = 254 };
#define FAST_OPEN_EXPERIMENT_ID 0xf989u

enum { IPV4_LOOSE_ROUTE = 131, IPV4_STRICT_ROUTE = 137 };

enum { OPTION_END = 0, OPTION_NOP = 1 }; /* of IPv4 and of TCP alike: type, length of the whole, data; these two have no length */

static struct in6_addr address_from_ipv4(const uint8_t *p) {
        struct in6_addr a = { .s6_addr = { [10] = 0xff, [11] = 0xff } };

        memcpy(a.s6_addr + 12, p, 4);
        return a;
}

/* The option at the reader's position: its length, 0 at the end of the list, -EBADMSG. */
static int next_option(Reader *r, const uint8_t **ret) {
        const uint8_t *option = reader_take(r, 1);
        size_t n = 1;

        if (!option || option[0] == OPTION_END)
                return 0;
        if (option[0] != OPTION_NOP) {
                if (r->left < 1 || option[1] < 2 || !reader_take(r, option[1] - 1u))
                        return -EBADMSG;
                n = option[1];
        }
        *ret = option;
        return (int) n;
}

/* Hops left to visit (RFC 791 3.1): then the destination in the IP header is not the one the checksum covers, nor the one the sender means. */
static bool is_unfinished_route(const uint8_t *option, size_t n) {
        return (option[0] == IPV4_LOOSE_ROUTE || option[0] == IPV4_STRICT_ROUTE) && (n < 3 || option[2] <= n);
}

static int check_ipv4_options(Reader options) {
        const uint8_t *option;
        int n;

        while ((n = next_option(&options, &option)) > 0)
                if (is_unfinished_route(option, (size_t) n))
                        return -EPROTONOSUPPORT;
        return n;
}

static int parse_ipv4(Packet *p) {
        const uint8_t *ip = p->data;
        size_t header_len, total_len;
        int r;

        if (p->len < IPV4_HEADER_MIN)
                return -EBADMSG;
        header_len = (ip[0] & 0x0fu) * 4u;
        total_len = load_be16(ip + IPV4_TOTAL_LENGTH);
        if (header_len < IPV4_HEADER_MIN || total_len < header_len || total_len > p->len)
                return -EBADMSG;
        if (load_be16(ip + IPV4_FRAGMENT) & (IPV4_MORE_FRAGMENTS | IPV4_FRAGMENT_OFFSET))
                return -EPROTONOSUPPORT;
        r = check_ipv4_options((Reader) { .at = ip + IPV4_HEADER_MIN, .left = header_len - IPV4_HEADER_MIN });
        if (r < 0)
                return r;
        p->family = AF_INET;
        p->len = total_len;
        p->saddr = address_from_ipv4(ip + IPV4_SOURCE);
        p->daddr = address_from_ipv4(ip + IPV4_DESTINATION);
        p->protocol = ip[IPV4_PROTOCOL];
        p->l4_offset = (uint16_t) header_len;
        return 0;
}

/* Steps over one extension header of the given type. Returns its length, 0 for an upper-layer protocol, or an error. */
static int extension_length(uint8_t type, const uint8_t *header, size_t left) {
        size_t n;

        switch (type) {
        case IPPROTO_HOPOPTS:
        case IPPROTO_ROUTING:
        case IPPROTO_DSTOPTS:
        case IPPROTO_FRAGMENT:
        case IPPROTO_AH:
                break;
        case IPPROTO_ESP:
        case IPPROTO_MH:
        case 139: /* HIP, RFC 7401 */
        case 140: /* Shim6, RFC 5533 */
        case 253: /* experiments, RFC 3692 */
        case 254:
                return -EPROTONOSUPPORT;
        default:
                return 0;
        }
        if (left < 8)
                return -EBADMSG;
        if (type == IPPROTO_FRAGMENT)
                n = 8;
        else if (type == IPPROTO_AH)
                n = (header[1] + 2u) * 4u; /* RFC 4302 2.2 */
        else
                n = (header[1] + 1u) * 8u;
        if (n > left)
                return -EBADMSG;
        if (type == IPPROTO_FRAGMENT && (load_be16(header + 2) & IPV6_FRAGMENT_MASK))
                return -EPROTONOSUPPORT;
        /* Segments left: as in is_unfinished_route(). */
        if (type == IPPROTO_ROUTING && header[3] != 0)
                return -EPROTONOSUPPORT;
        return (int) n;
}

static int parse_ipv6(Packet *p) {
        const uint8_t *ip = p->data;
        size_t total_len, at = IPV6_HEADER_SIZE;
        uint8_t next;
        int n;

        if (p->len < IPV6_HEADER_SIZE)
                return -EBADMSG;
        total_len = IPV6_HEADER_SIZE + load_be16(ip + IPV6_PAYLOAD_LENGTH);
        if (total_len > p->len || total_len > PACKET_MAX)
                return -EBADMSG;
        next = ip[IPV6_NEXT_HEADER];
        while ((n = extension_length(next, ip + at, total_len - at)) > 0) {
                next = ip[at];
                at += (size_t) n;
        }
        if (n < 0)
                return n;
        p->family = AF_INET6;
        p->len = total_len;
        memcpy(&p->saddr, ip + IPV6_SOURCE, sizeof(p->saddr));
        memcpy(&p->daddr, ip + IPV6_DESTINATION, sizeof(p->daddr));
        p->protocol = next;
        p->l4_offset = (uint16_t) at;
        return 0;
}

static bool is_fast_open(const uint8_t *option, size_t n) {
        return option[0] == TCP_FAST_OPEN ||
               (option[0] == TCP_EXPERIMENT && n >= 4 && load_be16(option + 2) == FAST_OPEN_EXPERIMENT_ID);
}

static int parse_tcp(Packet *p) {
        const uint8_t *tcp = p->data + p->l4_offset, *option;
        size_t left = p->len - p->l4_offset, header_len;
        Reader options;
        int n;

        if (left < TCP_HEADER_MIN)
                return -EBADMSG;
        header_len = (size_t) (tcp[TCP_DATA_OFFSET] >> 4) * 4u;
        if (header_len < TCP_HEADER_MIN || header_len > left)
                return -EBADMSG;
        options = (Reader) { .at = tcp + TCP_HEADER_MIN, .left = header_len - TCP_HEADER_MIN };
        while ((n = next_option(&options, &option)) > 0)
                p->fast_open |= is_fast_open(option, (size_t) n);
        if (n < 0)
                return n;
        p->sport = load_be16(tcp);
        p->dport = load_be16(tcp + 2);
        p->seq = load_be32(tcp + TCP_SEQ);
        p->ack = load_be32(tcp + TCP_ACK);
        p->flags = tcp[TCP_FLAGS];
        return (int) header_len;
}

static int parse_udp(Packet *p) {
        const uint8_t *udp = p->data + p->l4_offset;

        if (p->len - p->l4_offset < UDP_HEADER_SIZE)
                return -EBADMSG;
        p->sport = load_be16(udp);
        p->dport = load_be16(udp + 2);
        return UDP_HEADER_SIZE;
}

static int parse_icmp(Packet *p) {
        const uint8_t *icmp = p->data + p->l4_offset;

        if (p->len - p->l4_offset < ICMP_HEADER_SIZE)
                return -EBADMSG;
        p->sport = icmp[0];
        p->dport = icmp[1];
        return ICMP_HEADER_SIZE;
}

/* Returns the length of the upper-layer header. */
static int parse_upper_layer(Packet *p) {
        switch (p->protocol) {
        case IPPROTO_TCP:
                return parse_tcp(p);
        case IPPROTO_UDP:
                return parse_udp(p);
        case IPPROTO_ICMP:
                return p->family == AF_INET ? parse_icmp(p) : 0;
        case IPPROTO_ICMPV6:
                return p->family == AF_INET6 ? parse_icmp(p) : 0;
        default:
                return 0;
        }
}

int packet_parse(const uint8_t *data, size_t len, Packet *ret) {
        Packet p = { .data = data, .len = len };
        int r;

        if (len < 1)
                return -EBADMSG;
        switch (data[0] >> 4) {
        case 4:
                r = parse_ipv4(&p);
                break;
        case 6:
                r = parse_ipv6(&p);
                break;
        default:
                r = -EBADMSG;
        }
        if (r < 0)
                return r;
        r = parse_upper_layer(&p);
        if (r < 0)
                return r;
        p.payload_offset = (uint16_t) (p.l4_offset + r);
        p.payload_len = (uint32_t) (p.len - p.payload_offset);
        *ret = p;
        return 0;
}

/* Sums up 32-bit words in the machine's byte order, which folds to the right 16 bits in that order (RFC 1071, 2 (B)). All parts but the last
 * must have an even length. */
static uint64_t sum_add(uint64_t sum, const uint8_t *p, size_t n) {
        uint32_t word;

        for (; n >= sizeof(word); n -= sizeof(word), p += sizeof(word)) {
                memcpy(&word, p, sizeof(word));
                sum += word;
        }
        word = 0;
        memcpy(&word, p, n);
        return sum + word;
}

static void store_checksum(uint8_t *p, uint64_t sum) {
        uint16_t checksum;

        while (sum >> 16)
                sum = (sum & 0xffff) + (sum >> 16);
        checksum = (uint16_t) ~sum;
        memcpy(p, &checksum, sizeof(checksum));
}

static void fix_ipv4(uint8_t *ip, size_t header_len, size_t total_len) {
        store_be16(ip + IPV4_TOTAL_LENGTH, (uint16_t) total_len);
        memset(ip + IPV4_CHECKSUM, 0, 2);
        store_checksum(ip + IPV4_CHECKSUM, sum_add(0, ip, header_len));
}

static void fix_tcp_checksum(uint8_t family, uint8_t *ip, size_t l4_offset, size_t total_len) {
        uint8_t pseudo[8] = { [7] = IPPROTO_TCP };
        uint8_t *tcp = ip + l4_offset;
        size_t tcp_len = total_len - l4_offset;
        uint64_t sum;

        store_be32(pseudo, (uint32_t) tcp_len);
        sum = sum_add(0, pseudo, sizeof(pseudo));
        /* Source and destination stand side by side in both headers. */
        if (family == AF_INET)
                sum = sum_add(sum, ip + IPV4_SOURCE, 8);
        else
                sum = sum_add(sum, ip + IPV6_SOURCE, 32);
        memset(tcp + TCP_CHECKSUM, 0, 2);
        store_checksum(tcp + TCP_CHECKSUM, sum_add(sum, tcp, tcp_len));
}

static void fix_lengths(const Packet *p, uint8_t *ip, size_t total_len) {
        if (p->family == AF_INET)
                fix_ipv4(ip, p->l4_offset, total_len);
        else
                store_be16(ip + IPV6_PAYLOAD_LENGTH, (uint16_t) (total_len - IPV6_HEADER_SIZE));
        fix_tcp_checksum(p->family, ip, p->l4_offset, total_len);
}

static void remove_fast_open(uint8_t *tcp, size_t header_len) {
        Reader options = { .at = tcp + TCP_HEADER_MIN, .left = header_len - TCP_HEADER_MIN };
        const uint8_t *option;
        int n;

        while ((n = next_option(&options, &option)) > 0)
                if (is_fast_open(option, (size_t) n))
                        memset(tcp + (option - tcp), OPTION_NOP, (size_t) n);
}

int packet_rewrite(const Packet *p, const uint8_t *payload, size_t payload_len, bool strip_fast_open, uint8_t *buf, size_t size) {
        size_t len;

        if (p->protocol != IPPROTO_TCP)
                return -EPROTO;
        if (payload_len > PACKET_MAX - (size_t) p->payload_offset || p->payload_offset + payload_len > size)
                return -EMSGSIZE;
        len = p->payload_offset + payload_len;
        memcpy(buf, p->data, p->payload_offset);
        if (payload_len > 0) {
                memcpy(buf + p->payload_offset, payload, payload_len);
                buf[p->l4_offset + TCP_FLAGS] &= (uint8_t) ~TCP_FLAG_FIN;
        }
        if (strip_fast_open)
                remove_fast_open(buf + p->l4_offset, (size_t) (p->payload_offset - p->l4_offset));
        fix_lengths(p, buf, len);
        return (int) len;
}

static int write_with_flags(const Packet *p, uint8_t flags, uint32_t ack, uint8_t *buf, size_t size) {
        int len = packet_rewrite(p, NULL, 0, true, buf, size);

        if (len < 0)
                return len;
        buf[p->l4_offset + TCP_FLAGS] = flags;
        store_be32(buf + p->l4_offset + TCP_ACK, ack);
        fix_tcp_checksum(p->family, buf, p->l4_offset, (size_t) len);
        return len;
}

int packet_write_reset(const Packet *p, uint32_t ack, uint8_t *buf, size_t size) {
        return write_with_flags(p, TCP_FLAG_RST | TCP_FLAG_ACK, ack, buf, size);
}

int packet_write_ack(const Packet *p, uint8_t *buf, size_t size) {
        return write_with_flags(p, TCP_FLAG_ACK, p->ack, buf, size);
}

void packet_read_syn(const Packet *p, PacketSyn *ret) {
        const uint8_t *tcp = p->data + p->l4_offset;

        *ret = (PacketSyn) {
                .seq = p->seq,
                .window = load_be16(tcp + TCP_WINDOW),
                .flags = p->flags,
                .options_len = (uint8_t) (p->payload_offset - p->l4_offset - TCP_HEADER_MIN),
        };
        memcpy(ret->options, tcp + TCP_HEADER_MIN, ret->options_len);
}

int packet_write_syn(const Packet *p, const PacketSyn *syn, uint8_t *buf, size_t size) {
        size_t header_len = TCP_HEADER_MIN + syn->options_len, len = p->l4_offset + header_len;
        uint8_t *tcp = buf + p->l4_offset;

        if (p->protocol != IPPROTO_TCP)
                return -EPROTO;
        if (len > size)
                return -EMSGSIZE;
        memcpy(buf, p->data, p->l4_offset + 4u); /* up to the ports */
        store_be32(tcp + TCP_SEQ, syn->seq);
        store_be32(tcp + TCP_ACK, 0);
        tcp[TCP_DATA_OFFSET] = (uint8_t) (header_len / 4 << 4);
        tcp[TCP_FLAGS] = syn->flags;
        store_be16(tcp + TCP_WINDOW, syn->window);
        store_be16(tcp + TCP_URGENT, 0);
        memcpy(tcp + TCP_HEADER_MIN, syn->options, syn->options_len);
        remove_fast_open(tcp, header_len);
        fix_lengths(p, buf, len);
        return (int) len;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Why a verdict came out as it did. The strings are an interface: they stand in flows, the journal, explain and policy eval. Append only. */

typedef enum Reason {
        REASON_NONE = 0,
        REASON_RULE,            /* "rule": a rule accepted or rejected */
        REASON_SAME_LABEL,      /* "same-label": the default policy accepted */
        REASON_NO_RULE,         /* "no-rule": nothing matched */
        REASON_NOT_ANNOUNCED,   /* "not-announced": a negative clause over a tag family that was not sent */
        REASON_ACL,             /* "acl": an ACL accepted or rejected a stranger */
        REASON_NO_IDENTITY,     /* "no-identity": a stranger, and no ACL accepts it */
        REASON_BAD_SETTINGS,    /* "bad-settings": the unit's settings do not parse */
        REASON_CLOSED,          /* "closed": the unit is attached but not yet decided, or cannot be enforced */
        REASON_NOT_AUTHORIZED,  /* "not-authorized": packet outside any authorized connection */
        REASON_BAD_TOKEN,       /* "bad-token": malformed */
        REASON_UNVERIFIED,      /* "unverified": MAC or signature does not verify: other PSK, other CA, or forged */
        REASON_EXPIRED,         /* "expired": out of its validity (clocks?) */
        REASON_UNKNOWN_NAMESPACE, /* "unknown-namespace": a token carrying @port or an unknown tag namespace */
        REASON_WRONG_MODE,      /* "wrong-mode": PSK meets PKI */
        REASON_BAD_MAC,         /* "bad-mac": handshake message does not verify */
        REASON_NOT_FOR_ME,      /* "not-for-me": the peer meant another destination */
        REASON_TRANSLATED,      /* "translated": NAT on the path and RequireDirectPath=yes */
        REASON_SIMULTANEOUS_OPEN, /* "simultaneous-open" */
        REASON_PEER_SILENT,     /* "peer-silent": no answer in time */
        REASON_NO_ANSWER,       /* "no-answer": the enforcer did not answer in time */
        REASON_OVERLOAD,        /* "overload": a bound was reached */
        REASON_OBSERVE,         /* "observe": let pass, would have been denied */
        REASON_DISARMED,        /* "disarmed" */
        REASON_TOO_BIG,         /* "too-big": the unit's tags do not fit a token */
        REASON_OWN_NETWORK,     /* "own-network": the unit has a network namespace of its own */
        REASON_TOO_DEEP,        /* "too-deep": nested deeper than the rules reach */
        REASON_FOREIGN_LISTENER, /* "foreign-listener": PID 1 made the listener outside the unit's cgroup */
        REASON_INTERNAL,        /* "internal" */
        REASON_BAD_CERTIFICATE, /* "bad-certificate": malformed, a key or signature of a kind that is refused, or too many names */
        REASON_UNKNOWN_CA,      /* "unknown-ca": the certificate is of no trusted CA */
        REASON_CERT_EXPIRED,    /* "cert-expired": the certificate, or a CA above it, is out of its validity */
        REASON_REVOKED,         /* "revoked": the certificate is on a CRL or in DeniedCertificates= */
        REASON_CRL_EXPIRED,     /* "crl-expired": its issuer has a CRL, but none in date */
        REASON_CERT_NO_TAGS,    /* "cert-no-tags": the certificate lets its node assert no label */
        REASON_CERT_TAGS,       /* "cert-tags": a label that the certificate does not let its node assert */
        REASON_CERT_HOST,       /* "cert-host": @sys:host is none of the certificate's names */
        REASON_STRIPPED,        /* "stripped": the answer lacks the identity that was seen at that address and port before */
        _REASON_MAX,
        _REASON_INVALID = -22,
} Reason;

const char *reason_to_string(Reason reason);          /* never NULL */
Reason reason_from_string(const char *s);
const char *reason_explain(Reason reason);            /* one sentence for people: what it means and what to do */

/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "policy/reason.h"
#include "util/macro.h"

static const struct {
        const char *name, *text;
} reasons[_REASON_MAX] = {
        [REASON_NONE] = { "none", "Nothing was decided." },
        [REASON_RULE] = { "rule", "The rule that is named decided." },
        [REASON_SAME_LABEL] = { "same-label", "Both units carry the same label, which the default policy accepts." },
        [REASON_NO_RULE] = { "no-rule", "No rule accepts this peer; add a TriremeAccept= or TriremeConnect= line that it satisfies, or give both units a label in common." },
        [REASON_NOT_ANNOUNCED] = { "not-announced", "A rule forbids a tag that the peer's node does not send; add its family to AnnounceTags= there, or change the rule." },
        [REASON_ACL] = { "acl", "The peer has no identity, and the access list entry that is named decided." },
        [REASON_NO_IDENTITY] = { "no-identity", "The peer has no identity, and no TriremeAcceptFrom= or TriremeConnectTo= line accepts strangers from there." },
        [REASON_BAD_SETTINGS] = { "bad-settings", "The unit's [X-Trireme] settings do not parse, so it is denied everything; \"triremectl status UNIT\" names file and line." },
        [REASON_CLOSED] = { "closed", "The unit is not decided yet, or cannot be enforced; \"triremectl status UNIT\" says why." },
        [REASON_NOT_AUTHORIZED] = { "not-authorized", "The packet belongs to no authorized connection." },
        [REASON_BAD_TOKEN] = { "bad-token", "The peer's token is malformed." },
        [REASON_UNVERIFIED] = { "unverified", "The peer's token does not verify: its node has another key or another CA, or it is forged." },
        [REASON_EXPIRED] = { "expired", "The peer's token is outside its validity; compare the clocks of both hosts." },
        [REASON_UNKNOWN_NAMESPACE] = { "unknown-namespace", "The peer's token carries a tag that no token may carry." },
        [REASON_WRONG_MODE] = { "wrong-mode", "One host uses a shared key and the other certificates; set both up alike." },
        [REASON_BAD_MAC] = { "bad-mac", "A handshake message does not verify: it was changed on its way, or comes from somebody else." },
        [REASON_NOT_FOR_ME] = { "not-for-me", "The peer meant to reach another address; if a translation on the path is wanted, name it in AcceptTranslatedTo=." },
        [REASON_TRANSLATED] = { "translated", "The source address was translated on the path, and RequireDirectPath=yes refuses that." },
        [REASON_SIMULTANEOUS_OPEN] = { "simultaneous-open", "Both ends opened the same connection at once, which is refused." },
        [REASON_PEER_SILENT] = { "peer-silent", "The peer did not answer in time." },
        [REASON_NO_ANSWER] = { "no-answer", "The enforcer did not answer in time; see \"systemctl status trireme\"." },
        [REASON_OVERLOAD] = { "overload", "Too many handshakes at once." },
        [REASON_OBSERVE] = { "observe", "The unit is in observe mode: let pass, but it would have been denied." },
        [REASON_DISARMED] = { "disarmed", "Trireme is disarmed; \"triremectl arm\" ends that." },
        [REASON_TOO_BIG] = { "too-big", "The unit's tags do not fit a token; use fewer or shorter labels, or announce fewer families in AnnounceTags=." },
        [REASON_OWN_NETWORK] = { "own-network", "The unit has a network namespace of its own, where it cannot be enforced." },
        [REASON_TOO_DEEP] = { "too-deep", "The unit is nested in more slices than the packet rules reach." },
        [REASON_FOREIGN_LISTENER] = { "foreign-listener", "The listening socket was made outside the unit's control group; restart the socket unit." },
        [REASON_INTERNAL] = { "internal", "Something that should not happen did; see the journal." },
        [REASON_BAD_CERTIFICATE] = { "bad-certificate", "The peer's certificate cannot be used: an Ed25519 or P-256 key that may sign is needed, and nothing weak above it." },
        [REASON_UNKNOWN_CA] = { "unknown-ca", "The peer's certificate is of no CA in trireme.ca; add the CA, or the intermediate that is missing." },
        [REASON_CERT_EXPIRED] = { "cert-expired", "The peer's certificate, or a CA above it, is out of its validity; renew it, or compare the clocks." },
        [REASON_REVOKED] = { "revoked", "The peer's certificate was revoked." },
        [REASON_CRL_EXPIRED] = { "crl-expired", "The revocation list of the peer's CA is out of date; fetch a new one into trireme.crl and reload." },
        [REASON_CERT_NO_TAGS] = { "cert-no-tags", "The certificate names no label that its node may assert; issue it with subjectAltName URI names \"trireme:KEY=VALUE\"." },
        [REASON_CERT_TAGS] = { "cert-tags", "A label is beyond what the certificate lets its node assert; issue one that lists it, or use another label." },
        [REASON_CERT_HOST] = { "cert-host", "The host name is none of the certificate's DNS names; issue one with it, or leave \"host\" out of AnnounceTags=." },
        [REASON_STRIPPED] = { "stripped", "An identity was seen at that address and port before, and now the answer has none: something on the path takes it out, or somebody else answers." },
};

const char *reason_to_string(Reason reason) {
        return reason >= 0 && reason < _REASON_MAX && reasons[reason].name ? reasons[reason].name : "unknown";
}

Reason reason_from_string(const char *s) {
        for (int i = 0; i < _REASON_MAX; i++)
                if (reasons[i].name && streq(s, reasons[i].name))
                        return (Reason) i;
        return _REASON_INVALID;
}

const char *reason_explain(Reason reason) {
        return reason >= 0 && reason < _REASON_MAX && reasons[reason].text ? reasons[reason].text : "The reason is not known to this version.";
}

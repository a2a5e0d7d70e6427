/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What stands before the table while chains of another layout take the place of those that are there. A packet passes each base chain at a moment of its own: the new
 * ones before they hold, and then the old ones when they hold no more. So a table of its own, in front, lets nothing begin for these moments; TCP tries again. */
#include "helper/table-rules.h"

#include <linux/netfilter.h>
#include <unistd.h>

#define GUARD_NAME "trireme-guard"
#define GUARD_PRIORITY 9           /* before the first of the chains */
#define GUARD_GRACE_USEC 20000u    /* a packet that met no guard yet has passed the chains by then */

static void guard_rules(const Writer *w) {
        static const uint32_t authorized[] = { CTMARK_CLIENT_AUTHORIZED, CTMARK_SERVER_AUTHORIZED };
        NftRules *r = w->r;

        if_syn(r);
        then_drop(r);
        for (size_t i = 0; i < ELEMENTSOF(authorized); i++) {
                if_ct_mark(r, mark(w, authorized[i]), mark(w, authorized[i]));
                then_accept(r);
        }
        if_ct_mark(r, mark(w, CTMARK_CLIENT_MASK | CTMARK_SERVER_MASK), 0); /* nobody's, and it goes on */
        if_ct_state(r, NF_CT_STATE_ESTABLISHED | NF_CT_STATE_RELATED);
        then_accept(r);
        then_drop(r);
}

int table_guard_put_up(Table *t) {
        static const struct {
                const char *chain;
                uint32_t hook;
        } chains[] = { { "output", NF_INET_LOCAL_OUT }, { "input", NF_INET_LOCAL_IN } };
        _cleanup_batch_ NftBatch b = {};
        NftRules r = { .batch = &b, .table = GUARD_NAME, .native_queue = t->native_queue };
        const Writer w = { .r = &r, .t = t, .shift = (uint32_t) __builtin_ctz(t->options.mark_mask) };
        int k;

        nft_batch_init(&b);
        table_message(&b, NFT_MSG_NEWTABLE, GUARD_NAME);
        for (size_t i = 0; i < ELEMENTSOF(chains); i++) {
                table_chain_message(&b, GUARD_NAME, chains[i].chain, chains[i].hook, GUARD_PRIORITY);
                r.chain = chains[i].chain;
                guard_rules(&w);
        }
        k = nft_batch_send(&b, t->fd);
        if (k >= 0)
                (void) usleep(GUARD_GRACE_USEC);
        return k;
}

int table_guard_take_down(Table *t) {
        _cleanup_batch_ NftBatch b = {};

        nft_batch_init(&b);
        table_message(&b, NFT_MSG_NEWTABLE, GUARD_NAME); /* only what exists can be deleted */
        table_message(&b, NFT_MSG_DELTABLE, GUARD_NAME);
        return nft_batch_send(&b, t->fd);
}

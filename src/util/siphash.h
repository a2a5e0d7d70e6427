/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* SipHash-2-4 (Aumasson, Bernstein 2012): hashes keys that strangers choose, so that they cannot make them collide. Not a MAC for messages. */

#include <stddef.h>
#include <stdint.h>

#define SIPHASH_KEY_SIZE 16u

uint64_t siphash24(const void *data, size_t n, const uint8_t key[static SIPHASH_KEY_SIZE]);

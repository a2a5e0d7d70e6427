/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What the unit search path says about labels, and which drop-in directories follow from it. Collecting does the reading; planning is pure. */

#include "name-set.h"

typedef struct UnitIndex {
        NameSet fragments; /* unit files seen, the first of the path wins */
        NameSet labelled;  /* drop-in names with a [X-Trireme] section */
        NameSet aliases;   /* alias -> unit, of services */
        NameSet triggers;  /* socket drop-in name -> service that it triggers, where Service= or Sockets= says so */
        char *buf;         /* the file under scan */
        size_t buf_size;
} UnitIndex;

void unit_index_done(UnitIndex *index);

/* Reads the directory of a search path; the directories of a path in their order. A file that cannot be read counts as labelled and is logged: an unlabelled unit
 * is attached in vain at worst. -ENOMEM is the only failure. */
_must_use_ int unit_index_read(UnitIndex *index, const char *directory);

/* Adds to plan each drop-in name that must get the attach, and with the value "mask" those of the units that must not be reached by a broader one. */
_must_use_ int unit_index_plan(UnitIndex *index, NameSet *plan);

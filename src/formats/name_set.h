// SPDX-License-Identifier: Apache-2.0
/* Names that a writer has used: owned copies, found again by hash. Private to this room. */
#ifndef EW_FORMATS_NAME_SET_H
#define EW_FORMATS_NAME_SET_H

#include "base/map.h"

/* Adds a copy of the name (n >= 1); EW_ARGUMENT when it is there already. *copy (may be NULL) gets
 * the copy with a terminator, which lives until the release. A zeroed map is an empty set. */
ew_status ew__name_set_add(struct ew__map *set, struct ew__str name, const char **copy);
void ew__name_set_release(struct ew__map *set);

#endif

// SPDX-License-Identifier: Apache-2.0
#include "formats/name_set.h"
#include "base/mem.h"

ew_status ew__name_set_add(struct ew__map *set, struct ew__str name, const char **copy) {
    bool existed;
    char *own = ew__strndup(name.bytes, name.n);
    if (own == NULL)
        return EW_NO_MEMORY;
    ew_status status = ew__map_add(set, ew__str_of(own, name.n), 0, &existed);
    if (status == EW_OK && existed)
        status =
            ew__fail(EW_ARGUMENT, "the name \"%s\" is added twice", ew__quote(name.bytes, name.n));
    if (status != EW_OK) {
        ew__free(own);
        return status;
    }
    if (copy != NULL)
        *copy = own;
    return EW_OK;
}

void ew__name_set_release(struct ew__map *set) {
    for (size_t i = 0; i < set->capacity; i++)
        ew__free((char *)(uintptr_t)set->slots[i].key.bytes);
    ew__map_release(set);
}

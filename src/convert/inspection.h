// SPDX-License-Identifier: Apache-2.0
/* What ew_inspect gathers, and the two halves that fill it. */
#ifndef EW_CONVERT_INSPECTION_H
#define EW_CONVERT_INSPECTION_H

#include "edgewise/checkpoint.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "formats/gguf_read.h"
#include "formats/hf_folder.h"
#include "formats/safetensors.h"

/* More problems than this are counted, not told. */
enum { EW__PROBLEMS_MAX = 64 };

struct ew_inspection {
    struct ew__arena arena; /* every string and table */
    char *container;
    uint64_t file_bytes;
    ew_metadata *metadata;
    size_t n_metadata, metadata_capacity;
    ew_tensor_info *tensors;
    size_t n_tensors;
    char *problems[EW__PROBLEMS_MAX + 1];
    size_t n_problems, n_untold;
};

/* A copy in the arena. */
ew_status ew__inspection_text(struct ew_inspection *inspection, const char *bytes, size_t n,
                              char **out);
ew_status ew__inspection_problem(struct ew_inspection *inspection, const char *format, ...)
    EW__PRINTF(2, 3);

/* A file or folder opened for looking: exactly one of the first two is set; a folder also has
 * `folder`. */
struct ew__inspected {
    const char *path;
    const struct ew__gguf *gguf;
    const struct ew__safetensors *tensors;
    const struct ew__hf_folder *folder;
};
size_t ew__inspected_count(const struct ew__inspected *file);
/* dtype_name (may be NULL) gets the name of the type, the container's own word when unknown here.
 */
const struct ew__tensor *ew__inspected_tensor(const struct ew__inspected *file, size_t index,
                                              const char **dtype_name);

/* Metadata as printable text. */
ew_status ew__inspect_gguf_metadata(struct ew_inspection *inspection, const struct ew__gguf *gguf);
ew_status ew__inspect_json_metadata(struct ew_inspection *inspection, const char *prefix,
                                    const json_t *object, unsigned depth);

/* What would stop or degrade running it. Fails only without memory. */
ew_status ew__inspect_problems(struct ew_inspection *inspection, const struct ew__inspected *file,
                               bool check_values);

#endif

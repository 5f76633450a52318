// SPDX-License-Identifier: Apache-2.0
/* The text model of a folder, MTP block included, as the tensors of a GGUF file. */
#ifndef EW_CONVERT_TEXT_PLAN_H
#define EW_CONVERT_TEXT_PLAN_H

#include "convert/tensor_plan.h"

/* Matrices get `type` (EW__OWN_TYPE: the one they are loaded as), vectors F32. An announced MTP
 * block that is not complete is left out: it is then also taken out of config, which belongs to the
 * checkpoint and must outlive the plan. */
ew_status ew__plan_text(const struct ew__checkpoint *checkpoint, struct ew__config *config,
                        ew__dtype type, struct ew__tensor_plan *plan);

#endif

// SPDX-License-Identifier: Apache-2.0
/* Names -> typed fields of struct ew__model: every tensor found, its type decodable, its shape
 * right. */
#ifndef EW_MODEL_BIND_H
#define EW_MODEL_BIND_H

#include "model/model.h"

/* Matrices of model->copies have no rows yet, but for the embedding. */
ew_status ew__bind_weights(struct ew__model *model);
/* Refuses NaN and infinite values or block scales, naming the tensor. Reads every byte. */
ew_status ew__check_finite(const struct ew__model *model);

#endif

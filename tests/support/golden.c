// SPDX-License-Identifier: Apache-2.0
#include "support/golden.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void golden_open(struct golden *golden, const char *folder) {
    char path[512];
    snprintf(path, sizeof path, "%s/goldens.safetensors", folder);
    if (ew__safetensors_open(path, &golden->arrays) != EW_OK)
        fail_msg("%s", ew_last_error());
}

void golden_close(struct golden *golden) {
    ew__safetensors_close(golden->arrays);
}

bool golden_has(const struct golden *golden, const char *name) {
    return ew__safetensors_tensor(golden->arrays, ew__str(name)) != NULL;
}

static void *copy(const struct golden *golden, const char *name, ew__dtype type, size_t *n) {
    const struct ew__tensor *tensor = ew__safetensors_tensor(golden->arrays, ew__str(name));
    if (tensor == NULL || tensor->type != (uint32_t)type)
        fail_msg("reference array %s is missing or of another type", name);
    void *values = malloc((size_t)tensor->bytes + 1);
    memcpy(values, tensor->data, (size_t)tensor->bytes);
    *n = (size_t)ew__tensor_elements(tensor);
    return values;
}

float *golden_f32(const struct golden *golden, const char *name, size_t *n) {
    return copy(golden, name, EW__F32, n);
}

int32_t *golden_i32(const struct golden *golden, const char *name, size_t *n) {
    return copy(golden, name, EW__I32, n);
}

double assert_close(const char *what, const float *got, const float *want, size_t n,
                    double tolerance) {
    double worst = 0;
    for (size_t i = 0; i < n; i++) {
        double difference = fabs((double)got[i] - (double)want[i]);
        if (!(difference <= tolerance))
            fail_msg("%s: element %zu of %zu is %.9g, the reference has %.9g (tolerance %g)", what,
                     i, n, (double)got[i], (double)want[i], tolerance);
        worst = difference > worst ? difference : worst;
    }
    return worst;
}

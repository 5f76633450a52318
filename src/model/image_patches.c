// SPDX-License-Identifier: Apache-2.0
#include "model/image_patches.h"

#include "base/limits.h"
#include "base/size.h"

#include <math.h>

#define ASPECT_MAX 200u
#define PIXELS_MAX ((uint64_t)EW__VISION_PATCHES_MAX * EW__PATCH_VALUES / 3)

/* n / 32 to the nearest whole number, half to even, times 32. */
static uint64_t round_side(uint32_t n) {
    uint32_t whole = n / EW__TOKEN_SIDE, rest = n % EW__TOKEN_SIDE;
    bool up = rest > EW__TOKEN_SIDE / 2 || (rest == EW__TOKEN_SIDE / 2 && whole % 2 == 1);
    return (uint64_t)(whole + up) * EW__TOKEN_SIDE;
}

static uint32_t floor_side(double n) {
    double side = floor(n / EW__TOKEN_SIDE) * EW__TOKEN_SIDE;
    return side < EW__TOKEN_SIDE ? EW__TOKEN_SIDE : (uint32_t)side;
}

static uint32_t ceil_side(double n) {
    return (uint32_t)(ceil(n / EW__TOKEN_SIDE) * EW__TOKEN_SIDE);
}

static ew_status check_picture(struct ew__picture_size from, struct ew__pixel_budget budget) {
    uint32_t height = from.height, width = from.width;
    if (height == 0 || width == 0 || height > EW__IMAGE_SIDE_MAX || width > EW__IMAGE_SIDE_MAX)
        return ew__fail(EW_LIMIT, "a picture of %u x %u pixels, sides may be 1 to %u", width,
                        height, EW__IMAGE_SIDE_MAX);
    if (height > (uint64_t)ASPECT_MAX * width || width > (uint64_t)ASPECT_MAX * height)
        return ew__fail(EW_LIMIT,
                        "a picture of %u x %u pixels: one side is over %u times the other", width,
                        height, ASPECT_MAX);
    if (budget.min > budget.max || budget.max == 0 || budget.max > PIXELS_MAX)
        return ew__fail(EW_ARGUMENT, "a pixel budget of %llu to %llu",
                        (unsigned long long)budget.min, (unsigned long long)budget.max);
    return EW_OK;
}

/* `counted` pictures enter the test, `scaled` the factor that repairs it. */
static void fit(struct ew__picture_size from, struct ew__pixel_budget budget, uint64_t counted,
                uint64_t scaled, struct ew__picture_size *out) {
    uint64_t height = round_side(from.height), width = round_side(from.width);
    double pixels = (double)scaled * (double)from.height * (double)from.width;
    if (counted * height * width > budget.max) {
        double beta = sqrt(pixels / (double)budget.max);
        *out = (struct ew__picture_size){floor_side(from.height / beta),
                                         floor_side(from.width / beta)};
    } else if (counted * height * width < budget.min) {
        double beta = sqrt((double)budget.min / pixels);
        *out =
            (struct ew__picture_size){ceil_side(from.height * beta), ceil_side(from.width * beta)};
    } else {
        *out = (struct ew__picture_size){(uint32_t)height, (uint32_t)width};
    }
}

/* Only a budget without a minimum leaves a small side rounded to 0. */
static void at_least_one_token(struct ew__picture_size *size) {
    size->height = size->height == 0 ? EW__TOKEN_SIDE : size->height;
    size->width = size->width == 0 ? EW__TOKEN_SIDE : size->width;
}

ew_status ew__image_size(struct ew__picture_size from, struct ew__pixel_budget budget,
                         struct ew__picture_size *out) {
    EW__TRY(check_picture(from, budget));
    fit(from, budget, 1, 1, out);
    at_least_one_token(out);
    return EW_OK;
}

ew_status ew__video_size(uint32_t n_frames, struct ew__picture_size from,
                         struct ew__pixel_budget budget, struct ew__picture_size *out) {
    if (n_frames == 0 || n_frames > EW__VISION_PATCHES_MAX)
        return ew__fail(EW_LIMIT, "a video of %u frames, 1 to %u are possible", n_frames,
                        EW__VISION_PATCHES_MAX);
    EW__TRY(check_picture(from, budget));
    if (from.height < EW__TOKEN_SIDE || from.width < EW__TOKEN_SIDE)
        return ew__fail(EW_LIMIT, "a video of %u x %u pixels, sides must be at least %u",
                        from.width, from.height, EW__TOKEN_SIDE);
    fit(from, budget, ew__round_up(n_frames, EW__PATCH_FRAMES), n_frames, out);
    return EW_OK;
}

ew_status ew__grid_of(uint32_t n_frames, struct ew__picture_size size, struct ew__grid *out) {
    if (n_frames == 0 || size.height == 0 || size.width == 0 || size.height % EW__TOKEN_SIDE != 0 ||
        size.width % EW__TOKEN_SIDE != 0)
        return ew__fail(EW_ARGUMENT, "%u pictures of %u x %u pixels: sides must be multiples of %u",
                        n_frames, size.width, size.height, EW__TOKEN_SIDE);
    uint64_t t = ((uint64_t)n_frames + 1) / EW__PATCH_FRAMES, patches;
    uint32_t h = size.height / EW__PATCH_SIDE, w = size.width / EW__PATCH_SIDE;
    if (!ew__mul_u64(t, (uint64_t)h * w, &patches) || patches > EW__VISION_PATCHES_MAX)
        return ew__fail(EW_LIMIT, "%u pictures of %u x %u pixels are over %u patches together",
                        n_frames, size.width, size.height, EW__VISION_PATCHES_MAX);
    *out = (struct ew__grid){(uint32_t)t, h, w};
    return EW_OK;
}

/* One picture's 16 x 16 pixels of one patch into its time slot. */
static void cut(const uint8_t *pixels, uint32_t width, const float value[256], float *slot) {
    const size_t channel_values = EW__PATCH_VALUES / 3;
    for (size_t y = 0; y < EW__PATCH_SIDE; y++) {
        const uint8_t *row = pixels + y * width * 3;
        for (size_t x = 0; x < EW__PATCH_SIDE; x++)
            for (size_t channel = 0; channel < 3; channel++)
                slot[channel * channel_values + y * EW__PATCH_SIDE + x] =
                    value[row[x * 3 + channel]];
    }
}

void ew__patchify(const uint8_t *rgb, uint32_t n_frames, struct ew__picture_size size,
                  float *patches) {
    const uint32_t w = size.width / EW__PATCH_SIDE, count = size.height / EW__PATCH_SIDE * w;
    const size_t frame_bytes = (size_t)size.height * size.width * 3;
    float value[256];
    for (int byte = 0; byte < 256; byte++)
        value[byte] = (float)((byte / 255.0 - 0.5) / 0.5);
    for (uint32_t first = 0; first < n_frames; first += EW__PATCH_FRAMES)
        for (uint32_t i = 0; i < count; i++, patches += EW__PATCH_VALUES)
            for (uint32_t time = 0; time < EW__PATCH_FRAMES; time++) {
                uint32_t frame = first + time < n_frames ? first + time : n_frames - 1, row, column;
                ew__patch_at(w, i, &row, &column);
                const uint8_t *pixels = rgb + frame * frame_bytes +
                                        ((size_t)row * size.width + column) * EW__PATCH_SIDE * 3;
                cut(pixels, size.width, value, patches + time * EW__PATCH_SIDE * EW__PATCH_SIDE);
            }
}

// SPDX-License-Identifier: Apache-2.0
#include "model/positions.h"

#include "base/limits.h"

static ew_status check_room(const struct ew__positions *scan, uint64_t n) {
    if (n > EW__CONTEXT_MAX - scan->n_tokens)
        return ew__fail(EW_LIMIT, "a sequence of more than %u tokens", EW__CONTEXT_MAX);
    return EW_OK;
}

ew_status ew__position_text(struct ew__positions *scan, size_t n, int32_t (*out)[3]) {
    EW__TRY(check_room(scan, n));
    for (size_t i = 0; i < n; i++)
        for (int axis = 0; axis < 3; axis++)
            out[i][axis] = (int32_t)(scan->next + i);
    scan->n_tokens += (uint32_t)n;
    scan->next += (uint32_t)n;
    return EW_OK;
}

ew_status ew__position_picture(struct ew__positions *scan, uint32_t h, uint32_t w,
                               int32_t (*out)[3]) {
    EW__TRY(check_room(scan, (uint64_t)h * w));
    for (uint32_t row = 0; row < h; row++)
        for (uint32_t column = 0; column < w; column++) {
            int32_t *position = out[(size_t)row * w + column];
            position[0] = (int32_t)scan->next;
            position[1] = (int32_t)(scan->next + row);
            position[2] = (int32_t)(scan->next + column);
        }
    scan->n_tokens += h * w;
    scan->next += h > w ? h : w; // at most h * w, so next never passes n_tokens
    return EW_OK;
}

/* The pictures of one kind, temporal patch by temporal patch. */
struct supply {
    const struct ew__grid *grids;
    size_t n, grid; /* grids in all, the one in use */
    uint32_t t;     /* of its temporal patches, used */
    const char *what;
};

static ew_status next_picture(struct supply *supply, const struct ew__grid **out) {
    if (supply->grid == supply->n)
        return ew__fail(EW_ARGUMENT, "more %s tokens than the %zu %ss take", supply->what,
                        supply->n, supply->what);
    *out = &supply->grids[supply->grid];
    if ((*out)->t == 0 || (*out)->h == 0 || (*out)->w == 0 || (*out)->h % EW__PATCH_MERGE != 0 ||
        (*out)->w % EW__PATCH_MERGE != 0)
        return ew__fail(EW_ARGUMENT, "%s %zu has a grid of %u x %u x %u patches", supply->what,
                        supply->grid, (*out)->t, (*out)->h, (*out)->w);
    if (++supply->t >= (*out)->t) {
        supply->t = 0;
        supply->grid++;
    }
    return EW_OK;
}

static size_t run_length(const uint8_t *kinds, size_t n) {
    size_t length = 1;
    while (length < n && kinds[length] == kinds[0])
        length++;
    return length;
}

/* The pictures that a run of n tokens of their kind holds. */
static ew_status position_run(struct ew__positions *scan, struct supply *supply, size_t n,
                              int32_t (*out)[3]) {
    for (size_t done = 0; done < n;) {
        const struct ew__grid *grid = NULL;
        EW__TRY(next_picture(supply, &grid));
        uint32_t h = grid->h / EW__PATCH_MERGE, w = grid->w / EW__PATCH_MERGE;
        if ((uint64_t)h * w > n - done)
            return ew__fail(EW_ARGUMENT, "%zu %s tokens where a picture takes %llu", n - done,
                            supply->what, (unsigned long long)h * w);
        EW__TRY(ew__position_picture(scan, h, w, out + done));
        done += (size_t)h * w;
    }
    return EW_OK;
}

ew_status ew__position_tokens(struct ew__positions *scan, const uint8_t *kinds, size_t n,
                              const struct ew__media_grids *grids, int32_t (*out)[3]) {
    struct supply supplies[] = {
        {.grids = grids->images, .n = grids->n_images, .what = "image"},
        {.grids = grids->videos, .n = grids->n_videos, .what = "video"},
    };
    for (size_t i = 0; i < n;) {
        size_t length = run_length(kinds + i, n - i);
        if (kinds[i] > EW__TOKEN_VIDEO)
            return ew__fail(EW_ARGUMENT, "token %zu is of the unknown kind %u", i, kinds[i]);
        if (kinds[i] == EW__TOKEN_TEXT)
            EW__TRY(ew__position_text(scan, length, out + i));
        else
            EW__TRY(position_run(scan, &supplies[kinds[i] - EW__TOKEN_IMAGE], length, out + i));
        i += length;
    }
    for (size_t kind = 0; kind < 2; kind++)
        if (supplies[kind].grid != supplies[kind].n || supplies[kind].t != 0)
            return ew__fail(EW_ARGUMENT, "fewer %s tokens than the %zu %ss take",
                            supplies[kind].what, supplies[kind].n, supplies[kind].what);
    return EW_OK;
}

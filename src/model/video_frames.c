// SPDX-License-Identifier: Apache-2.0
#include "model/video_frames.h"

#include <math.h>
#include <stdio.h>

static double known_fps(double fps) {
    return isfinite(fps) && fps > 0 ? fps : EW__VIDEO_DEFAULT_FPS;
}

uint32_t ew__video_frame_count(uint32_t total, double fps) {
    double n = floor(total / known_fps(fps) * EW__VIDEO_FPS);
    n = n < EW__VIDEO_FRAMES_MIN ? EW__VIDEO_FRAMES_MIN : n;
    n = n > EW__VIDEO_FRAMES_MAX ? EW__VIDEO_FRAMES_MAX : n;
    return n > total ? total : (uint32_t)n;
}

/* (total - 1) i / (n - 1) in whole numbers, so that halves are exact. */
uint32_t ew__video_frame_index(uint32_t total, uint32_t n, uint32_t i) {
    if (n < 2)
        return 0;
    uint64_t product = (uint64_t)(total - 1) * i, whole = product / (n - 1);
    uint64_t twice = product % (n - 1) * 2;
    if (twice > n - 1 || (twice == n - 1 && whole % 2 == 1))
        whole++;
    return (uint32_t)whole;
}

double ew__video_patch_seconds(uint32_t total, double fps, uint32_t n, uint32_t j) {
    uint32_t second = 2 * j + 1 < n ? 2 * j + 1 : n - 1;
    double from = ew__video_frame_index(total, n, 2 * j) / known_fps(fps);
    double to = ew__video_frame_index(total, n, second) / known_fps(fps);
    return (from + to) / 2;
}

size_t ew__video_stamp(double seconds, char out[64]) {
    int n = snprintf(out, 64, "<%.1f seconds>", seconds);
    return n < 0 ? 0 : n > 63 ? 63 : (size_t)n;
}

// SPDX-License-Identifier: Apache-2.0
/* Which pictures of a video the model sees, and the times written before them. Source of the rules:
 * transformers, models/qwen3_vl at c9de1097 (2026-05-08). */
#ifndef EW_MODEL_VIDEO_FRAMES_H
#define EW_MODEL_VIDEO_FRAMES_H

#include <stddef.h>
#include <stdint.h>

#define EW__VIDEO_FPS         2.0 /* pictures taken per second of video */
#define EW__VIDEO_FRAMES_MIN  4u
#define EW__VIDEO_FRAMES_MAX  768u
#define EW__VIDEO_DEFAULT_FPS 24.0 /* of a source that does not tell */

/* How many of `total` (>= 1) pictures are taken: 2 per second, 4 to 768, at most all. fps <= 0 or
 * not finite counts as unknown. */
uint32_t ew__video_frame_count(uint32_t total, double fps);
/* The picture in the source that becomes picture i of n: evenly spread from the first to the last,
 * rounded half to even. */
uint32_t ew__video_frame_index(uint32_t total, uint32_t n, uint32_t i);
/* Seconds of temporal patch j (pictures 2j and 2j+1 of n): the mean of their times. */
double ew__video_patch_seconds(uint32_t total, double fps, uint32_t n, uint32_t j);
/* "<1.5 seconds>", one decimal, exact halves to even. Returns the length; out has room for 64. */
size_t ew__video_stamp(double seconds, char out[64]);

#endif

// SPDX-License-Identifier: Apache-2.0
/* Every limit of the library, with its reason. A value from a file or the network is compared with
 * one of these before it sizes anything. */
#ifndef EW_BASE_LIMITS_H
#define EW_BASE_LIMITS_H

/* Messages: long enough for a path and a sentence, short enough for one terminal paragraph. */
#define EW__MESSAGE_MAX 1024

/* Paths: PATH_MAX of Linux. Names in the cache folder: an identity in hexadecimal and a suffix. */
#define EW__PATH_BYTES_MAX 4096u
#define EW__CACHE_NAME_MAX 63u

/* GGUF. ggml's own reader takes 64 bytes for names with the terminator, 1 GiB strings and 2^30
 * elements; strings here are bounded by the file too. */
#define EW__GGUF_KEY_BYTES_MAX         65535u
#define EW__GGUF_STRING_BYTES_MAX      (1u << 30)
#define EW__GGUF_ARRAY_COUNT_MAX       (1u << 30)
#define EW__GGUF_KV_COUNT_MAX          (1u << 16) /* published files have under 100 */
#define EW__GGUF_SPLIT_COUNT_MAX       1024u /* llama.cpp writes a u16; nobody ships over 100 parts */
#define EW__GGUF_TENSOR_NAME_BYTES_MAX 63u   /* ggml keeps them in 64 bytes with the terminator */
#define EW__GGUF_DIMS_MAX              4u
#define EW__GGUF_HEADER_BYTES_MAX      (1u << 30) /* that the writer makes; the family's are 11 MB */
#define EW__GGUF_ALIGNMENT_MAX         (1u << 20) /* 32 in practice; a page at most is useful */

/* Tensors of one checkpoint: 427 + 333 + 15 in the 9B; larger relatives have some thousands. */
#define EW__TENSOR_COUNT_MAX      (1u << 16)
#define EW__TENSOR_NAME_BYTES_MAX 255u
#define EW__TENSOR_DIMS_MAX       8u /* the vision patch kernel of a safetensors checkpoint has 5 */

/* Safetensors: the reference implementation refuses longer headers. */
#define EW__SAFETENSORS_HEADER_BYTES_MAX 100000000u
#define EW__SAFETENSORS_SHARD_COUNT_MAX  1024u

/* JSON documents: the family's tokenizer.json is about 20 MB; everything else is far below. */
#define EW__JSON_BYTES_MAX        (256u << 20)
#define EW__JSON_CONFIG_BYTES_MAX (16u << 20)
#define EW__JSON_DEPTH_MAX        64

/* Tokenizer: the family has 248,320 ids and 247,587 merges. */
#define EW__VOCAB_MAX       (1u << 22)
#define EW__TOKEN_BYTES_MAX 4096u
#define EW__TEXT_BYTES_MAX  (1u << 30)
#define EW__ADDED_BYTES_MAX                                                                        \
    256u /* matching costs up to this much per byte of text; 23 in practice */

/* Model shapes: the 9B has H 4096, I 12288, 32 layers, 16 heads of 256. */
#define EW__WIDTH_MAX    (1u << 20)
#define EW__LAYERS_MAX   1024u
#define EW__HEADS_MAX    1024u
#define EW__HEAD_DIM_MAX 1024u
#define EW__CONTEXT_MAX  (1u << 24)

/* Sequences */
#define EW__KV_PAGE_TOKENS                                                                         \
    256u /* positions per KV page; also the span of the attention's merge order */
#define EW__BATCH_SEQUENCES_MAX 64u
#define EW__THREADS_MAX         256u

/* Images: above this many pixels a picture is refused before it is decoded. */
#define EW__IMAGE_PIXELS_MAX (1u << 27)
/* Longer sides than that exist in no camera and would overflow the arithmetic of sizes. */
#define EW__IMAGE_SIDE_MAX (1u << 20)
/* Patches of 2 x 16 x 16 pixels of one picture or video: the longest video that the model card
 * speaks of has 469,762,048 pixels, 917,504 patches. */
#define EW__VISION_PATCHES_MAX (1u << 20)

#endif

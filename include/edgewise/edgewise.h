// SPDX-License-Identifier: Apache-2.0
/* edgewise: runs the Qwen3.5 small models on the device at hand.
 *
 * Five lines to a first answer:
 *
 *     ew_model *model;
 *     ew_session *session;
 *     if (ew_model_load("model.gguf", NULL, &model) == EW_OK &&
 *         ew_session_new(model, NULL, &session) == EW_OK)
 *         ew_generate_text(session, "Once upon a time", NULL, print_piece, NULL);
 *
 * A model is weights, tokenizer, threads and scratch; a session is one timeline of tokens on it.
 * Text becomes ids (ew_tokenize), ids advance a session (ew_session_eval), its logits choose the
 * next id.
 *
 * Rules that hold for every call
 *  - Functions that can fail return ew_status; ew_last_error() then has a sentence for the user.
 *  - Option structs start with `size`: set it to sizeof(the struct) and zero the rest (EW_INIT does
 *    both); 0 in a field means its default. A NULL pointer means all defaults.
 *  - Every ..._free takes NULL. What a call allocates for the caller is named with its release.
 *  - Threads: calls on different models may run at the same time. Calls that compute on one model
 * or its sessions are serialised inside; two threads must not use one session at a time, except for
 *    ew_session_cancel.
 *  - Exactness: on one machine and instruction set, the logits of a token depend only on the tokens
 *    before it: not on thread count, chunk size, batching, or on save and restore. `edgewise
 *    selftest` proves it. */
#ifndef EDGEWISE_EDGEWISE_H
#define EDGEWISE_EDGEWISE_H

#include "edgewise/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Sets `size` and zeroes the rest: ew_model_options options = EW_INIT(ew_model_options); */
#ifdef __cplusplus
#define EW_INIT(type)                                                                              \
    { sizeof(type) }
#else
#define EW_INIT(type)                                                                              \
    { .size = sizeof(type) }
#endif

/* "major.minor.patch" of the library in use. */
EW_API const char *ew_version(void);

/* Receives what is worth telling (level 1 warning, 2 information, 3 debug), one line without a line
 * end, possibly on another thread. Set it before other calls; NULL (the default) is silence. */
typedef void ew_log_fn(void *context, int level, const char *line);
EW_API void ew_set_log(ew_log_fn *receiver, void *context);

/* ---- models ------------------------------------------------------------------------------------
 */

typedef struct ew_model ew_model;

/* How keys and values are kept. F32 is the reference. Q8_0 and Q4_0 (8 and 4 bits and a scale per
 * 32) take 17/32 and 9/32 of the memory of F16, at a price in accuracy that docs/model.md tells;
 * they need a head size that is a multiple of 32. */
typedef enum ew_kv_type {
    EW_KV_DEFAULT = 0,
    EW_KV_F16 = 1,
    EW_KV_F32 = 2,
    EW_KV_Q8_0 = 3,
    EW_KV_Q4_0 = 4
} ew_kv_type;

typedef struct ew_model_options {
    size_t size;
    uint32_t n_threads; /* 0: what suits the machine, measured once where it offers a choice and
                           kept in the cache folder; at most 256 */
    uint32_t n_batch;   /* tokens computed in one pass, 1 to 4096; 0: 512 */
    ew_kv_type kv_type; /* keys and values in the cache; default F16 */
    bool exact;        /* f32 activations for quantised weights: slower, the reference arithmetic */
    bool check_finite; /* read all weights at loading and refuse NaN and infinite values */
    const char *isa;   /* instruction set by name ("scalar", "avx2"...); NULL: the best here, or
                          what the environment variable EDGEWISE_ISA names */
    bool no_cache;     /* keep packed weights in memory instead of a file of the cache folder */
    uint32_t n_threads_batch; /* for passes of more than one token per session, such as a prompt;
                                 0: n_threads, or what suits the machine when that is 0 */
    bool
        tokenizer_only; /* no weights, threads or scratch: text calls work, what computes fails with
                           EW_STATE, and ew_model_get_info tells of weights that there are none */
    bool plain_head; /* ew_generate computes every logit of every token, instead of those alone that
                        can be chosen where a proved bound tells them; the tokens are the same. Also
                        with the environment variable EDGEWISE_HEAD=plain */
} ew_model_options;

/* Loads a .gguf file (the first of a split one) or a folder of Hugging Face or MLX. Weights are
 * mapped, not read, but for quantised matrices of MLX, which are copied as blocks of GGUF.
 * Quantised matrices are rearranged for the kernels once; of models from 32 MB on the result is
 * kept in a file of the cache folder (ew_cache_get_info) that later loads map. A checkpoint without
 * a tokenizer loads; text calls on it then fail with EW_NOT_FOUND. */
EW_API ew_status ew_model_load(const char *path, const ew_model_options *options, ew_model **out);
/* Sessions of the model must have been freed. */
EW_API void ew_model_free(ew_model *model);
/* Changes both thread counts (0: what suits the machine); no call may be running on the model. */
EW_API ew_status ew_model_set_threads(ew_model *model, uint32_t n_threads);

typedef struct ew_model_info {
    size_t size;
    uint32_t n_layer, n_embd, n_ff, n_vocab, n_ctx_train;
    uint32_t n_head, n_head_kv, head_dim;
    uint32_t n_full_attention_layers; /* the others are Gated DeltaNet */
    uint32_t n_linear_key_heads, n_linear_value_heads;
    bool has_mtp, has_tokenizer, tied_head;
    int32_t eos_token; /* -1 when the checkpoint names none */
    uint32_t n_threads;
    const char *isa;          /* instruction set in use; belongs to the library */
    uint64_t weight_bytes;    /* tensors of the text model, in the file or copied */
    uint64_t bytes_per_token; /* weights read to decode one token */
    uint64_t kv_bytes_per_token;
    uint64_t state_bytes;          /* recurrent state of a session */
    uint64_t scratch_bytes;        /* of the model: shared by its sessions */
    uint64_t copied_bytes;         /* weights that had to be copied at loading */
    uint64_t prompt_ops_per_token; /* operations of the weight matrices for one token of a prompt,
                                      two per multiply-add; without the head */
    const char *weight_type;       /* element type that most of them read, such as "Q4_K" */
    const char *arithmetic;        /* "int8", "bf16" or "f32": what multiplies them at best */
    uint64_t packed_bytes;  /* weights rearranged for the kernels, in the cache file or in memory */
    const char *cache_file; /* where they are kept; NULL: in memory. Belongs to the model */
    const char *cache_note; /* a sentence: why there is no such file; NULL when there is */
    uint32_t n_threads_batch; /* threads for passes of more than one token per session */
} ew_model_info;

/* Fills as much of *out as out->size says. */
EW_API ew_status ew_model_get_info(const ew_model *model, ew_model_info *out);
/* The checkpoint's chat template text, or NULL. Belongs to the model. */
EW_API const char *ew_model_chat_template(const ew_model *model);

/* The most that this machine gave to the model's threads and instruction set just now. Operations
 * are two per multiply-add. */
typedef struct ew_machine_peak {
    size_t size;
    double read_bytes_per_second; /* memory beyond every cache, read once */
    double int8_ops_per_second;   /* bytes into 32-bit sums */
    double bf16_ops_per_second;   /* 0: the instruction set has no such dot product */
    double f32_ops_per_second;
} ew_machine_peak;
/* Measures for about a second, over an eighth of the memory, at most 1 GiB, which it takes and
 * gives back. Thread-safe: waits for running calls, and they for it. EW_NO_MEMORY when there is
 * none. */
EW_API ew_status ew_model_measure_peak(ew_model *model, ew_machine_peak *out);

/* ---- text and tokens
 * ----------------------------------------------------------------------------- */

typedef enum ew_tokenize_flags {
    EW_TOKENIZE_PLAIN = 0,  /* "<|im_end|>" in the text is ordinary text */
    EW_TOKENIZE_SPECIAL = 1 /* added tokens in the text become their ids */
} ew_tokenize_flags;

/* n bytes of UTF-8 (ill-formed parts become U+FFFD) -> *ids, freed with ew_free. Nothing is added
 * around the text. Thread-safe. */
EW_API ew_status ew_tokenize(const ew_model *model, const char *text, size_t n,
                             ew_tokenize_flags flags, int32_t **ids, size_t *count);
/* Ids -> UTF-8 text with a NUL after it, freed with ew_free. Control tokens are left out unless
 * show_control. Thread-safe. */
EW_API ew_status ew_detokenize(const ew_model *model, const int32_t *ids, size_t count,
                               bool show_control, char **text, size_t *n);
/* The raw bytes of one token (part of a character, perhaps); belongs to the model, no NUL. */
EW_API ew_status ew_token_bytes(const ew_model *model, int32_t id, const char **bytes, size_t *n);
/* Id of an added token such as "<|im_end|>"; -1 when there is none or no tokenizer. */
EW_API int32_t ew_token_by_text(const ew_model *model, const char *text);
EW_API void ew_free(void *pointer);

/* ---- sessions
 * ------------------------------------------------------------------------------------ */

typedef struct ew_session ew_session;

typedef struct ew_session_options {
    size_t size;
    uint32_t n_ctx; /* positions at most; 0: the model's context, at most 32768. Memory for keys and
                       values is reserved now and becomes resident as positions are used */
} ew_session_options;

EW_API ew_status ew_session_new(ew_model *model, const ew_session_options *options,
                                ew_session **out);
EW_API void ew_session_free(ew_session *session);

/* Appends n tokens and computes the logits after the last. Fails with EW_LIMIT, before anything is
 * computed, when they do not fit n_ctx; with EW_ARGUMENT for an id out of range; with EW_CANCELLED
 * between chunks, the session then holding the chunks done. */
EW_API ew_status ew_session_eval(ew_session *session, const int32_t *tokens, size_t n);
/* The same, and gives the logits after every token, in order. The pointer is valid during the call.
 */
typedef ew_status ew_logits_fn(void *context, size_t index, const float *logits, size_t n_vocab);
EW_API ew_status ew_session_eval_each(ew_session *session, const int32_t *tokens, size_t n,
                                      ew_logits_fn *each, void *context);
/* Advances several sessions of one model together: tokens[i][0..n[i]) on sessions[i]. Each session
 * at most once. Results are those of separate calls, bit for bit. */
EW_API ew_status ew_session_eval_batch(ew_session *const *sessions, const int32_t *const *tokens,
                                       const size_t *n, size_t n_sessions);
/* [n_vocab] logits after the last evaluated token; NULL before the first. Valid until the next call
 * on the session. */
EW_API const float *ew_session_logits(const ew_session *session);
/* Tokens in the session so far, and positions it has room for. */
EW_API size_t ew_session_length(const ew_session *session);
EW_API size_t ew_session_capacity(const ew_session *session);
EW_API void ew_session_clear(ew_session *session); /* back to no tokens */
/* Makes the running call on this session stop at the next chunk or token. From any thread, and from
 * a signal handler. The request is forgotten when a call returns because of it. */
EW_API void ew_session_cancel(ew_session *session);

typedef struct ew_footprint {
    size_t size;
    uint64_t weight_bytes;  /* mapped or copied weights, shared by all sessions */
    uint64_t kv_bytes;      /* reserved for keys and values at n_ctx */
    uint64_t kv_used_bytes; /* of these, touched so far */
    uint64_t state_bytes;   /* recurrent state */
    uint64_t scratch_bytes; /* buffers of the model */
    uint64_t logits_bytes;
} ew_footprint;
EW_API ew_status ew_session_footprint(const ew_session *session, ew_footprint *out);

/* A copy of a session's memory at its present length. */
typedef struct ew_snapshot ew_snapshot;
EW_API ew_status ew_session_snapshot(const ew_session *session, ew_snapshot **out);
/* Puts the session (of the same model, with enough n_ctx) where the snapshot was taken. */
EW_API ew_status ew_session_restore(ew_session *session, const ew_snapshot *snapshot);
EW_API void ew_snapshot_free(ew_snapshot *snapshot);

/* ---- generation
 * ---------------------------------------------------------------------------------- */

typedef struct ew_sampling {
    size_t size;
    float temperature; /* 0: greedy, the lowest id among equals */
    int32_t top_k;     /* the k most likely; 0: all */
    float top_p;       /* shortest set with this probability, (0, 1]; 0: off */
    float min_p;       /* at least this share of the most likely; 0: off */
    uint64_t seed;     /* same seed, same tokens; 0 is a seed like any other */
} ew_sampling;

typedef enum ew_finish {
    EW_FINISH_NONE = 0,
    EW_FINISH_STOP = 1,   /* a stop token */
    EW_FINISH_LENGTH = 2, /* max_tokens or n_ctx reached */
    EW_FINISH_CALLER = 3  /* the callback said stop, or cancel */
} ew_finish;

/* One generated token: its id and the text that it completes (maybe none, never half a character;
 * not NUL-terminated). Return false to stop. */
typedef bool ew_token_fn(void *context, int32_t token, const char *text, size_t n);

typedef struct ew_generate_result {
    size_t n_prompt, n_generated; /* tokens */
    ew_finish finish;
    double prefill_seconds, decode_seconds;
} ew_generate_result;

typedef struct ew_generate_options {
    size_t size;
    size_t max_tokens;          /* 0: until a stop token or n_ctx */
    ew_sampling sampling;       /* all zero: greedy */
    bool ignore_stop;           /* go on after stop tokens (measurements) */
    bool show_control;          /* control tokens in the text, too */
    const int32_t *stop_tokens; /* further stop tokens beside the checkpoint's */
    size_t n_stop_tokens;
    ew_generate_result *result; /* filled when not NULL, also on failure */
} ew_generate_options;

/* Appends the prompt's tokens to the session (none: goes on from its logits), then generates. The
 * session afterwards holds prompt and answer, without the stop token. */
EW_API ew_status ew_generate(ew_session *session, const int32_t *prompt, size_t n_prompt,
                             const ew_generate_options *options, ew_token_fn *each, void *context);
/* The same from text, added tokens in it recognised, nothing put around it. */
EW_API ew_status ew_generate_text(ew_session *session, const char *prompt,
                                  const ew_generate_options *options, ew_token_fn *each,
                                  void *context);
/* The ids of one user turn in the family's chat form, ready for the assistant's answer without
 * thinking. Control words inside `user` stay text. Freed with ew_free. EW_NOT_FOUND when the
 * checkpoint has no chat tokens: a base model completes text instead. */
EW_API ew_status ew_chat_turn(const ew_model *model, const char *user, int32_t **ids,
                              size_t *count);

/* Chooses a token from the session's logits by the given sampling; *random is the generator's state
 * (start it with the seed). Greedy draws nothing. EW_STATE before the first evaluation. */
EW_API ew_status ew_session_sample(ew_session *session, const ew_sampling *sampling,
                                   uint64_t *random, int32_t *token);

/* ---- the cache folder
 * ---------------------------------------------------------------------------- */

/* What the library made and can make again: weights rearranged for its kernels. The folder is
 * EDGEWISE_CACHE_DIR, else edgewise below XDG_CACHE_HOME or ~/.cache (~/Library/Caches on macOS).
 * It may hold EDGEWISE_CACHE_MAX bytes ("20G"; 0: nothing is kept), by default 20 GB but at most a
 * quarter of the free disk; the file not used for longest goes first. Removing any of it is safe.
 */
typedef struct ew_cache_info {
    size_t size;
    const char *folder; /* "" when none can be told; valid until this thread asks again */
    uint64_t n_files, bytes;
    uint64_t budget_bytes;
} ew_cache_info;
EW_API ew_status ew_cache_get_info(ew_cache_info *out);

typedef struct ew_cache_file {
    const char *name;  /* in the folder */
    const char *model; /* name of the checkpoint it was made of; "" when the file is damaged */
    uint64_t bytes;
    int64_t used_seconds; /* time of the last use, since 1970 */
} ew_cache_file;
/* Calls `each` for every file; what it gets is valid during the call. */
typedef void ew_cache_file_fn(void *context, const ew_cache_file *file);
EW_API ew_status ew_cache_list(ew_cache_file_fn *each, void *context);

/* ---- the machine
 * --------------------------------------------------------------------------------- */

typedef struct ew_system_info {
    size_t size;
    const char *isa;                    /* best instruction set that runs here */
    const char *isas;                   /* all of them, comma-separated */
    const char *cpu;                    /* the processor's own name, "" when unknown */
    uint32_t n_threads;                 /* what a model that is told 0 decodes with */
    uint64_t memory_bytes;              /* of the machine */
    uint64_t rss_bytes, peak_rss_bytes; /* of this process */
    const char *built_with;             /* compiler and libraries */
    uint32_t n_threads_batch;           /* the same for prompts */
    bool threads_measured;              /* both counts were tried out here, not taken from cores */
    uint32_t n_logical, n_physical, n_performance; /* processors, cores, cores of the fast kind */
    uint32_t cpu_quota; /* processors that the control group grants; 0: no limit */
} ew_system_info;
EW_API ew_status ew_system_get_info(ew_system_info *out);

#ifdef __cplusplus
}
#endif
#endif

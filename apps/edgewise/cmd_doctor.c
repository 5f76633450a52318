// SPDX-License-Identifier: Apache-2.0
/* edgewise doctor: what this build and this machine can do, and what stands in the way. */
#include "commands.h"

#include "edgewise/edgewise.h"
#include "json.h"
#include "terminal.h"
#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef struct doctor_args {
    uint64_t threads;
    bool json;
} doctor_args;

static const option OPTIONS[] = {
    OPT_FLAG(doctor_args, json, 0, "json", "print one JSON object"),
    OPT_COUNT(doctor_args, threads, 't', "threads", "N", 0, 256,
              "accepted as everywhere; nothing is computed here"),
};

static const example EXAMPLES[] = {
    {"edgewise doctor", "what to paste into a bug report"},
    {"edgewise doctor --json", "the same for a script"},
};

/* The 0.8B model in 4 bits with a short context fits below this, hardly anything else. */
static const uint64_t LITTLE_MEMORY = (uint64_t)2 << 30;

enum { PROBLEMS_MAX = 8, SENTENCE_MAX = 320 };
typedef struct findings {
    char sentences[PROBLEMS_MAX][SENTENCE_MAX];
    size_t n;
} findings;

static void note(findings *f, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void note(findings *f, const char *format, ...) {
    va_list arguments;
    if (f->n == PROBLEMS_MAX)
        return;
    va_start(arguments, format);
    vsnprintf(f->sentences[f->n++], SENTENCE_MAX, format, arguments);
    va_end(arguments);
}

static void look_at_environment(findings *f, const ew_system_info *system) {
    const char *isa = getenv("EDGEWISE_ISA");
    const char *model = getenv("EDGEWISE_MODEL");
    if (isa != NULL && isa[0] != '\0' && strcmp(isa, system->isa) != 0)
        note(f, "EDGEWISE_ISA asks for '%s' while '%s' is the best here", isa, system->isa);
    if (model != NULL && model[0] != '\0' && access(model, R_OK) != 0)
        note(f, "EDGEWISE_MODEL names '%s', which cannot be read", model);
}

static void look_at_cache(findings *f) {
    ew_cache_info cache = EW_INIT(ew_cache_info);
    if (ew_cache_get_info(&cache) != EW_OK)
        note(f, "%s", ew_last_error());
    else if (cache.folder[0] == '\0')
        note(f, "there is no cache folder, so that every start packs the weights anew; set "
                "EDGEWISE_CACHE_DIR to one");
    else if (cache.budget_bytes == 0)
        note(f,
             "nothing can be kept in the cache folder, so that every start packs the weights anew");
}

static void look(findings *f, const ew_system_info *system) {
    char size[TEXT_SIZE_MAX];
    if (strcmp(system->isa, "scalar") == 0)
        note(f, "only the scalar kernels run here, which are many times slower than vector ones");
    if (system->memory_bytes != 0 && system->memory_bytes < LITTLE_MEMORY) {
        text_size(size, system->memory_bytes);
        note(f, "%s of memory is little: only the smallest models will fit", size);
    }
    if (system->n_threads == 1)
        note(f, "this process may use one processor only");
    look_at_environment(f, system);
    look_at_cache(f);
}

/* "a,b,c" with the best one marked. */
static void print_isas(const ew_system_info *system) {
    const char *word = system->isas;
    while (*word != '\0') {
        size_t n = strcspn(word, ", ");
        bool best = n == strlen(system->isa) && strncmp(word, system->isa, n) == 0;
        printf("%.*s%s", (int)n, word, best ? " (best)" : "");
        word += n;
        word += strspn(word, ", ");
        if (*word != '\0')
            printf(", ");
    }
    putchar('\n');
}

static void print_cache_file(void *context, const ew_cache_file *file) {
    char size[TEXT_SIZE_MAX], day[16];
    time_t used = (time_t)file->used_seconds;
    struct tm parts;
    (void)context;
    text_size(size, file->bytes);
    if (gmtime_r(&used, &parts) == NULL || strftime(day, sizeof(day), "%Y-%m-%d", &parts) == 0)
        snprintf(day, sizeof(day), "unknown");
    printf("  - %-12s last used %s, ", size, day);
    if (file->model[0] == '\0')
        printf("damaged: ");
    text_print_line(stdout, file->model[0] != '\0' ? file->model : file->name, 60);
    putchar('\n');
}

static void print_cache(void) {
    ew_cache_info cache = EW_INIT(ew_cache_info);
    char size[TEXT_SIZE_MAX], budget[TEXT_SIZE_MAX];
    printf("cache             ");
    if (ew_cache_get_info(&cache) != EW_OK || cache.folder[0] == '\0') {
        printf("none\n");
        return;
    }
    text_size(size, cache.bytes);
    text_size(budget, cache.budget_bytes);
    text_print_line(stdout, cache.folder, 200);
    printf(", %s of %s\n", size, budget);
    (void)ew_cache_list(print_cache_file, NULL);
}

static void print_threads(const ew_system_info *system) {
    printf("cores             %u", system->n_physical);
    if (system->n_performance != system->n_physical)
        printf(" (%u fast)", system->n_performance);
    printf(", %u logical processors", system->n_logical);
    if (system->cpu_quota != 0)
        printf(", quota of %u", system->cpu_quota);
    printf("\nthreads           %u, for prompts %u (%s)\n", system->n_threads,
           system->n_threads_batch, system->threads_measured ? "measured" : "by cores");
}

static void print_findings(const ew_system_info *system, const findings *f) {
    char size[TEXT_SIZE_MAX];
    text_size(size, system->memory_bytes);
    printf("edgewise          %s\n", ew_version());
    printf("built with        %s\n", system->built_with);
    printf("processor         ");
    text_print_line(stdout, system->cpu[0] != '\0' ? system->cpu : "unknown", 200);
    printf("\ninstruction sets  ");
    print_isas(system);
    print_threads(system);
    printf("memory            %s\n", system->memory_bytes == 0 ? "unknown" : size);
    print_cache();
    printf("problems          %s\n", f->n == 0 ? "none" : "");
    for (size_t i = 0; i < f->n; i++) {
        printf("  - ");
        text_print_line(stdout, f->sentences[i], SENTENCE_MAX);
        putchar('\n');
    }
}

static void json_isas(json *j, const char *isas) {
    json_key(j, "isas");
    json_open(j, '[');
    for (const char *word = isas; *word != '\0';) {
        size_t n = strcspn(word, ", ");
        json_text(j, word, n);
        word += n;
        word += strspn(word, ", ");
    }
    json_close(j, ']');
}

static void json_cache_file(void *context, const ew_cache_file *file) {
    json *j = context;
    json_open(j, '{');
    json_put_text(j, "name", file->name);
    json_put_text(j, "model", file->model[0] != '\0' ? file->model : NULL);
    json_put_count(j, "bytes", file->bytes);
    json_key(j, "used_seconds");
    json_integer(j, file->used_seconds);
    json_close(j, '}');
}

static void json_cache(json *j) {
    ew_cache_info cache = EW_INIT(ew_cache_info);
    bool known = ew_cache_get_info(&cache) == EW_OK && cache.folder[0] != '\0';
    json_key(j, "cache");
    json_open(j, '{');
    json_put_text(j, "folder", known ? cache.folder : NULL);
    json_put_count(j, "bytes", cache.bytes);
    json_put_count(j, "budget_bytes", cache.budget_bytes);
    json_key(j, "files");
    json_open(j, '[');
    (void)ew_cache_list(json_cache_file, j);
    json_close(j, ']');
    json_close(j, '}');
}

static void json_findings(const ew_system_info *system, const findings *f) {
    json j = {.out = stdout};
    json_open(&j, '{');
    json_put_text(&j, "version", ew_version());
    json_put_text(&j, "built_with", system->built_with);
    json_put_text(&j, "cpu", system->cpu);
    json_put_text(&j, "isa", system->isa);
    json_isas(&j, system->isas);
    json_put_count(&j, "threads", system->n_threads);
    json_put_count(&j, "threads_batch", system->n_threads_batch);
    json_put_flag(&j, "threads_measured", system->threads_measured);
    json_put_count(&j, "logical_processors", system->n_logical);
    json_put_count(&j, "physical_cores", system->n_physical);
    json_put_count(&j, "performance_cores", system->n_performance);
    json_put_count(&j, "cpu_quota", system->cpu_quota);
    json_put_count(&j, "memory_bytes", system->memory_bytes);
    json_cache(&j);
    json_key(&j, "problems");
    json_open(&j, '[');
    for (size_t i = 0; i < f->n; i++)
        json_text(&j, f->sentences[i], strlen(f->sentences[i]));
    json_close(&j, ']');
    json_close(&j, '}');
    fputc('\n', stdout);
}

static int doctor_main(int argc, char **argv) {
    doctor_args args = {.json = false};
    operands found;
    ew_system_info system = EW_INIT(ew_system_info);
    findings f = {.n = 0};
    int status = options_parse(&cmd_doctor, argc, argv, &args, &found);
    if (status != OPTIONS_GO_ON)
        return status;
    ew_status got = ew_system_get_info(&system);
    if (got != EW_OK)
        return text_fail_with(got);
    look(&f, &system);
    if (args.json)
        json_findings(&system, &f);
    else
        print_findings(&system, &f);
    return EXIT_DONE;
}

const command cmd_doctor = {
    .name = "doctor",
    .synopsis = "[options]",
    .summary = "what was built in, what this machine can do, problems",
    .about =
        "Shows version, build, processor, instruction sets, threads, memory and the cache folder "
        "with its files, and lists what would make edgewise slow or fail here. Problems do not "
        "change the exit status.",
    .options = OPTIONS,
    .n_options = sizeof(OPTIONS) / sizeof(OPTIONS[0]),
    .examples = EXAMPLES,
    .n_examples = sizeof(EXAMPLES) / sizeof(EXAMPLES[0]),
    .main = doctor_main,
};

// SPDX-License-Identifier: Apache-2.0
/* Packed weights in a cache file: made once, mapped from then on, made anew when anything about the
 * file is wrong, and in memory when there can be none. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/mem.h"
#include "model/pack_cache.h"
#include "support/temp_folder.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { n_matrices = 3 };

static const struct ew__pack_matrix matrices[n_matrices] = {
    {.type = 12, .rows = 16, .n = 256, .bytes = 2304},
    {.type = 14, .rows = 32, .n = 256, .bytes = 6721},
    {.type = 8, .rows = 16, .n = 32, .bytes = 64},
};
static const struct ew__pack_request usual = {.path = "/models/m.gguf", .identity = {1, 2}};
static char usual_file[64]; // the name that its file gets

static uint8_t content(uint32_t matrix, uint64_t i) {
    return (uint8_t)(i * 31 + matrix * 7 + 1);
}

static void fill(struct ew__pack_store *store) {
    for (uint32_t m = 0; m < n_matrices; m++)
        for (uint64_t i = 0; i < matrices[m].bytes; i++)
            ew__pack_store_at(store, m)[i] = content(m, i);
}

static bool holds(const struct ew__pack_store *store) {
    for (uint32_t m = 0; m < n_matrices; m++) {
        if ((uintptr_t)ew__pack_store_at(store, m) % 64 != 0)
            return false;
        for (uint64_t i = 0; i < matrices[m].bytes; i++)
            if (ew__pack_store_at(store, m)[i] != content(m, i))
                return false;
    }
    return true;
}

/* Opens, fills when asked to, seals, checks, closes. Tells whether the file was there. */
static bool use(const struct ew__pack_request *request, bool *in_file) {
    struct ew__pack_store store;
    bool filled;
    assert_int_equal(ew__pack_store_open(&store, request, matrices, n_matrices, &filled), EW_OK);
    if (!filled) {
        fill(&store);
        assert_int_equal(ew__pack_store_seal(&store), EW_OK);
    }
    assert_true(holds(&store));
    assert_int_equal(store.path != NULL, store.why_not[0] == '\0');
    assert_true(ew__pack_store_bytes(&store) >= 2304 + 6721 + 64);
    *in_file = store.path != NULL;
    ew__pack_store_close(&store);
    return filled;
}

static struct temp_folder folder;

/* The name of the file that a request leads to. */
static void file_name(const struct ew__pack_request *request, char name[64]) {
    struct ew__pack_store store;
    bool filled;
    assert_int_equal(ew__pack_store_open(&store, request, matrices, n_matrices, &filled), EW_OK);
    snprintf(name, 64, "%s", strrchr(store.path, '/') + 1);
    ew__pack_store_close(&store);
}

static int begin(void **state) {
    (void)state;
    temp_folder_make(&folder);
    setenv("EDGEWISE_CACHE_DIR", folder.path, 1);
    file_name(&usual, usual_file);
    return 0;
}

static int end(void **state) {
    (void)state;
    temp_folder_remove(&folder);
    unsetenv("EDGEWISE_CACHE_MAX");
    return unsetenv("EDGEWISE_CACHE_DIR");
}

static bool made_then_found(const struct ew__pack_request *request) {
    bool in_file;
    bool was_there = use(request, &in_file);
    assert_true(in_file);
    assert_true(use(request, &in_file));
    assert_true(in_file);
    return !was_there;
}

static void weights_are_packed_once(void **state) {
    (void)state;
    assert_true(made_then_found(&usual));
    assert_int_equal(temp_folder_count(&folder), 1);
    assert_int_equal(access(temp_path(&folder, usual_file), R_OK), 0);
}

static void using_a_file_tells_its_time(void **state) {
    (void)state;
    struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    uint64_t size, used;
    bool in_file;
    (void)use(&usual, &in_file);
    assert_int_equal(utimensat(AT_FDCWD, temp_path(&folder, usual_file), old, 0), 0);
    assert_true(use(&usual, &in_file));
    assert_true(ew__file_facts(temp_path(&folder, usual_file), &size, &used));
    assert_true(used > 1000000000000000u);
}

static size_t read_file(uint8_t *bytes, size_t max) {
    FILE *in = fopen(temp_path(&folder, usual_file), "rb");
    assert_non_null(in);
    size_t n = fread(bytes, 1, max, in);
    fclose(in);
    return n;
}

enum { head_bytes = 64 + n_matrices * 48 + 6, file_bytes_max = 32768 };

static void every_flipped_bit_of_the_head_is_noticed(void **state) {
    (void)state;
    static uint8_t bytes[file_bytes_max];
    struct ew__pack_head head;
    bool in_file;
    (void)use(&usual, &in_file);
    size_t n = read_file(bytes, sizeof bytes);
    assert_int_equal(ew__pack_head_read(bytes, n, &head), EW_OK);
    assert_int_equal(head.n_matrices, n_matrices);
    assert_int_equal(head.name.n, 6);
    assert_memory_equal(head.name.bytes, "m.gguf", 6);
    ew__free(head.matrices);
    for (size_t bit = 0; bit < 8 * head_bytes; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_not_equal(ew__pack_head_read(bytes, n, &head), EW_OK);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t cut = 0; cut < n; cut++)
        assert_int_not_equal(ew__pack_head_read(bytes, cut, &head), EW_OK);
}

static void damaged_files_are_made_anew(void **state) {
    (void)state;
    static uint8_t good[file_bytes_max], bad[file_bytes_max];
    bool in_file;
    (void)use(&usual, &in_file);
    size_t n = read_file(good, sizeof good);
    static const size_t places[] = {0, 8, 12, 16, 33, 50, 56, 64, 90, 100, head_bytes - 1};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        memcpy(bad, good, n);
        bad[places[i]] ^= 0x10;
        temp_write(&folder, usual_file, bad, n);
        assert_true(made_then_found(&usual));
    }
    static const size_t lengths[] = {0, 1, 63, 64, head_bytes, 4096, 4097};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        temp_write(&folder, usual_file, good, lengths[i]);
        assert_true(made_then_found(&usual));
    }
    memcpy(bad, good, n);
    bad[n] = 0;
    temp_write(&folder, usual_file, bad, n + 1);
    assert_true(made_then_found(&usual));
    assert_int_equal(temp_folder_count(&folder), 1);
}

static void damaged_weights_are_found_on_request(void **state) {
    (void)state;
    static uint8_t bytes[file_bytes_max];
    struct ew__pack_request verify = usual;
    struct ew__pack_store store;
    bool in_file, filled;
    verify.verify = true;
    (void)use(&usual, &in_file);
    assert_true(use(&verify, &in_file)); // whole: stays
    size_t n = read_file(bytes, sizeof bytes);
    bytes[4096 + 100] ^= 1;
    temp_write(&folder, usual_file, bytes, n);
    assert_int_equal(ew__pack_store_open(&store, &usual, matrices, n_matrices, &filled), EW_OK);
    assert_true(filled); // not looked at
    ew__pack_store_close(&store);
    assert_true(made_then_found(&verify));
}

static void another_models_file_is_not_used(void **state) {
    (void)state;
    static uint8_t bytes[file_bytes_max];
    struct ew__pack_request other = usual;
    struct ew__pack_matrix changed[n_matrices];
    struct ew__pack_store store;
    char other_file[64];
    bool in_file, filled;
    other.identity[1] = 3;
    file_name(&other, other_file);
    assert_string_not_equal(other_file, usual_file);
    (void)use(&usual, &in_file);
    assert_true(made_then_found(&other));
    assert_int_equal(temp_folder_count(&folder), 2);
    // renamed by somebody
    (void)use(&usual, &in_file);
    size_t n = read_file(bytes, sizeof bytes);
    temp_write(&folder, other_file, bytes, n);
    assert_true(made_then_found(&other));
    // the same checkpoint, but matrices that this build packs otherwise
    for (unsigned field = 0; field < 4; field++) {
        memcpy(changed, matrices, sizeof changed);
        changed[1].type += field == 0;
        changed[1].rows += field == 1;
        changed[1].n += field == 2;
        changed[1].bytes += field == 3;
        assert_int_equal(ew__pack_store_open(&store, &usual, changed, n_matrices, &filled), EW_OK);
        assert_false(filled);
        ew__pack_store_close(&store); // without a seal: nothing stays behind
    }
    assert_int_equal(ew__pack_store_open(&store, &usual, matrices, n_matrices - 1, &filled), EW_OK);
    assert_false(filled);
    ew__pack_store_close(&store);
    assert_int_equal(temp_folder_count(&folder), 2);
    assert_true(use(&usual, &in_file));
}

static void two_writers_both_end_well(void **state) {
    (void)state;
    struct ew__pack_store a, b;
    bool filled, in_file;
    assert_int_equal(ew__pack_store_open(&a, &usual, matrices, n_matrices, &filled), EW_OK);
    assert_false(filled);
    assert_int_equal(ew__pack_store_open(&b, &usual, matrices, n_matrices, &filled), EW_OK);
    assert_false(filled);
    fill(&a);
    fill(&b);
    assert_int_equal(ew__pack_store_seal(&a), EW_OK);
    assert_int_equal(ew__pack_store_seal(&b), EW_OK);
    assert_true(a.path != NULL && b.path != NULL);
    assert_true(holds(&a)); // its file has lost its name, not its pages
    assert_true(holds(&b));
    ew__pack_store_close(&a);
    ew__pack_store_close(&b);
    assert_true(use(&usual, &in_file));
    assert_int_equal(temp_folder_count(&folder), 1);
}

static void many_processes_at_once_end_well(void **state) {
    (void)state;
    enum { processes = 8 };
    pid_t children[processes];
    bool in_file;
    for (int i = 0; i < processes; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] == 0) {
            struct ew__pack_store store;
            bool filled, right;
            right = ew__pack_store_open(&store, &usual, matrices, n_matrices, &filled) == EW_OK;
            if (right && !filled) {
                fill(&store);
                right = ew__pack_store_seal(&store) == EW_OK;
            }
            _exit(right && holds(&store) && store.path != NULL ? 0 : 1);
        }
    }
    for (int i = 0; i < processes; i++) {
        int status = -1;
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_int_equal(status, 0);
    }
    assert_true(use(&usual, &in_file));
    assert_int_equal(temp_folder_count(&folder), 1);
}

static void stays_in_memory(const struct ew__pack_request *request, const char *why) {
    struct ew__pack_store store;
    bool filled;
    assert_int_equal(ew__pack_store_open(&store, request, matrices, n_matrices, &filled), EW_OK);
    assert_false(filled);
    assert_null(store.path);
    if (strstr(store.why_not, why) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", store.why_not, why);
    fill(&store);
    assert_int_equal(ew__pack_store_seal(&store), EW_OK);
    assert_true(holds(&store));
    ew__pack_store_close(&store);
}

static void without_a_place_weights_stay_in_memory(void **state) {
    (void)state;
    struct ew__pack_request request = usual;
    struct rlimit unlimited, small;
    const char *home_set = getenv("HOME"), *xdg_set = getenv("XDG_CACHE_HOME");
    char *home = home_set != NULL ? strdup(home_set) : NULL;
    char *xdg = xdg_set != NULL ? strdup(xdg_set) : NULL;

    request.no_cache = true;
    stays_in_memory(&request, "turned off");
    request.no_cache = false;
    request.least_bytes = 1 << 20;
    stays_in_memory(&request, "small");

    setenv("EDGEWISE_CACHE_MAX", "4K", 1);
    stays_in_memory(&usual, "the cache may take 0 MB");
    unsetenv("EDGEWISE_CACHE_MAX");

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &unlimited), 0);
    small = unlimited;
    small.rlim_cur = 8000;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    stays_in_memory(&usual, "over this process's limit");
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &unlimited), 0);
    assert_int_equal(temp_folder_count(&folder), 0);

    temp_write_text(&folder, "file", "x");
    setenv("EDGEWISE_CACHE_DIR", temp_path(&folder, "file/below"), 1);
    stays_in_memory(&usual, "cannot make the folder");
    setenv("EDGEWISE_CACHE_DIR", "/proc/self/cache", 1); // no folder can be made there
    stays_in_memory(&usual, "cannot make the folder");

    unsetenv("EDGEWISE_CACHE_DIR");
    unsetenv("XDG_CACHE_HOME");
    unsetenv("HOME");
    stays_in_memory(&usual, "none of EDGEWISE_CACHE_DIR");
    if (home != NULL)
        setenv("HOME", home, 1);
    if (xdg != NULL)
        setenv("XDG_CACHE_HOME", xdg, 1);
    free(home);
    free(xdg);
    setenv("EDGEWISE_CACHE_DIR", folder.path, 1);
}

/* The folder goes away while the file is being filled: its name cannot be given. */
static void a_file_that_cannot_be_kept_moves_to_memory(void **state) {
    (void)state;
    char inner[700];
    struct ew__pack_store store;
    bool filled;
    snprintf(inner, sizeof inner, "%s/inner", folder.path);
    setenv("EDGEWISE_CACHE_DIR", inner, 1);
    assert_int_equal(ew__pack_store_open(&store, &usual, matrices, n_matrices, &filled), EW_OK);
    assert_non_null(store.path);
    assert_int_equal(unlink(store.build.temporary), 0);
    assert_int_equal(rmdir(inner), 0);
    fill(&store);
    assert_int_equal(ew__pack_store_seal(&store), EW_OK);
    assert_null(store.path);
    assert_non_null(strstr(store.why_not, "rename"));
    assert_true(holds(&store));
    ew__pack_store_close(&store);
    setenv("EDGEWISE_CACHE_DIR", folder.path, 1);
}

static void each_failing_allocation_ends_in_memory_or_in_a_status(void **state) {
    (void)state;
    unsigned failures = 0, fallbacks = 0;
    for (unsigned n = 1; n < 200; n++) {
        struct ew__pack_store store;
        bool filled;
        ew__mem_fail_at(n);
        ew_status status = ew__pack_store_open(&store, &usual, matrices, n_matrices, &filled);
        if (status == EW_OK && !filled) {
            fill(&store);
            status = ew__pack_store_seal(&store);
        }
        ew__mem_fail_at(0);
        if (status == EW_OK)
            assert_true(holds(&store));
        else
            assert_int_equal(status, EW_NO_MEMORY);
        failures += status != EW_OK;
        fallbacks += status == EW_OK && store.path == NULL;
        ew__pack_store_close(&store);
        temp_folder_remove(&folder);
        temp_folder_make(&folder);
        setenv("EDGEWISE_CACHE_DIR", folder.path, 1);
    }
    assert_true(failures >= 2);
    assert_true(fallbacks >= 3);
}

/* Copies the model; puts `value` at `at` when at is not SIZE_MAX, and sets the time of change. */
static void identity_of_copy(const char *model, size_t at, time_t modified, uint64_t out[2]) {
    struct ew__checkpoint checkpoint;
    struct ew__file_map map;
    struct timespec times[2] = {{.tv_sec = modified}, {.tv_sec = modified}};
    assert_int_equal(ew__file_map_open(model, &map), EW_OK);
    uint8_t *bytes = malloc(map.size);
    assert_non_null(bytes);
    memcpy(bytes, map.data, map.size);
    if (at < map.size)
        bytes[at] ^= 1;
    temp_write(&folder, "copy.gguf", bytes, map.size);
    free(bytes);
    ew__file_map_close(&map);
    assert_int_equal(utimensat(AT_FDCWD, temp_path(&folder, "copy.gguf"), times, 0), 0);
    assert_int_equal(ew__checkpoint_open(temp_path(&folder, "copy.gguf"), &checkpoint), EW_OK);
    ew__pack_identity(&checkpoint, out);
    ew__checkpoint_close(&checkpoint);
}

static void an_identity_follows_time_and_content(void **state) {
    (void)state;
    static const char model[] = "tests/data/models/random.gguf";
    struct ew__checkpoint checkpoint;
    uint64_t first[2], second[2];
    assert_int_equal(ew__checkpoint_open(model, &checkpoint), EW_OK);
    size_t n = ew__gguf_tensor_count(checkpoint.gguf);
    const struct ew__tensor *last = ew__gguf_tensor_at(checkpoint.gguf, n - 1);
    size_t from_end = (size_t)(last->bytes / 2);
    ew__checkpoint_close(&checkpoint);
    struct ew__file_map map;
    assert_int_equal(ew__file_map_open(model, &map), EW_OK);
    size_t sampled = map.size - from_end;
    ew__file_map_close(&map);
    identity_of_copy(model, SIZE_MAX, 5000, first);
    identity_of_copy(model, SIZE_MAX, 5000, second);
    assert_memory_equal(first, second, sizeof first);
    identity_of_copy(model, SIZE_MAX, 5001, second);
    assert_memory_not_equal(first, second, sizeof first);
    identity_of_copy(model, sampled, 5000, second); // the old time was put back
    assert_memory_not_equal(first, second, sizeof first);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(weights_are_packed_once, begin, end),
        cmocka_unit_test_setup_teardown(using_a_file_tells_its_time, begin, end),
        cmocka_unit_test_setup_teardown(every_flipped_bit_of_the_head_is_noticed, begin, end),
        cmocka_unit_test_setup_teardown(damaged_files_are_made_anew, begin, end),
        cmocka_unit_test_setup_teardown(damaged_weights_are_found_on_request, begin, end),
        cmocka_unit_test_setup_teardown(another_models_file_is_not_used, begin, end),
        cmocka_unit_test_setup_teardown(two_writers_both_end_well, begin, end),
        cmocka_unit_test_setup_teardown(many_processes_at_once_end_well, begin, end),
        cmocka_unit_test_setup_teardown(without_a_place_weights_stay_in_memory, begin, end),
        cmocka_unit_test_setup_teardown(a_file_that_cannot_be_kept_moves_to_memory, begin, end),
        cmocka_unit_test_setup_teardown(each_failing_allocation_ends_in_memory_or_in_a_status,
                                        begin, end),
        cmocka_unit_test_setup_teardown(an_identity_follows_time_and_content, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

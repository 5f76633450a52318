// SPDX-License-Identifier: Apache-2.0
#include "support/bad_files.h"

#include <string.h>

enum { arch = 0, number, words, flag }; // pairs of the valid file

/* A string of n bytes 'k' that lives as long as the program. */
static const char *long_text(size_t n) {
    static char text[70000];
    memset(text, 'k', sizeof text);
    text[n] = '\0';
    return text;
}

#define DAMAGE(name) static void name(struct gguf_plan *p)

/* --- header --- */
DAMAGE(empty) {
    p->cut = SIZE_MAX;
}
DAMAGE(magic) {
    p->magic[3] = 'V';
}
DAMAGE(hostile_magic) {
    memcpy(p->magic, "\x1b[2J", 4);
}
DAMAGE(version_0) {
    p->version = 0;
}
DAMAGE(version_1) {
    p->version = 1;
}
DAMAGE(version_4) {
    p->version = 4;
}
DAMAGE(big_endian) {
    p->version = 0x03000000;
}
DAMAGE(kv_count_absurd) {
    p->kv_count = UINT64_MAX;
}
DAMAGE(kv_count_large) {
    p->kv_count = 60000;
}
DAMAGE(tensor_count_absurd) {
    p->tensor_count = (uint64_t)1 << 63;
}
DAMAGE(tensor_count_large) {
    p->tensor_count = 60000;
}
DAMAGE(kv_count_one_more) {
    p->kv_count++;
}
DAMAGE(kv_count_one_less) {
    p->kv_count--;
}
DAMAGE(tensor_count_one_more) {
    p->tensor_count++, p->data_bytes = 0;
}

/* --- pairs --- */
DAMAGE(key_empty) {
    p->kvs[number].key = "", p->kvs[number].key_length = 0;
}
DAMAGE(key_twice) {
    gguf_plan_u32(p, "t.u32", 8);
}
DAMAGE(key_not_utf8) {
    p->kvs[number].key = "t.\xff\x33\x32";
}
DAMAGE(key_too_long) {
    p->kvs[number].key = long_text(65536);
    p->kvs[number].key_length = 65536;
}
DAMAGE(key_beyond_end) {
    p->kvs[number].key_length = 60000;
}
DAMAGE(key_length_absurd) {
    p->kvs[number].key_length = UINT64_MAX - 3;
}
DAMAGE(type_unknown) {
    p->kvs[number].type = 13;
}
DAMAGE(type_absurd) {
    p->kvs[number].type = UINT32_MAX;
}
DAMAGE(bool_of_2) {
    p->kvs[flag].value.bytes[0] = 2;
}
DAMAGE(string_beyond_end) {
    struct craft *v = gguf_plan_revalue(&p->kvs[arch], 8);
    craft_u64(v, 5000);
    craft_text(v, "qwen35");
}
DAMAGE(string_over_1_gib) {
    struct craft *v = gguf_plan_revalue(&p->kvs[arch], 8);
    craft_u64(v, ((uint64_t)1 << 30) + 1);
}
DAMAGE(string_length_wraps) {
    craft_u64(gguf_plan_revalue(&p->kvs[arch], 8), UINT64_MAX - 7);
}
static struct craft *array(struct gguf_plan *p, uint32_t element, uint64_t count) {
    struct craft *v = gguf_plan_revalue(&p->kvs[words], 9);
    craft_u32(v, element);
    craft_u64(v, count);
    return v;
}
DAMAGE(array_nested) {
    craft_fill(array(p, 9, 1), 0, 12);
}
DAMAGE(array_type_unknown) {
    array(p, 77, 0);
}
DAMAGE(array_count_absurd) {
    array(p, 0, UINT64_MAX);
}
DAMAGE(array_count_over_limit) {
    array(p, 5, ((uint64_t)1 << 30) + 1);
}
DAMAGE(array_beyond_end) {
    array(p, 12, (uint64_t)1 << 30);
}
DAMAGE(array_of_strings_beyond_end) {
    craft_string(array(p, 8, 100), "only one");
}
DAMAGE(array_bool_of_7) {
    craft_bytes(array(p, 7, 3), "\1\0\7", 3);
}
DAMAGE(alignment_0) {
    gguf_plan_u32(p, "general.alignment", 0);
}
DAMAGE(alignment_4) {
    gguf_plan_u32(p, "general.alignment", 4);
}
DAMAGE(alignment_48) {
    gguf_plan_u32(p, "general.alignment", 48);
}
DAMAGE(alignment_2_gib) {
    gguf_plan_u32(p, "general.alignment", 1u << 31);
}
DAMAGE(alignment_u16) {
    gguf_plan_u16(p, "general.alignment", 32);
}
DAMAGE(part_of_a_split) {
    gguf_plan_u16(p, "split.no", 0);
    gguf_plan_u16(p, "split.count", 3);
}
DAMAGE(split_count_a_string) {
    craft_string(&gguf_plan_kv(p, "split.count", 8)->value, "3");
}

/* --- tensors --- */
DAMAGE(name_empty) {
    p->tensors[1].name = "", p->tensors[1].name_length = 0;
}
DAMAGE(name_64) {
    p->tensors[1].name = long_text(64), p->tensors[1].name_length = 64;
}
DAMAGE(name_twice) {
    p->tensors[1].name = "a";
}
DAMAGE(name_not_utf8) {
    p->tensors[1].name = "\xc0";
}
DAMAGE(name_length_absurd) {
    p->tensors[1].name_length = UINT64_MAX;
}
DAMAGE(dims_none) {
    p->tensors[0].n_dims = 0;
}
DAMAGE(dims_5) {
    p->tensors[0].n_dims = 5;
    for (int i = 2; i < 5; i++)
        p->tensors[0].dims[i] = 1;
}
DAMAGE(dims_absurd) {
    p->tensors[0].n_dims = UINT32_MAX;
}
DAMAGE(dim_0) {
    p->tensors[0].dims[1] = 0;
}
DAMAGE(dim_negative) {
    p->tensors[0].dims[1] = UINT64_MAX;
}
DAMAGE(product_overflows) {
    p->tensors[0].n_dims = 3;
    for (int i = 0; i < 3; i++)
        p->tensors[0].dims[i] = (uint64_t)1 << 31;
}
DAMAGE(bytes_overflow) {
    p->tensors[0].dims[0] = (uint64_t)1 << 62, p->tensors[0].dims[1] = 1;
}
DAMAGE(end_overflows) { // 2^61 - 1 doubles have 2^64 - 8 bytes: only the padding overflows
    p->tensors[0].type = 28;
    p->tensors[0].dims[0] = ((uint64_t)1 << 61) - 1, p->tensors[0].dims[1] = 1;
}
DAMAGE(type_removed) {
    p->tensors[1].type = 4;
}
DAMAGE(type_newer) {
    p->tensors[1].type = 41;
}
DAMAGE(type_of_another_engine) {
    p->tensors[1].type = 144;
}
DAMAGE(type_internal) {
    p->tensors[1].type = 64;
} // U8 here, nothing in GGUF
DAMAGE(row_no_multiple) {
    p->tensors[1].dims[0] = 33;
}
DAMAGE(row_no_multiple_foreign) {
    p->tensors[1].type = 19;
}
DAMAGE(offset_misaligned) {
    p->tensors[1].offset = 33;
}
DAMAGE(offset_overlaps) {
    p->tensors[1].offset = 0;
}
DAMAGE(offset_gap) {
    p->tensors[1].offset = 64, p->data_bytes += 32;
}
DAMAGE(offset_absurd) {
    p->tensors[1].offset = UINT64_MAX - 31;
}
DAMAGE(first_offset) {
    p->tensors[0].offset = 32;
}
DAMAGE(data_one_short) {
    p->data_bytes--;
}
DAMAGE(data_absent) {
    p->data_bytes = 0;
}
DAMAGE(cut_in_infos) {
    p->data_bytes = 0, p->alignment = 1, p->cut = 9;
}

#define BAD(damage, sentence)                                                                      \
    { #damage, damage, sentence }

const struct bad_gguf bad_ggufs[] = {
    BAD(empty, "truncated file: the magic number needs 4 bytes, 0 are left"),
    BAD(magic, "not a GGUF file: it starts with \"GGUV\""),
    BAD(hostile_magic, "it starts with \"\\x1b[2J\""),
    BAD(version_0, "GGUF version 0 does not exist"),
    BAD(version_1, "GGUF version 1 is obsolete"),
    BAD(version_4, "GGUF version 4 is unknown"),
    BAD(big_endian, "a big-endian GGUF file"),
    BAD(kv_count_absurd, "the number of metadata pairs is 18446744073709551615, at most 65536"),
    BAD(kv_count_large, "the number of metadata pairs is 60000, more than a file of this size"),
    BAD(tensor_count_absurd, "the number of tensors is 9223372036854775808, at most 65536"),
    BAD(tensor_count_large, "the number of tensors is 60000, more than a file of this size"),
    BAD(kv_count_one_more, "tensor 1 of 2: the name has 562949953421312 bytes"),
    BAD(kv_count_one_less, "tensor \"t.flag\": 7 dimensions, allowed are 1 to 4"),
    BAD(tensor_count_one_more, "tensor 3 of 3: truncated file: the name's length"),
    BAD(key_empty, "pair 2 of 4: the key is empty"),
    BAD(key_twice, "pair 5 of 5: the key \"t.u32\" stands twice"),
    BAD(key_not_utf8, "the key \"t.\\xff32\" is not valid UTF-8"),
    BAD(key_too_long, "the key has 65536 bytes, at most 65535"),
    BAD(key_beyond_end, "pair 2 of 4: truncated file: the key needs 60000 bytes"),
    BAD(key_length_absurd, "the key has 18446744073709551612 bytes"),
    BAD(type_unknown, "key \"t.u32\": unknown value type 13"),
    BAD(type_absurd, "key \"t.u32\": unknown value type 4294967295"),
    BAD(bool_of_2, "key \"t.flag\": a bool holds 2"),
    BAD(string_beyond_end,
        "key \"general.architecture\": string 0: truncated file: a string needs"),
    BAD(string_over_1_gib, "a string of 1073741825 bytes, over the limit"),
    BAD(string_length_wraps, "a string of 18446744073709551608 bytes, over the limit"),
    BAD(array_nested, "key \"t.words\": arrays of arrays are not read"),
    BAD(array_type_unknown, "key \"t.words\": an array of the unknown value type 77"),
    BAD(array_count_absurd, "an array of 18446744073709551615 elements, over the limit"),
    BAD(array_count_over_limit, "an array of 1073741825 elements, over the limit"),
    BAD(array_beyond_end, "key \"t.words\": truncated file: the value needs 8589934592 bytes"),
    BAD(array_of_strings_beyond_end, "key \"t.words\": string "),
    BAD(array_bool_of_7, "key \"t.words\": a bool holds 7"),
    BAD(alignment_0, "key \"general.alignment\" is 0, allowed are 8 to"),
    BAD(alignment_4, "key \"general.alignment\" is 4, allowed are 8 to"),
    BAD(alignment_48, "key \"general.alignment\" is 48, which is no power of two"),
    BAD(alignment_2_gib, "key \"general.alignment\" is 2147483648, allowed are 8 to 1048576"),
    BAD(alignment_u16, "key \"general.alignment\" must be a u32"),
    BAD(part_of_a_split, "one of the 3 parts of a split model; open the first"),
    BAD(split_count_a_string, "key \"split.count\" must be a whole number, it is a string"),
    BAD(name_empty, "tensor 2 of 2: the name is empty"),
    BAD(name_64, "tensor 2 of 2: the name has 64 bytes, at most 63"),
    BAD(name_twice, "the tensor \"a\" stands twice"),
    BAD(name_not_utf8, "the name \"\\xc0\" is not valid UTF-8"),
    BAD(name_length_absurd, "the name has 18446744073709551615 bytes"),
    BAD(dims_none, "tensor \"a\": 0 dimensions, allowed are 1 to 4"),
    BAD(dims_5, "tensor \"a\": 5 dimensions, allowed are 1 to 4"),
    BAD(dims_absurd, "tensor \"a\": 4294967295 dimensions"),
    BAD(dim_0, "tensor \"a\": dimension 1 is 0"),
    BAD(dim_negative, "tensor \"a\": dimension 1 is negative or over 2^63"),
    BAD(product_overflows, "tensor \"a\": the product of the dimensions overflows"),
    BAD(bytes_overflow, "tensor \"a\": its size in bytes overflows"),
    BAD(end_overflows, "tensor \"a\": the end of its data overflows"),
    BAD(type_removed, "tensor \"b\": unknown tensor type 4 (Q4_2 (removed))"),
    BAD(type_newer, "tensor \"b\": unknown tensor type 41 (Q1_0)"),
    BAD(type_of_another_engine, "tensor \"b\": unknown tensor type 144"),
    BAD(type_internal, "tensor \"b\": unknown tensor type 64"),
    BAD(row_no_multiple,
        "tensor \"b\": its rows of 33 elements are no multiple of the Q4_0 block of 32"),
    BAD(row_no_multiple_foreign,
        "its rows of 32 elements are no multiple of the IQ1_S block of 256"),
    BAD(offset_misaligned, "tensor \"b\": its offset 33 is no multiple of the alignment 32"),
    BAD(offset_overlaps, "tensor \"b\": its offset 0 overlaps the tensor before, which ends at 32"),
    BAD(offset_gap, "tensor \"b\": its offset 64 leaves a gap, the data before it ends at 32"),
    BAD(offset_absurd, "tensor \"b\": its offset 18446744073709551584 leaves a gap"),
    BAD(first_offset, "tensor \"a\": its offset 32 leaves a gap, the data before it ends at 0"),
    BAD(data_one_short, "truncated file: the data of tensor \"b\" starts at byte"),
    BAD(data_absent, "truncated file: the data of tensor \"a\" starts at byte"),
    BAD(cut_in_infos, "tensor \"b\": truncated file: the"),
};
const size_t bad_gguf_count = sizeof bad_ggufs / sizeof bad_ggufs[0];

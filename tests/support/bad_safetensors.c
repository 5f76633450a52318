// SPDX-License-Identifier: Apache-2.0
#include "support/bad_files.h"

#include <string.h>

#define ENTRY(name, dtype, shape, offsets)                                                         \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"
#define ONE(dtype, shape, offsets) "{" ENTRY("w", dtype, shape, offsets) "}"
#define TEN                        "0123456789"
#define HUNDRED                    TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN

const struct bad_safetensors bad_safetensors[] = {
    {"header of 0 bytes", "", 0, 8, "the header is empty"},
    {"header over the limit", "{}", 100000001, 0, "a header of 100000001 bytes, over the"},
    {"header length absurd", "{}", UINT64_MAX, 0, "a header of 18446744073709551615 bytes"},
    {"header beyond the end", "{}", 3, 0, "the header needs 3 bytes, 2 are left"},
    {"header not an object", "[]", 0, 0, "the header must start with {"},
    {"header begins with a space", " {}", 0, 0, "the header must start with {"},
    {"header not UTF-8", "{\"\xff\":1}", 0, 0, "the header is not valid UTF-8"},
    {"header cut", "{\"w\":{", 0, 0, "the header: not valid JSON"},
    {"text after the object", "{}x", 0, 0, "the header: not valid JSON"},
    {"nested 100 deep",
     "{\"w\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", 0,
     0, "nested deeper than"},
    {"name twice", "{" ENTRY("w", "U8", "[1]", "[0,1]") "," ENTRY("w", "U8", "[1]", "[1,2]") "}", 0,
     2, "duplicate object key"},
    {"metadata a list", "{\"__metadata__\":[]}", 0, 0, "__metadata__ must be an object"},
    {"metadata of numbers", "{\"__metadata__\":{\"n\":1}}", 0, 0,
     "__metadata__ entry \"n\" must be a string"},
    {"entry a number", "{\"w\":1}", 0, 0, "tensor \"w\": its entry must be an object"},
    {"no dtype", "{\"w\":{\"shape\":[],\"data_offsets\":[0,0]}}", 0, 0, "its entry has no dtype"},
    {"no shape", "{\"w\":{\"dtype\":\"U8\",\"data_offsets\":[0,0]}}", 0, 0,
     "its entry has no shape"},
    {"no offsets", "{\"w\":{\"dtype\":\"U8\",\"shape\":[]}}", 0, 0,
     "its entry has no data_offsets"},
    {"dtype a number", "{\"w\":{\"dtype\":8,\"shape\":[1],\"data_offsets\":[0,1]}}", 0, 1,
     "tensor \"w\": dtype must be a string"},
    {"shape a number", ONE("U8", "1", "[0,1]"), 0, 1, "shape must be an array"},
    {"shape of strings", ONE("U8", "[\"1\"]", "[0,1]"), 0, 1, "shape must hold whole numbers"},
    {"shape fractional", ONE("U8", "[1.5]", "[0,1]"), 0, 1, "shape must hold whole numbers"},
    {"shape negative", ONE("U8", "[-1]", "[0,1]"), 0, 1, "shape holds -1, allowed are 0 to 2^53"},
    {"shape over 2^53", ONE("U8", "[9007199254740993]", "[0,1]"), 0, 1,
     "shape holds 9007199254740993, allowed"},
    {"shape over 64 bits", ONE("U8", "[99999999999999999999]", "[0,1]"), 0, 1, "not valid JSON"},
    {"shape of 9 dimensions", ONE("U8", "[1,1,1,1,1,1,1,1,1]", "[0,1]"), 0, 1,
     "9 dimensions, at most 8"},
    {"product overflows", ONE("U8", "[9007199254740992,9007199254740992]", "[0,1]"), 0, 1,
     "the product of the shape overflows"},
    {"bits overflow", ONE("F64", "[9007199254740992,1024]", "[0,1]"), 0, 1,
     "the size in bits overflows"},
    {"half a byte", ONE("F4", "[3]", "[0,2]"), 0, 2, "its F4 elements do not fill whole bytes"},
    {"offsets an object", ONE("U8", "[1]", "{}"), 0, 1, "data_offsets must be an array of two"},
    {"three offsets", ONE("U8", "[1]", "[0,1,2]"), 0, 2, "data_offsets must be an array of two"},
    {"offset negative", ONE("U8", "[1]", "[-1,0]"), 0, 1, "data_offsets holds -1"},
    {"offset true", ONE("U8", "[1]", "[false,true]"), 0, 1, "data_offsets must hold whole numbers"},
    {"offsets reversed", ONE("U8", "[1]", "[1,0]"), 0, 1, "data_offsets end before they begin"},
    {"offset beyond the end", ONE("U8", "[9]", "[0,9]"), 0, 8,
     "data_offsets end at 9, the file's data at 8"},
    {"range too short", ONE("F32", "[2]", "[0,4]"), 0, 4,
     "data_offsets span 4 bytes, shape and dtype need 8"},
    {"range too long", ONE("BF16", "[2]", "[0,8]"), 0, 8,
     "data_offsets span 8 bytes, shape and dtype need 4"},
    {"scalar with two", ONE("F32", "[]", "[0,8]"), 0, 8, "shape and dtype need 4"},
    {"empty tensor with bytes", ONE("F32", "[0,3]", "[0,4]"), 0, 4, "shape and dtype need 0"},
    {"overlap", "{" ENTRY("v", "U8", "[4]", "[0,4]") "," ENTRY("w", "U8", "[4]", "[2,6]") "}", 0, 6,
     "tensor \"w\": its data overlap those of \"v\""},
    {"same place twice",
     "{" ENTRY("v", "U8", "[4]", "[0,4]") "," ENTRY("w", "U8", "[4]", "[0,4]") "}", 0, 4,
     "tensor \"w\": its data overlap those of \"v\""},
    {"hole at the start", ONE("U8", "[4]", "[4,8]"), 0, 8,
     "tensor \"w\": a hole of 4 bytes before its data"},
    {"hole between", "{" ENTRY("v", "U8", "[1]", "[0,1]") "," ENTRY("w", "U8", "[1]", "[3,4]") "}",
     0, 4, "tensor \"w\": a hole of 2 bytes before its data"},
    {"trailing data", ONE("U8", "[4]", "[0,4]"), 0, 5, "1 bytes of data after the last tensor"},
    {"data without tensors", "{}", 0, 3, "3 bytes of data after the last tensor"},
    {"unknown dtype beyond the end", ONE("Q7", "[4]", "[0,4]"), 0, 3, "data_offsets end at 4"},
    {"name empty", "{" ENTRY("", "U8", "[1]", "[0,1]") "}", 0, 1, "a tensor's name is empty"},
    {"name of 300 bytes", "{" ENTRY(HUNDRED HUNDRED HUNDRED, "U8", "[1]", "[0,1]") "}", 0, 1,
     "has 300 bytes, at most 255"},
    {"name with NUL", "{" ENTRY("a\\u0000b", "U8", "[1]", "[0,1]") "}", 0, 1, "not valid JSON"},
};
const size_t bad_safetensors_count = sizeof bad_safetensors / sizeof bad_safetensors[0];

void build_safetensors(const char *header, uint64_t claimed, size_t data_bytes, struct craft *out) {
    craft_u64(out, claimed != 0 ? claimed : strlen(header));
    craft_text(out, header);
    for (size_t i = 0; i < data_bytes; i++)
        craft_u8(out, (unsigned)(i & 0xff));
}

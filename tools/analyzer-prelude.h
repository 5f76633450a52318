// SPDX-License-Identifier: Apache-2.0
/* Read by clang-tidy before every file but base/status.c (tools/lint). The analyzer sees one file
 * at a time and would follow paths on which ew__fail(EW_FORMAT, ...) returned EW_OK; this tells it
 * what is returned. The compilers never see it. */
#ifndef EW_TOOLS_ANALYZER_PRELUDE_H
#define EW_TOOLS_ANALYZER_PRELUDE_H

#include "base/status.h"

#define ew__fail(code, ...) ((void)(ew__fail)((code), __VA_ARGS__), (code))

#endif

// SPDX-License-Identifier: Apache-2.0
/* Ctrl-C while the library works: the first asks the session to stop, so that the command can end
 * in order; the second ends the program with status 130. */
#ifndef EDGEWISE_APP_INTERRUPT_H
#define EDGEWISE_APP_INTERRUPT_H

#include "edgewise/edgewise.h"

/* From here on Ctrl-C cancels the session (NULL: is only remembered). Call it on the main thread;
 * again to watch another session; interrupt_end() before the session is freed. */
void interrupt_begin(ew_session *session);
void interrupt_end(void);
/* Did the user ask to stop? */
bool interrupt_seen(void);

#endif

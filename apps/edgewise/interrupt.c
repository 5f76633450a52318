// SPDX-License-Identifier: Apache-2.0
#include "interrupt.h"

#include "options.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

static ew_session *volatile watched;
static volatile sig_atomic_t times;
static pthread_t main_thread;

/* The signal may arrive on a worker thread. Handing it to the main thread, where `watched` is set
 * and reset, rules out that a session is cancelled while it is being freed. */
static void on_interrupt(int number) {
    if (!pthread_equal(pthread_self(), main_thread)) {
        pthread_kill(main_thread, number);
        return;
    }
    times = times + 1;
    if (times > 1)
        _exit(EXIT_INTERRUPTED);
    ew_session *session = watched;
    if (session != NULL)
        ew_session_cancel(session);
}

void interrupt_begin(ew_session *session) {
    struct sigaction now;
    watched = session;
    main_thread = pthread_self();
    /* a job started in the background ignores Ctrl-C, and stays so */
    if (sigaction(SIGINT, NULL, &now) != 0 || now.sa_handler == SIG_IGN)
        return;
    now = (struct sigaction){.sa_handler = on_interrupt, .sa_flags = SA_RESTART};
    sigemptyset(&now.sa_mask);
    sigaction(SIGINT, &now, NULL);
}

void interrupt_end(void) {
    watched = NULL;
}

bool interrupt_seen(void) {
    return times > 0;
}

/* standard_streams.c: nothing that was to be printed is lost in silence. */
#define _DEFAULT_SOURCE /* for on_exit() */
#include "standard_streams.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *program_name;
static int failed_code;

/** Where a stream is closed, a file of ours would be opened in its place and get what is printed;
 * this fills the place with something that nothing can be printed to, nor opened for that by the
 * name /dev/stdout: a folder. */
static void hold_places(void) {
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/", O_RDONLY) < 0)
            return;
}

static void check_output(int status, void *unused) {
    (void)unused;
    const int earlier = ferror(stdout);
    errno = 0;
    if ((fclose(stdout) == 0 && !earlier) || status != 0)
        return;
    const char *reason = errno ? strerror(errno) : "";
    fprintf(stderr, "%s: cannot write to standard output%s%s\n", program_name, *reason ? ": " : "",
            reason);
    _exit(failed_code);
}

void standard_streams_guard(const char *name, int code) {
    program_name = name;
    failed_code = code;
    hold_places();
    signal(SIGPIPE, SIG_IGN);
    on_exit(check_output, NULL);
}

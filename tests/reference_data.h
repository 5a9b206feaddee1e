/* reference_data.h: the sets that are not part of the tree, for tests that read them where they
 * are. */
#ifndef REFERENCE_DATA_H
#define REFERENCE_DATA_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* The path of a file or folder under QUERN_DATA_DIR. The test is skipped,
 * and says so, without it. */
static inline const char *reference_data(const char *name) {
    static char path[1024];
    const char *folder = getenv("QUERN_DATA_DIR");
    snprintf(path, sizeof(path), "%s/%s", folder ? folder : "", name);
    if (!folder || access(path, R_OK) != 0)
        cr_skip_test("no %s in QUERN_DATA_DIR (%s)", name, folder ? folder : "not set");
    return path;
}

#endif

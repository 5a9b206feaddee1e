/* file_atomic.h: files that are there whole or not at all. */
#ifndef QUERN_FILE_ATOMIC_H
#define QUERN_FILE_ATOMIC_H

#include "quern.h"

/** A file being written beside its place. */
typedef struct qni_atomic_file {
    qn_context *ctx;
    const char *path; /**< where it will be, in the caller's words; the caller's */
    char *target;     /**< the same with symbolic links followed */
    char *temporary;  /**< where it is written */
    FILE *stream;
} qni_atomic_file;

/** Opens a new file in the folder of `path`, with the mode of the file that is there, and
 * removes what killed processes left of theirs. A symbolic link is followed. Every open
 * is ended by a commit or an abandon. Errors: IO_ERROR, also where `path` is something
 * other than a regular file. */
qn_status qni_atomic_open(qn_context *ctx, const char *path, qni_atomic_file *file);
/** Writes to it. Errors: IO_ERROR, with the system's reason. */
qn_status qni_atomic_write(qni_atomic_file *file, const void *data, size_t bytes);
/** Overwrites bytes from `offset` on that were written before; writing goes on behind the last. */
qn_status qni_atomic_rewrite(qni_atomic_file *file, int64_t offset, const void *data, size_t bytes);
/** Puts the file in its place once all of it is on the disk; on failure the old file stays. */
qn_status qni_atomic_commit(qni_atomic_file *file);
/** Removes what was written. */
void qni_atomic_abandon(qni_atomic_file *file);

#endif

/* file_atomic.c: writes beside, then renames.
 *
 * rename() replaces a file in one step, and both the data and the folder's entry are forced to the
 * disk, so a kill or a power cut at any moment leaves the old or the new file whole. */
#include "file_atomic.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAMES_TO_TRY = 100, NAME_ROOM = 48 };

static qn_status fail(const qni_atomic_file *file, const char *what, int error) {
    return qn_context_fail(file->ctx, QN_IO_ERROR, "%s: cannot %s: %s", file->path, what,
                           strerror(error));
}

static void forget(qni_atomic_file *file) {
    free(file->temporary);
    *file = (qni_atomic_file){0};
}

/* Opens a file that was not there. A name that is taken is what a killed process left, or another's
 * work that goes on: it is left alone. */
static int open_new(qni_atomic_file *file, size_t room) {
    for (int i = 0; i < NAMES_TO_TRY; i++) {
        snprintf(file->temporary, room, "%s.%ld-%d.tmp", file->path, (long)getpid(), i);
        int fd = open(file->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd >= 0 || errno != EEXIST) {
            return fd;
        }
    }
    return -1;
}

qn_status qni_atomic_open(qn_context *ctx, const char *path, qni_atomic_file *file) {
    *file = (qni_atomic_file){.ctx = ctx, .path = path};
    struct stat there;
    if (stat(path, &there) == 0 && !S_ISREG(there.st_mode)) {
        /* rename() would put a file in the place of a device or a pipe */
        return qn_context_fail(ctx, QN_IO_ERROR, "%s: cannot replace: %s", path,
                               S_ISDIR(there.st_mode) ? strerror(EISDIR) : "not a regular file");
    }
    size_t room = strlen(path) + NAME_ROOM;
    file->temporary = malloc(room);
    if (!file->temporary) {
        return qn_context_fail(ctx, QN_OUT_OF_MEMORY, "%s: no memory for a file name", path);
    }
    int fd = open_new(file, room);
    file->stream = fd < 0 ? NULL : fdopen(fd, "wb");
    if (file->stream) {
        return QN_OK;
    }
    qn_status status = fail(file, "open for writing", errno);
    if (fd >= 0) {
        close(fd);
        unlink(file->temporary);
    }
    forget(file);
    return status;
}

qn_status qni_atomic_write(qni_atomic_file *file, const void *data, size_t bytes) {
    if (bytes > 0 && fwrite(data, 1, bytes, file->stream) != bytes) {
        return fail(file, "write", errno);
    }
    return QN_OK;
}

/* Forces the entry of the folder to the disk. The file itself is in its place whatever comes of
 * this, and not every file system can do it. */
static void sync_folder(const char *path) {
    const char *slash = strrchr(path, '/');
    char *folder = slash == path ? strdup("/")
                   : slash       ? strndup(path, (size_t)(slash - path))
                                 : strdup(".");
    int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
    free(folder);
}

qn_status qni_atomic_commit(qni_atomic_file *file) {
    bool written = fflush(file->stream) == 0 && fsync(fileno(file->stream)) == 0;
    int error = errno;
    if (fclose(file->stream) != 0 && written) {
        written = false;
        error = errno;
    }
    file->stream = NULL;
    if (!written) {
        qn_status status = fail(file, "write", error);
        qni_atomic_abandon(file);
        return status;
    }
    if (rename(file->temporary, file->path) != 0) {
        qn_status status = fail(file, "replace", errno);
        qni_atomic_abandon(file);
        return status;
    }
    sync_folder(file->path);
    forget(file);
    return QN_OK;
}

void qni_atomic_abandon(qni_atomic_file *file) {
    if (file->stream) {
        fclose(file->stream);
    }
    if (file->temporary) {
        unlink(file->temporary);
    }
    forget(file);
}

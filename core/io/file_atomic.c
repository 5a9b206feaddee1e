/* file_atomic.c: writes beside, then renames.
 *
 * rename() replaces a file in one step, and both the data and the folder's entry are forced to the
 * disk, so a kill or a power cut at any moment leaves the old or the new file whole. Where a file
 * cannot be replaced so (it is a mount point, or its folder cannot be written to), its content is
 * overwritten once all of the new one is on a disk elsewhere.
 *
 * While a file is being written its writer holds a lock on it. What carries such a name without
 * being locked was left by a process that was killed, and the next writer removes it. */
#define _GNU_SOURCE /* for asprintf() and secure_getenv() */
#include "file_atomic.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAMES_TO_TRY = 100, LINKS_TO_FOLLOW = 40, SUFFIX_DIGITS = 12 };

static const char ENDING[] = ".tmp";

static qn_status fail(const qni_atomic_file *file, const char *what, int error) {
    qn_context_fail_io(file->ctx, error, "%s: cannot %s", file->path, what);
    return error == ENOMEM ? QN_OUT_OF_MEMORY : QN_IO_ERROR;
}

static void forget(qni_atomic_file *file) {
    free(file->temporary);
    free(file->target);
    *file = (qni_atomic_file){0};
}

/* ---- names ----------------------------------------------------------------------------------- */

/* The folder of a path, as text to be freed; NULL when memory is out. */
static char *folder_of(const char *path) {
    const char *slash = strrchr(path, '/');
    if (!slash)
        return strdup(".");
    return slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

static const char *base_of(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Where a link points to, as text to be freed: relative ones start from the link's folder. */
static char *link_target(const char *path) {
    char text[PATH_MAX];
    const ssize_t length = readlink(path, text, sizeof(text) - 1);
    char *target = NULL;
    if (length < 0)
        return NULL;
    text[length] = '\0';
    const int folder = (int)(base_of(path) - path);
    if (asprintf(&target, "%.*s%s", text[0] == '/' ? 0 : folder, path, text) < 0)
        return NULL;
    return target;
}

/* The path with the links at its end followed, also to a file that is not there yet. NULL when
 * memory is out, or with ELOOP in errno. */
static char *follow_links(const char *path) {
    struct stat there;
    char *at = strdup(path);
    for (int i = 0; at && lstat(at, &there) == 0 && S_ISLNK(there.st_mode); i++) {
        char *next = i < LINKS_TO_FOLLOW ? link_target(at) : NULL;
        if (i == LINKS_TO_FOLLOW)
            errno = ELOOP;
        free(at);
        at = next;
    }
    return at;
}

/* A name that nobody else has for a file beside `target` in `folder`, as text to be freed. */
static char *temporary_name(const char *folder, const char *target) {
    uint64_t random;
    char *name = NULL;
    if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
        random = (uint64_t)getpid() << 32 ^ (uintptr_t)&random;
    /* so long a name that nothing can be added to it is cut: names have at most NAME_MAX bytes */
    const int most = NAME_MAX - SUFFIX_DIGITS - 1 - (int)strlen(ENDING);
    if (asprintf(&name, "%s/%.*s.%0*llx%s", folder, most, base_of(target), SUFFIX_DIGITS,
                 (unsigned long long)(random & 0xffffffffffffu), ENDING) < 0)
        return NULL;
    return name;
}

/* Whether a name in the folder is one that temporary_name() gives for `base`. */
static bool is_temporary(const char *name, const char *base) {
    const size_t length = strlen(name), end = strlen(ENDING), stem = strlen(base);
    if (length < stem + 1 + end || strncmp(name, base, stem) != 0 || name[stem] != '.' ||
        strcmp(name + length - end, ENDING) != 0)
        return false;
    const char *suffix = name + stem + 1;
    const size_t rest = length - stem - 1 - end, digits = strspn(suffix, "0123456789");
    const bool earlier = suffix[digits] == '-'; /* versions before 0.2: <process>-<number> */
    return earlier ? digits + 1 + strspn(suffix + digits + 1, "0123456789") == rest
                   : rest == SUFFIX_DIGITS && strspn(suffix, "0123456789abcdef") == rest;
}

/* ---- locks ----------------------------------------------------------------------------------- */

/* Removes a file that nobody holds the lock of. */
static void remove_unlocked(int folder, const char *name) {
    const int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        unlinkat(folder, name, 0);
    close(fd);
}

/* Removes what killed processes left beside a file. */
static void sweep(const char *folder, const char *base) {
    DIR *entries = opendir(folder);
    for (struct dirent *entry; entries && (entry = readdir(entries));)
        if (is_temporary(entry->d_name, base))
            remove_unlocked(dirfd(entries), entry->d_name);
    if (entries)
        closedir(entries);
}

/* Takes the lock of a file just made. False when another process has swept it away before. */
static bool lock_new(int fd) {
    struct stat made;
    const bool locked = flock(fd, LOCK_EX) == 0;
    return fstat(fd, &made) == 0 && (made.st_nlink > 0 || !locked);
}

/* Opens a new file in a folder; -1 with the reason in errno. */
static int open_new(qni_atomic_file *file, const char *folder) {
    for (int i = 0; i < NAMES_TO_TRY; i++) {
        free(file->temporary);
        file->temporary = temporary_name(folder, file->target);
        if (!file->temporary)
            break;
        const int fd = open(file->temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd < 0 && errno != EEXIST)
            return -1;
        if (fd >= 0 && lock_new(fd))
            return fd;
        if (fd >= 0)
            close(fd);
    }
    return -1;
}

/* ---- opening and writing --------------------------------------------------------------------- */

/* Opens a new file beside the target or, where nothing can be made there but the target itself can
 * be written to, in the folder for temporary files. */
static int open_beside(qni_atomic_file *file) {
    char *folder = folder_of(file->target);
    int fd = -1;
    if (folder) {
        sweep(folder, base_of(file->target));
        fd = open_new(file, folder);
    }
    free(folder);
    const int error = errno;
    if (fd < 0 && (error == EACCES || error == EROFS || error == EPERM) &&
        access(file->target, W_OK) == 0) {
        const char *elsewhere = secure_getenv("TMPDIR");
        fd = open_new(file, elsewhere && *elsewhere ? elsewhere : "/tmp");
    }
    if (fd < 0)
        errno = error;
    return fd;
}

/* Gives the new file the owner and the mode of the one that it replaces, as far as that may be. */
static void keep_mode(int fd, const struct stat *old) {
    if (fchown(fd, old->st_uid, old->st_gid) != 0 && fchown(fd, (uid_t)-1, old->st_gid) != 0)
        errno = 0; /* not the owner's: then it is the writer's */
    fchmod(fd, old->st_mode & 07777);
}

static qn_status open_stream(qni_atomic_file *file, const struct stat *old) {
    const int fd = open_beside(file);
    file->stream = fd < 0 ? NULL : fdopen(fd, "w+b");
    if (file->stream) {
        if (old)
            keep_mode(fd, old);
        return QN_OK;
    }
    qn_status status = fail(file, "open for writing", errno);
    if (fd >= 0) {
        close(fd);
        unlink(file->temporary);
    }
    return status;
}

/* What speaks against writing to a place: it is something other than a file, as a folder, or a
 * device or a pipe in whose place rename() would put one. */
static qn_status refuse_place(const qni_atomic_file *file, const struct stat *there) {
    qn_context_fail(file->ctx, QN_IO_ERROR, "%s: cannot replace: %s", file->path,
                    S_ISDIR(there->st_mode) ? strerror(EISDIR) : "not a regular file");
    return QN_IO_ERROR;
}

static qn_status open_target(qni_atomic_file *file) {
    struct stat there;
    if (!file->target)
        return fail(file, "open for writing", errno);
    if (stat(file->target, &there) != 0)
        return open_stream(file, NULL);
    return S_ISREG(there.st_mode) ? open_stream(file, &there) : refuse_place(file, &there);
}

qn_status qni_atomic_open(qn_context *ctx, const char *path, qni_atomic_file *file) {
    *file = (qni_atomic_file){.ctx = ctx, .path = path, .target = follow_links(path)};
    const qn_status status = open_target(file);
    if (status != QN_OK)
        forget(file);
    return status;
}

qn_status qni_atomic_write(qni_atomic_file *file, const void *data, size_t bytes) {
    const unsigned held = qn_write_enter();
    const bool written = bytes == 0 || fwrite(data, 1, bytes, file->stream) == bytes;
    qn_write_leave(held);
    return written ? QN_OK : fail(file, "write", errno);
}

qn_status qni_atomic_rewrite(qni_atomic_file *file, int64_t offset, const void *data,
                             size_t bytes) {
    const unsigned held = qn_write_enter(); /* moving writes what is in the buffer */
    qn_status status = QN_OK;
    if (fseeko(file->stream, (off_t)offset, SEEK_SET) != 0)
        status = fail(file, "write", errno);
    if (status == QN_OK)
        status = qni_atomic_write(file, data, bytes);
    if (status == QN_OK && fseeko(file->stream, 0, SEEK_END) != 0)
        status = fail(file, "write", errno);
    qn_write_leave(held);
    return status;
}

/* ---- ending ---------------------------------------------------------------------------------- */

/* Forces the entry of the folder to the disk. The file itself is in its place whatever comes of
 * this, and not every file system can do it. */
static void sync_folder(const char *path) {
    char *folder = folder_of(path);
    int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
    free(folder);
}

/* Copies all of one open file into another; false with the reason in errno. */
static bool copy_bytes(FILE *from, int to) {
    char block[1 << 16];
    rewind(from);
    for (size_t got; (got = fread(block, 1, sizeof(block), from)) > 0;)
        for (size_t done = 0; done < got;) {
            const ssize_t written = write(to, block + done, got - done);
            if (written < 0 && errno != EINTR)
                return false;
            done += written > 0 ? (size_t)written : 0;
        }
    return ferror(from) == 0;
}

/* Overwrites the target's content. The new one stays where it is when that breaks off, and the
 * message names it. */
static qn_status overwrite(qni_atomic_file *file) {
    const int to = open(file->target, O_WRONLY | O_TRUNC | O_CLOEXEC);
    if (to < 0)
        return fail(file, "replace", errno);
    const bool written = copy_bytes(file->stream, to) && fsync(to) == 0;
    const int error = errno;
    if (close(to) == 0 && written) {
        unlink(file->temporary);
        return QN_OK;
    }
    qn_status status =
        qn_context_fail(file->ctx, QN_IO_ERROR, "%s: cannot write: %s; all of it is in %s",
                        file->path, strerror(error), file->temporary);
    free(file->temporary);
    file->temporary = NULL;
    return status;
}

/* Puts what is on the disk in its place. */
static qn_status replace(qni_atomic_file *file) {
    if (rename(file->temporary, file->target) == 0) {
        sync_folder(file->target);
        return QN_OK;
    }
    if (errno == EBUSY || errno == EXDEV || errno == EACCES || errno == EPERM)
        return overwrite(file);
    return fail(file, "replace", errno);
}

qn_status qni_atomic_commit(qni_atomic_file *file) {
    const unsigned held = qn_write_enter();
    qn_status status = QN_OK;
    if (fflush(file->stream) != 0 || fsync(fileno(file->stream)) != 0)
        status = fail(file, "write", errno);
    if (status == QN_OK)
        status = replace(file);
    qn_write_leave(held);
    if (status != QN_OK) {
        qni_atomic_abandon(file);
        return status;
    }
    fclose(file->stream); /* all was flushed: with it goes the lock */
    forget(file);
    return QN_OK;
}

void qni_atomic_abandon(qni_atomic_file *file) {
    if (file->temporary)
        unlink(file->temporary);
    const unsigned held = qn_write_enter(); /* closing writes what is in the buffer */
    if (file->stream)
        fclose(file->stream);
    qn_write_leave(held);
    forget(file);
}

qn_status qn_file_write(qn_context *ctx, const char *path, const void *data, size_t bytes) {
    if (!ctx)
        return QN_INVALID_ARGUMENT;
    if (!path || (!data && bytes > 0))
        return qn_context_fail(ctx, QN_INVALID_ARGUMENT, "file: the %s is NULL",
                               path ? "content" : "name");
    qni_atomic_file file;
    qn_status status = qni_atomic_open(ctx, path, &file);
    if (status != QN_OK)
        return status;
    status = qni_atomic_write(&file, data, bytes);
    if (status == QN_OK)
        return qni_atomic_commit(&file);
    qni_atomic_abandon(&file);
    return status;
}

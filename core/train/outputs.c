/* outputs.c: what a run will write is looked at before it trains for hours. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fit.h"

typedef struct output {
    const char *what, *path; /* path NULL: not asked for */
} output;

enum { OUTPUTS = 5 };

/* ---- one file under two names ---------------------------------------------------------------- */

/** The file that a path leads to, by its folder and name where it is not there yet. */
typedef struct identity {
    bool exists;
    dev_t device; /* of the file, or of its folder */
    ino_t inode;
    char name[NAME_MAX + 1];
} identity;

static identity identify(const char *path) {
    identity id = {0};
    struct stat there;
    char copy[PATH_MAX];
    id.exists = stat(path, &there) == 0;
    if (!id.exists) {
        const char *slash = strrchr(path, '/');
        snprintf(copy, sizeof(copy), "%s", path);
        snprintf(id.name, sizeof(id.name), "%s", slash ? slash + 1 : path);
        if (stat(dirname(copy), &there) != 0)
            return id;
    }
    id.device = there.st_dev;
    id.inode = there.st_ino;
    return id;
}

static bool is_same(const char *a, const char *b) {
    const identity x = identify(a), y = identify(b);
    return strcmp(a, b) == 0 || (x.exists == y.exists && x.inode != 0 && x.inode == y.inode &&
                                 x.device == y.device && strcmp(x.name, y.name) == 0);
}

/** Whether writing to the file twice does no harm: a terminal, or nowhere. */
static bool is_stream(const char *path) {
    struct stat there;
    return stat(path, &there) == 0 && !S_ISREG(there.st_mode);
}

/** Files that would be written over each other. */
static qn_status check_distinct(const qni_fit *fit, const output *outputs) {
    for (int i = 0; i < OUTPUTS; i++)
        for (int j = 0; j < i; j++)
            if (outputs[i].path && outputs[j].path && is_same(outputs[i].path, outputs[j].path) &&
                !is_stream(outputs[i].path))
                return qn_context_fail(fit->ctx, QN_INVALID_ARGUMENT,
                                       "fit: '%s' cannot be both %s and %s", outputs[i].path,
                                       outputs[j].what, outputs[i].what);
    return QN_OK;
}

/* ---- whether it can be written ---------------------------------------------------------- */

/** Whether a file can be made in a folder or, where it is there already, be written to. */
static qn_status check_place(const qni_fit *fit, const output *out) {
    char copy[PATH_MAX];
    struct stat there;
    if (snprintf(copy, sizeof(copy), "%s", out->path) >= PATH_MAX)
        errno = ENAMETOOLONG;
    else if (stat(out->path, &there) == 0 ? access(out->path, W_OK) == 0
                                          : errno == ENOENT && access(dirname(copy), W_OK) == 0)
        return QN_OK;
    return qn_context_fail_io(fit->ctx, errno, "fit: cannot write the %s '%s'", out->what,
                              out->path);
}

/** What takes the place of another file at the end must find a regular one, or none. */
static qn_status check_replaced(const qni_fit *fit, const output *out) {
    struct stat there;
    if (stat(out->path, &there) != 0 || S_ISREG(there.st_mode))
        return QN_OK;
    return qn_context_fail(fit->ctx, QN_IO_ERROR, "fit: cannot replace '%s': not a regular file",
                           out->path);
}

static bool is_utf8(const char *text) {
    return text && qn_utf8_prefix(text, strlen(text)) == strlen(text);
}

/** Settings are metadata of the model: a name of a file that is not UTF-8 could not be saved. */
static qn_status check_settings(const qni_fit *fit) {
    for (int i = 0; i < fit->opts.settings_count; i++) {
        const qn_metadata *setting = &fit->opts.settings[i];
        const bool key = is_utf8(setting->key);
        if (key && is_utf8(setting->value))
            continue;
        return qn_context_fail(fit->ctx, QN_INVALID_ARGUMENT,
                               "fit: setting %d (%s) is not UTF-8, as models and logs need it", i,
                               key ? setting->key : "its key");
    }
    return QN_OK;
}

qn_status qni_outputs_check(const qni_fit *fit) {
    const qn_fit_opts *opts = &fit->opts;
    const output outputs[OUTPUTS] = {{"model", opts->save},
                                     {"best model", opts->save_best},
                                     {"checkpoint", opts->checkpoint},
                                     {"report", opts->report},
                                     {"log", opts->log}};
    qn_status status = check_settings(fit);
    if (status == QN_OK)
        status = check_distinct(fit, outputs);
    for (int i = 0; i < OUTPUTS && status == QN_OK; i++)
        if (outputs[i].path) {
            status = check_place(fit, &outputs[i]);
            if (status == QN_OK && outputs[i].path != opts->log)
                status = check_replaced(fit, &outputs[i]);
        }
    return status;
}

/* ---- one run at a time ------------------------------------------------------------------ */

int qni_output_claim(qn_context *ctx, const char *what, const char *path) {
    struct stat there;
    const int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) {
        qn_context_fail_io(ctx, errno, "%s: cannot write '%s'", what, path);
        return -1;
    }
    if (fstat(fd, &there) == 0 && S_ISREG(there.st_mode) && flock(fd, LOCK_EX | LOCK_NB) != 0 &&
        errno == EWOULDBLOCK) {
        qn_context_fail(ctx, QN_INVALID_ARGUMENT, "%s: another run is writing '%s'", what, path);
        close(fd);
        return -1;
    }
    return fd;
}

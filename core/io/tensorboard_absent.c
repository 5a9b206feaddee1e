/* tensorboard_absent.c: stands in for tensorboard.c in a build without protobuf-c. */
#include "quern.h"

qn_tensorboard *qn_tensorboard_open(qn_context *ctx, const char *folder) {
    if (ctx && folder)
        qn_context_fail(ctx, QN_UNSUPPORTED,
                        "tensorboard: cannot write to '%s': this build is without protobuf-c "
                        "(libprotobuf-c-dev and protobuf-c-compiler)",
                        folder);
    return NULL;
}

void qn_tensorboard_free(qn_tensorboard *log) { (void)log; }

qn_status qn_tensorboard_scalar(qn_tensorboard *log, const char *tag, int64_t step, double value) {
    (void)log, (void)tag, (void)step, (void)value;
    return QN_INVALID_ARGUMENT;
}

qn_status qn_tensorboard_histogram(qn_tensorboard *log, const char *tag, int64_t step,
                                   const qn_tensor *x) {
    (void)log, (void)tag, (void)step, (void)x;
    return QN_INVALID_ARGUMENT;
}

qn_status qn_tensorboard_text(qn_tensorboard *log, const char *tag, int64_t step,
                              const char *text) {
    (void)log, (void)tag, (void)step, (void)text;
    return QN_INVALID_ARGUMENT;
}

/* without_optional.c: what a library without its optional libraries says and does.
 *
 *     without_optional SERIES.csv.gz */
#include <quern.h>
#include <string.h>

int main(int argc, char **argv) {
    qn_context *ctx = qn_context_new("cpu");
    if (argc != 2 || qn_tensorboard_open(ctx, "runs") ||
        qn_context_error(ctx, NULL) != QN_UNSUPPORTED ||
        !strstr(qn_context_message(ctx), "libprotobuf-c-dev"))
        return 1;
    qn_context_clear_error(ctx);
    if (!qn_series_open(ctx, argv[1], NULL)) /* by zlib */
        qn_context_error(ctx, stderr);
    const qn_status status = qn_context_error(ctx, NULL);
    qn_context_free(ctx);
    return status == QN_OK ? 0 : 1;
}

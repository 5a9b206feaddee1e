/* Lesson 5: models in files. They are safetensors, which most tools of the field read. */
#include <quern.h>

static qn_module *network(qn_context *ctx) {
    return qn_nn_sequential(ctx, qn_nn_linear(ctx, 4, 8, NULL), qn_nn_relu(ctx),
                            qn_nn_linear(ctx, 8, 2, NULL), NULL);
}

int main(void) {
    const char *path = "lesson.safetensors";
    qn_context *ctx = qn_context_new("cpu");
    qn_tensor *x = qn_keep(qn_ones(ctx, QN_F32, QN_SHAPE(1, 4)));

    qn_module *first = network(ctx);
    qn_save(first, path); /* a kill while it is written leaves the old file whole */

    /* A file is loaded into a network of the same shape, by the names of its tensors. */
    qn_module *second = network(ctx);
    puts("two networks, before and after loading:");
    qn_tensor_print(qn_forward(first, x), stdout);
    qn_tensor_print(qn_forward(second, x), stdout);
    qn_load(second, path);
    qn_tensor_print(qn_forward(second, x), stdout);

    /* What a file has in it. */
    qn_tensor_file *file = qn_tensor_file_open(ctx, path);
    for (int i = 0; i < qn_tensor_file_count(file); i++) {
        qn_tensor_entry entry = qn_tensor_file_entry(file, i);
        printf("%-10s %s, rank %d\n", entry.name, qn_dtype_string(entry.dtype), entry.shape.rank);
    }
    qn_tensor_file_free(file);
    remove(path);

    int status = qn_context_error(ctx, stderr);
    qn_context_free(ctx);
    return status;
}

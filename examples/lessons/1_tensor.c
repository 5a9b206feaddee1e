/* Lesson 1: tensors. Make them, compute with them, look at them. */
#include <quern.h>

int main(void) {
    qn_context *ctx = qn_context_new("auto"); /* the best device there is */

    /* A tensor from numbers, row by row: 2 rows, 3 columns. */
    qn_tensor *a = qn_from_data(ctx, QN_F32, QN_SHAPE(2, 3), (float[]){1, 2, 3, 4, 5, 6});
    qn_tensor *row = qn_from_data(ctx, QN_F32, QN_SHAPE(3), (float[]){10, 20, 30});

    /* Shapes are aligned at the end and stretched where they are 1: the row
     * is added to each row. */
    qn_tensor *sum = qn_add(a, row);
    puts("a + row:");
    qn_tensor_print(sum, stdout);

    /* Views look at the same elements in another way; nothing is copied. */
    puts("a, transposed:");
    qn_tensor_print(qn_transpose(a, 0, 1), stdout);
    puts("last two columns of a:");
    qn_tensor_print(qn_slice(a, 1, 1, 3), stdout);

    /* A product [2, 3] x [3, 2], a mean over all axes, and that mean as a C number. */
    qn_tensor *product = qn_matmul(a, qn_transpose(a, 0, 1));
    qn_tensor_print(product, stdout);
    printf("mean of the product: %g\n", qn_item(qn_mean(product, QN_ALL, false)));

    /* All of it can fail; the first failure stays on the context, so one look
     * at the end is enough. */
    int status = qn_context_error(ctx, stderr);
    qn_context_free(ctx); /* and everything that was made with it */
    return status;
}

/* test_module_kinds.c: modules of a user's own under the names of the library's. */
#include <criterion/criterion.h>
#include <string.h>

#include "with_context.h"

TestSuite(module_kinds, .init = open_context, .fini = close_context);

static qn_tensor *passes_on(qn_module *self, qn_tensor *x) {
    (void)self;
    return x;
}

/* A user's own modules may have the names of the library's: without data, they would crash a
 * function that took them for its layer by their kind. */
Test(module_kinds, a_kind_is_a_name_and_not_a_type) {
    static const char *const kinds[] = {
        "lstm", "gru", "rev_in", "sequential", "multi_head_attention", "transformer_encoder_layer"};
    qn_tensor *x = qn_zeros(ctx, QN_F32, QN_SHAPE(1, 2, 4));
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        qn_module *mine = qn_module_new(ctx, kinds[i], passes_on, NULL, NULL);
        cr_expect_eq(qn_forward(mine, x), x, "%s", kinds[i]);
        cr_expect_null(qn_nn_recurrent_forward(mine, x, NULL, NULL).y, "%s", kinds[i]);
        expect_error(QN_INVALID_ARGUMENT, "recurrent_forward: expects an lstm or a gru");
        cr_expect_null(qn_nn_rev_in_restore(mine, x), "%s", kinds[i]);
        expect_error(QN_INVALID_ARGUMENT, "rev_in: restore needs a rev_in module");
        cr_expect_null(qn_nn_attention_forward(mine, x, x, x, NULL), "%s", kinds[i]);
        expect_error(QN_INVALID_ARGUMENT, "multi_head_attention: the module is a");
        cr_expect_null(qn_nn_transformer_forward(mine, x, NULL), "%s", kinds[i]);
        expect_error(QN_INVALID_ARGUMENT, "transformer_encoder_layer: the module is a");
        cr_expect_null(qn_nn_append(mine, qn_nn_sequential(ctx, NULL)), "%s", kinds[i]);
        expect_error(QN_INVALID_ARGUMENT, "append: expects a sequential, got");
        qn_module_free(mine);
    }
}

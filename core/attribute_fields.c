/* attribute_fields.c: the fields of the attribute structs of quern_backend.h, as data for logs and
 * for what reads quern-ops.json. */
#include <stddef.h>
#include <string.h>

#include "internal.h"

const qni_field qni_reduce_fields[] = {
    {.name = "axes", .type = QNI_U32, .offset = offsetof(qn_reduce_attrs, axes), .count = 1},
    {.name = "correction",
     .type = QNI_I32,
     .offset = offsetof(qn_reduce_attrs, correction),
     .count = 1},
    {0},
};

const qni_field qni_axis_fields[] = {
    {.name = "axis", .type = QNI_I32, .offset = offsetof(qn_axis_attrs, axis), .count = 1},
    {0},
};

const qni_field qni_affine_fields[] = {
    {.name = "scale",
     .type = QNI_F64,
     .offset = offsetof(qn_affine_attrs, scale),
     .count = 1,
     .usual = 1},
    {.name = "shift", .type = QNI_F64, .offset = offsetof(qn_affine_attrs, shift), .count = 1},
    {0},
};

const qni_field qni_scalar_fields[] = {
    {.name = "value", .type = QNI_F64, .offset = offsetof(qn_scalar_attrs, value), .count = 1},
    {0},
};

const qni_field qni_loss_scale_fields[] = {
    {.name = "max_norm",
     .type = QNI_F64,
     .offset = offsetof(qn_loss_scale_attrs, max_norm),
     .count = 1},
    {.name = "growth_steps",
     .type = QNI_F64,
     .offset = offsetof(qn_loss_scale_attrs, growth_steps),
     .count = 1},
    {0},
};

const qni_field qni_range_fields[] = {
    {.name = "low", .type = QNI_F64, .offset = offsetof(qn_range_attrs, low), .count = 1},
    {.name = "high", .type = QNI_F64, .offset = offsetof(qn_range_attrs, high), .count = 1},
    {0},
};

const qni_field qni_gelu_fields[] = {
    {.name = "tanh_form",
     .type = QNI_I32,
     .offset = offsetof(qn_gelu_attrs, tanh_form),
     .count = 1},
    {0},
};

const qni_field qni_matmul_fields[] = {
    {.name = "relu", .type = QNI_I32, .offset = offsetof(qn_matmul_attrs, relu), .count = 1},
    {0},
};

const qni_field qni_cross_entropy_fields[] = {
    {.name = "label_smoothing",
     .type = QNI_F64,
     .offset = offsetof(qn_cross_entropy_attrs, label_smoothing),
     .count = 1},
    {.name = "ignore_index",
     .type = QNI_I64,
     .offset = offsetof(qn_cross_entropy_attrs, ignore_index),
     .count = 1},
    {0},
};

const qni_field qni_conv2d_fields[] = {
    {.name = "stride",
     .type = QNI_I32,
     .offset = offsetof(qn_conv2d_attrs, stride),
     .count = 2,
     .usual = 1},
    {.name = "padding", .type = QNI_I32, .offset = offsetof(qn_conv2d_attrs, padding), .count = 2},
    {.name = "dilation",
     .type = QNI_I32,
     .offset = offsetof(qn_conv2d_attrs, dilation),
     .count = 2,
     .usual = 1},
    {.name = "groups",
     .type = QNI_I32,
     .offset = offsetof(qn_conv2d_attrs, groups),
     .count = 1,
     .usual = 1},
    {.name = "input", .type = QNI_I32, .offset = offsetof(qn_conv2d_attrs, input), .count = 2},
    {.name = "kernel", .type = QNI_I32, .offset = offsetof(qn_conv2d_attrs, kernel), .count = 2},
    {.name = "relu", .type = QNI_I32, .offset = offsetof(qn_conv2d_attrs, relu), .count = 1},
    {0},
};

const qni_field qni_pool2d_fields[] = {
    {.name = "kernel", .type = QNI_I32, .offset = offsetof(qn_pool2d_attrs, kernel), .count = 2},
    {.name = "stride", .type = QNI_I32, .offset = offsetof(qn_pool2d_attrs, stride), .count = 2},
    {.name = "padding", .type = QNI_I32, .offset = offsetof(qn_pool2d_attrs, padding), .count = 2},
    {.name = "input", .type = QNI_I32, .offset = offsetof(qn_pool2d_attrs, input), .count = 2},
    {.name = "count_include_pad",
     .type = QNI_I32,
     .offset = offsetof(qn_pool2d_attrs, count_include_pad),
     .count = 1},
    {0},
};

const qni_field qni_extent2d_fields[] = {
    {.name = "extent", .type = QNI_I32, .offset = offsetof(qn_extent2d_attrs, extent), .count = 2},
    {0},
};

const qni_field qni_norm_fields[] = {
    {.name = "epsilon",
     .type = QNI_F64,
     .offset = offsetof(qn_norm_attrs, epsilon),
     .count = 1,
     .usual = 1e-05},
    {.name = "momentum",
     .type = QNI_F64,
     .offset = offsetof(qn_norm_attrs, momentum),
     .count = 1,
     .usual = 0.1},
    {.name = "training", .type = QNI_I32, .offset = offsetof(qn_norm_attrs, training), .count = 1},
    {.name = "axes", .type = QNI_I32, .offset = offsetof(qn_norm_attrs, axes), .count = 1},
    {.name = "relu", .type = QNI_I32, .offset = offsetof(qn_norm_attrs, relu), .count = 1},
    {0},
};

const qni_field qni_dropout_fields[] = {
    {.name = "probability",
     .type = QNI_F64,
     .offset = offsetof(qn_dropout_attrs, probability),
     .count = 1},
    {0},
};

const qni_field qni_attention_fields[] = {
    {.name = "scale", .type = QNI_F64, .offset = offsetof(qn_attention_attrs, scale), .count = 1},
    {.name = "dropout",
     .type = QNI_F64,
     .offset = offsetof(qn_attention_attrs, dropout),
     .count = 1},
    {.name = "causal", .type = QNI_I32, .offset = offsetof(qn_attention_attrs, causal), .count = 1},
    {0},
};

const qni_field qni_pad_fields[] = {
    {.name = "before",
     .type = QNI_I64,
     .offset = offsetof(qn_pad_attrs, before),
     .count = QN_MAX_DIMS},
    {.name = "after",
     .type = QNI_I64,
     .offset = offsetof(qn_pad_attrs, after),
     .count = QN_MAX_DIMS},
    {.name = "value", .type = QNI_F64, .offset = offsetof(qn_pad_attrs, value), .count = 1},
    {0},
};

const qni_field qni_embedding_fields[] = {
    {.name = "padding",
     .type = QNI_I64,
     .offset = offsetof(qn_embedding_attrs, padding),
     .count = 1,
     .usual = -1},
    {.name = "rows", .type = QNI_I64, .offset = offsetof(qn_embedding_attrs, rows), .count = 1},
    {.name = "bag", .type = QNI_I64, .offset = offsetof(qn_embedding_attrs, bag), .count = 1},
    {0},
};

const qni_field qni_one_hot_fields[] = {
    {.name = "classes", .type = QNI_I64, .offset = offsetof(qn_one_hot_attrs, classes), .count = 1},
    {0},
};

const qni_field qni_scatter_fields[] = {
    {.name = "axis", .type = QNI_I32, .offset = offsetof(qn_scatter_attrs, axis), .count = 1},
    {.name = "extent", .type = QNI_I64, .offset = offsetof(qn_scatter_attrs, extent), .count = 1},
    {0},
};

const qni_field qni_sequence_fields[] = {
    {.name = "steps", .type = QNI_I64, .offset = offsetof(qn_sequence_attrs, steps), .count = 1},
    {0},
};

const qni_field qni_sequence_lengths_fields[] = {
    {.name = "padding",
     .type = QNI_I64,
     .offset = offsetof(qn_sequence_lengths_attrs, padding),
     .count = 1,
     .usual = -1},
    {0},
};

const qni_field qni_recurrent_fields[] = {
    {.name = "reverse",
     .type = QNI_I32,
     .offset = offsetof(qn_recurrent_attrs, reverse),
     .count = 1},
    {0},
};

const qni_field qni_conv1d_max_fields[] = {
    {.name = "padding",
     .type = QNI_I32,
     .offset = offsetof(qn_conv1d_max_attrs, padding),
     .count = 1},
    {.name = "input", .type = QNI_I32, .offset = offsetof(qn_conv1d_max_attrs, input), .count = 1},
    {.name = "kernel",
     .type = QNI_I32,
     .offset = offsetof(qn_conv1d_max_attrs, kernel),
     .count = 1},
    {0},
};

const qni_field qni_moving_average_fields[] = {
    {.name = "axis",
     .type = QNI_I32,
     .offset = offsetof(qn_moving_average_attrs, axis),
     .count = 1},
    {.name = "window",
     .type = QNI_I32,
     .offset = offsetof(qn_moving_average_attrs, window),
     .count = 1},
    {0},
};

const qni_field qni_fold_fields[] = {
    {.name = "axis", .type = QNI_I32, .offset = offsetof(qn_fold_attrs, axis), .count = 1},
    {.name = "extent", .type = QNI_I64, .offset = offsetof(qn_fold_attrs, extent), .count = 1},
    {.name = "step", .type = QNI_I64, .offset = offsetof(qn_fold_attrs, step), .count = 1},
    {0},
};

const qni_field qni_sort_fields[] = {
    {.name = "axis", .type = QNI_I32, .offset = offsetof(qn_sort_attrs, axis), .count = 1},
    {.name = "descending",
     .type = QNI_I32,
     .offset = offsetof(qn_sort_attrs, descending),
     .count = 1},
    {0},
};

const qni_field qni_cumsum_fields[] = {
    {.name = "axis", .type = QNI_I32, .offset = offsetof(qn_cumsum_attrs, axis), .count = 1},
    {.name = "reverse", .type = QNI_I32, .offset = offsetof(qn_cumsum_attrs, reverse), .count = 1},
    {0},
};

const qni_field qni_optim_fields[] = {
    {.name = "weight_decay",
     .type = QNI_F64,
     .offset = offsetof(qn_optim_attrs, weight_decay),
     .count = 1},
    {.name = "momentum", .type = QNI_F64, .offset = offsetof(qn_optim_attrs, momentum), .count = 1},
    {.name = "dampening",
     .type = QNI_F64,
     .offset = offsetof(qn_optim_attrs, dampening),
     .count = 1},
    {.name = "beta1", .type = QNI_F64, .offset = offsetof(qn_optim_attrs, beta1), .count = 1},
    {.name = "beta2", .type = QNI_F64, .offset = offsetof(qn_optim_attrs, beta2), .count = 1},
    {.name = "alpha", .type = QNI_F64, .offset = offsetof(qn_optim_attrs, alpha), .count = 1},
    {.name = "rho", .type = QNI_F64, .offset = offsetof(qn_optim_attrs, rho), .count = 1},
    {.name = "epsilon", .type = QNI_F64, .offset = offsetof(qn_optim_attrs, epsilon), .count = 1},
    {.name = "nesterov", .type = QNI_I32, .offset = offsetof(qn_optim_attrs, nesterov), .count = 1},
    {.name = "decoupled",
     .type = QNI_I32,
     .offset = offsetof(qn_optim_attrs, decoupled),
     .count = 1},
    {0},
};

double qni_field_value(const qni_field *field, const void *attrs, int i) {
    const char *at = (const char *)attrs + field->offset;
    switch (field->type) {
    case QNI_I32:
        return ((const int32_t *)at)[i];
    case QNI_U32:
        return ((const uint32_t *)at)[i];
    case QNI_I64:
        return (double)((const int64_t *)at)[i];
    case QNI_F64:
        break;
    }
    return ((const double *)at)[i];
}

const char *qni_operand_name(const char *names, int i, int *length) {
    for (const char *next; i > 0 && (next = strchr(names, ' ')); i--)
        names = next + 1;
    *length = (int)strcspn(names, " ");
    return names;
}

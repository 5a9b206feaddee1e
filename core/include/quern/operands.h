/* operands.h: places of the operands of kernels, in qn_call's `in` and `out`.
 *
 * Written by tests/test_operations.c from the descriptors in core/ops/. */
#ifndef QUERN_OPERANDS_H
#define QUERN_OPERANDS_H

/* adadelta_step */
enum {
    QN_ADADELTA_STEP_P,
    QN_ADADELTA_STEP_G,
    QN_ADADELTA_STEP_SQUARE,
    QN_ADADELTA_STEP_DELTA,
    QN_ADADELTA_STEP_HYPER,
    QN_ADADELTA_STEP_SEEN,
};

/* adam_step */
enum {
    QN_ADAM_STEP_P,
    QN_ADAM_STEP_G,
    QN_ADAM_STEP_M,
    QN_ADAM_STEP_V,
    QN_ADAM_STEP_HYPER,
    QN_ADAM_STEP_SEEN,
};

/* attention */
enum {
    QN_ATTENTION_Q,
    QN_ATTENTION_K,
    QN_ATTENTION_V,
    QN_ATTENTION_MASK,
    QN_ATTENTION_STATE,
};
enum {
    QN_ATTENTION_OUT_Y,
    QN_ATTENTION_OUT_LSE,
    QN_ATTENTION_OUT_SAVED,
};

/* attention_grad */
enum {
    QN_ATTENTION_GRAD_G,
    QN_ATTENTION_GRAD_Q,
    QN_ATTENTION_GRAD_K,
    QN_ATTENTION_GRAD_V,
    QN_ATTENTION_GRAD_Y,
    QN_ATTENTION_GRAD_LSE,
    QN_ATTENTION_GRAD_MASK,
    QN_ATTENTION_GRAD_SAVED,
};
enum {
    QN_ATTENTION_GRAD_OUT_DQ,
    QN_ATTENTION_GRAD_OUT_DK,
    QN_ATTENTION_GRAD_OUT_DV,
};

/* batch_norm */
enum {
    QN_BATCH_NORM_X,
    QN_BATCH_NORM_WEIGHT,
    QN_BATCH_NORM_BIAS,
    QN_BATCH_NORM_RUNNING_MEAN,
    QN_BATCH_NORM_RUNNING_VAR,
};
enum {
    QN_BATCH_NORM_OUT_Y,
    QN_BATCH_NORM_OUT_MEAN,
    QN_BATCH_NORM_OUT_RSTD,
};

/* batch_norm_grad */
enum {
    QN_BATCH_NORM_GRAD_G,
    QN_BATCH_NORM_GRAD_X,
    QN_BATCH_NORM_GRAD_WEIGHT,
    QN_BATCH_NORM_GRAD_MEAN,
    QN_BATCH_NORM_GRAD_RSTD,
};
enum {
    QN_BATCH_NORM_GRAD_OUT_DX,
    QN_BATCH_NORM_GRAD_OUT_DWEIGHT,
    QN_BATCH_NORM_GRAD_OUT_DBIAS,
};

/* conv1d_max */
enum {
    QN_CONV1D_MAX_X,
    QN_CONV1D_MAX_W,
    QN_CONV1D_MAX_BIAS,
    QN_CONV1D_MAX_LENGTHS,
};
enum {
    QN_CONV1D_MAX_OUT_Y,
    QN_CONV1D_MAX_OUT_INDEX,
};

/* conv1d_max_grad_input */
enum {
    QN_CONV1D_MAX_GRAD_INPUT_G,
    QN_CONV1D_MAX_GRAD_INPUT_W,
    QN_CONV1D_MAX_GRAD_INPUT_INDEX,
};
enum {
    QN_CONV1D_MAX_GRAD_INPUT_OUT_DX,
};

/* conv1d_max_grad_weight */
enum {
    QN_CONV1D_MAX_GRAD_WEIGHT_G,
    QN_CONV1D_MAX_GRAD_WEIGHT_X,
    QN_CONV1D_MAX_GRAD_WEIGHT_INDEX,
};
enum {
    QN_CONV1D_MAX_GRAD_WEIGHT_OUT_DW,
};

/* conv2d */
enum {
    QN_CONV2D_X,
    QN_CONV2D_W,
    QN_CONV2D_BIAS,
};
enum {
    QN_CONV2D_OUT_Y,
};

/* cross_entropy */
enum {
    QN_CROSS_ENTROPY_LOGITS,
    QN_CROSS_ENTROPY_TARGET,
};
enum {
    QN_CROSS_ENTROPY_OUT_LOSS,
    QN_CROSS_ENTROPY_OUT_LSE,
    QN_CROSS_ENTROPY_OUT_SCALE,
};

/* cross_entropy_grad */
enum {
    QN_CROSS_ENTROPY_GRAD_G,
    QN_CROSS_ENTROPY_GRAD_LOGITS,
    QN_CROSS_ENTROPY_GRAD_TARGET,
    QN_CROSS_ENTROPY_GRAD_LSE,
    QN_CROSS_ENTROPY_GRAD_SCALE,
};
enum {
    QN_CROSS_ENTROPY_GRAD_OUT_DLOGITS,
};

/* dropout */
enum {
    QN_DROPOUT_X,
    QN_DROPOUT_STATE,
};
enum {
    QN_DROPOUT_OUT_Y,
    QN_DROPOUT_OUT_SAVED,
};

/* embedding_grad_rows */
enum {
    QN_EMBEDDING_GRAD_ROWS_G,
    QN_EMBEDDING_GRAD_ROWS_INDEX,
    QN_EMBEDDING_GRAD_ROWS_GRAD,
    QN_EMBEDDING_GRAD_ROWS_SEEN,
};

/* gru */
enum {
    QN_GRU_GX,
    QN_GRU_W_HH,
    QN_GRU_B_HH,
    QN_GRU_H0,
    QN_GRU_LENGTHS,
};
enum {
    QN_GRU_OUT_Y,
    QN_GRU_OUT_GATES,
};

/* gru_grad */
enum {
    QN_GRU_GRAD_G_Y,
    QN_GRU_GRAD_W_HH,
    QN_GRU_GRAD_H0,
    QN_GRU_GRAD_Y,
    QN_GRU_GRAD_GATES,
    QN_GRU_GRAD_LENGTHS,
};
enum {
    QN_GRU_GRAD_OUT_DGX,
    QN_GRU_GRAD_OUT_DGH,
    QN_GRU_GRAD_OUT_DH0,
};

/* layer_norm */
enum {
    QN_LAYER_NORM_X,
    QN_LAYER_NORM_WEIGHT,
    QN_LAYER_NORM_BIAS,
};
enum {
    QN_LAYER_NORM_OUT_Y,
    QN_LAYER_NORM_OUT_MEAN,
    QN_LAYER_NORM_OUT_RSTD,
};

/* layer_norm_grad */
enum {
    QN_LAYER_NORM_GRAD_G,
    QN_LAYER_NORM_GRAD_X,
    QN_LAYER_NORM_GRAD_WEIGHT,
    QN_LAYER_NORM_GRAD_MEAN,
    QN_LAYER_NORM_GRAD_RSTD,
};
enum {
    QN_LAYER_NORM_GRAD_OUT_DX,
    QN_LAYER_NORM_GRAD_OUT_DWEIGHT,
    QN_LAYER_NORM_GRAD_OUT_DBIAS,
};

/* loss_scale_update */
enum {
    QN_LOSS_SCALE_UPDATE_SQUARE_SUM,
    QN_LOSS_SCALE_UPDATE_HYPER,
    QN_LOSS_SCALE_UPDATE_SCALE,
};

/* lstm */
enum {
    QN_LSTM_GX,
    QN_LSTM_W_HH,
    QN_LSTM_H0,
    QN_LSTM_C0,
    QN_LSTM_LENGTHS,
};
enum {
    QN_LSTM_OUT_Y,
    QN_LSTM_OUT_C,
    QN_LSTM_OUT_GATES,
};

/* lstm_grad */
enum {
    QN_LSTM_GRAD_G_Y,
    QN_LSTM_GRAD_G_C,
    QN_LSTM_GRAD_W_HH,
    QN_LSTM_GRAD_C0,
    QN_LSTM_GRAD_C,
    QN_LSTM_GRAD_GATES,
    QN_LSTM_GRAD_LENGTHS,
};
enum {
    QN_LSTM_GRAD_OUT_DGX,
    QN_LSTM_GRAD_OUT_DH0,
    QN_LSTM_GRAD_OUT_DC0,
};

/* matmul */
enum {
    QN_MATMUL_A,
    QN_MATMUL_B,
    QN_MATMUL_BIAS,
};
enum {
    QN_MATMUL_OUT_Y,
};

/* max_pool2d */
enum {
    QN_MAX_POOL2D_X,
};
enum {
    QN_MAX_POOL2D_OUT_Y,
    QN_MAX_POOL2D_OUT_INDEX,
};

/* rmsprop_step */
enum {
    QN_RMSPROP_STEP_P,
    QN_RMSPROP_STEP_G,
    QN_RMSPROP_STEP_SQUARE,
    QN_RMSPROP_STEP_BUFFER,
    QN_RMSPROP_STEP_HYPER,
    QN_RMSPROP_STEP_SEEN,
};

/* sequence_max */
enum {
    QN_SEQUENCE_MAX_X,
    QN_SEQUENCE_MAX_LENGTHS,
};
enum {
    QN_SEQUENCE_MAX_OUT_Y,
    QN_SEQUENCE_MAX_OUT_INDEX,
};

/* sgd_step */
enum {
    QN_SGD_STEP_P,
    QN_SGD_STEP_G,
    QN_SGD_STEP_VELOCITY,
    QN_SGD_STEP_HYPER,
    QN_SGD_STEP_SEEN,
};

/* sort */
enum {
    QN_SORT_X,
};
enum {
    QN_SORT_OUT_Y,
    QN_SORT_OUT_INDEX,
};

/* where */
enum {
    QN_WHERE_CONDITION,
    QN_WHERE_A,
    QN_WHERE_B,
};
enum {
    QN_WHERE_OUT_Y,
};

#endif

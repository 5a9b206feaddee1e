/* fuzz_calls.c: calls of the library in a random order, on handles that may be live, dead, freed or
 * of another step. Each byte of an input says which call is next, the bytes behind it with what. A
 * call may fail with an error on the context; what it must not do is read or write memory that is
 * not its own, or fail without a word. */
#include "fuzz_file.h"

#include <string.h>

enum { SLOTS = 8, MOST_ELEMENTS = 4096 };

/* Where the bytes of an input are read; 0 when they are used up. */
typedef struct player {
    const uint8_t *next, *end;
    qn_context *ctx;
    qn_tensor *scalar; /* kept */
    qn_tensor *tensor[SLOTS];
    qn_module *module[SLOTS];
    qn_optimizer *optimizer[SLOTS];
    qn_dataset *dataset[SLOTS];
    qn_loader *loader[SLOTS];
} player;

static int byte(player *p) { return p->next < p->end ? *p->next++ : 0; }

static int slot(player *p) { return byte(p) % SLOTS; }

/* The tensor of a slot; of an empty one a scalar, as what has no tensor has no context for an
 * error. */
static qn_tensor *pick(player *p) {
    qn_tensor *tensor = p->tensor[slot(p)];
    return tensor ? tensor : p->scalar;
}

/* -4 to 11, and now and then something senseless. */
static int64_t number(player *p) {
    static const int64_t odd[] = {INT64_MAX, INT64_MIN, INT32_MAX, -1000000};
    const int value = byte(p);
    return value >= 252 ? odd[value - 252] : value % 16 - 4;
}

/* A shape with few elements. */
static qn_shape shape(player *p) {
    qn_shape out = {.rank = byte(p) % 5};
    for (int i = 0; i < out.rank; i++)
        out.dim[i] = byte(p) % 6;
    return out;
}

static qn_dtype dtype(player *p) { return (qn_dtype)(byte(p) % QN_DTYPE_COUNT); }

/* Puts a result where the next calls find it. What was there stays the library's. */
static void put(player *p, qn_tensor *result) {
    const int where = slot(p);
    if (!result && qn_context_error(p->ctx, NULL) == QN_OK)
        abort();
    if (!result || qn_tensor_count(result) <= MOST_ELEMENTS)
        p->tensor[where] = result;
}

/* ---- calls, by what they take ---------------------------------------------------------------- */

static void make_tensor(player *p) {
    switch (byte(p) % 5) {
    case 0:
        put(p, qn_uniform(p->ctx, dtype(p), shape(p), -2, 2));
        break;
    case 1:
        put(p, qn_full(p->ctx, dtype(p), shape(p), (double)number(p)));
        break;
    case 2:
        put(p, qn_parameter(p->ctx, dtype(p), shape(p)));
        break;
    case 3:
        put(p, qn_normal(p->ctx, QN_F32, shape(p), 0, 1));
        break;
    default:
        put(p, qn_ones(p->ctx, QN_F32, QN_SHAPE(2, 3)));
    }
}

static void unary(player *p) {
    static qn_tensor *(*const calls[])(qn_tensor *) = {
        qn_neg,      qn_exp,        qn_log,    qn_sqrt,        qn_rsqrt, qn_abs,
        qn_sign,     qn_tanh,       qn_relu,   qn_sigmoid,     qn_silu,  qn_keep,
        qn_softplus, qn_contiguous, qn_detach, qn_require_grad};
    put(p, calls[byte(p) % (sizeof(calls) / sizeof(*calls))](pick(p)));
}

static void binary(player *p) {
    static qn_tensor *(*const calls[])(qn_tensor *, qn_tensor *) = {
        qn_add,  qn_sub,   qn_mul, qn_div,    qn_pow, qn_maximum,       qn_minimum,
        qn_less, qn_equal, qn_mse, qn_matmul, qn_mae, qn_cross_entropy, qn_bce_with_logits};
    put(p, calls[byte(p) % (sizeof(calls) / sizeof(*calls))](pick(p), pick(p)));
}

static void along_axis(player *p) {
    qn_tensor *x = pick(p);
    const int axis = (int)number(p);
    const qn_axes axes = QN_AXES(axis);
    switch (byte(p) % 12) {
    case 0:
        put(p, qn_sum(x, axes, byte(p) % 2));
        break;
    case 1:
        put(p, qn_max(x, axes, byte(p) % 2));
        break;
    case 2:
        put(p, qn_var(x, axes, byte(p) % 3, byte(p) % 2));
        break;
    case 3:
        put(p, qn_softmax(x, axis));
        break;
    case 4:
        put(p, qn_argmax(x, axis));
        break;
    case 5:
        put(p, qn_cumsum(x, axis));
        break;
    case 6:
        put(p, qn_sort(x, axis, byte(p) % 2, NULL));
        break;
    case 7:
        put(p, qn_unsqueeze(x, axis));
        break;
    case 8:
        put(p, qn_squeeze(x, axis));
        break;
    case 9:
        put(p, qn_flatten(x, axis));
        break;
    case 10:
        put(p, qn_gather(x, axis, pick(p)));
        break;
    default:
        put(p, qn_moving_average(x, axis, (int)number(p)));
    }
}

static void move(player *p) {
    qn_tensor *x = pick(p), *parts[2] = {x, pick(p)};
    switch (byte(p) % 9) {
    case 0:
        put(p, qn_reshape(x, shape(p)));
        break;
    case 1:
        put(p, qn_transpose(x, (int)number(p), (int)number(p)));
        break;
    case 2:
        put(p, qn_slice(x, (int)number(p), number(p), number(p)));
        break;
    case 3:
        put(p, qn_expand(x, shape(p)));
        break;
    case 4:
        put(p, qn_concat(parts, 2, (int)number(p)));
        break;
    case 5:
        put(p, qn_stack(parts, 2, (int)number(p)));
        break;
    case 6:
        put(p, qn_unfold(x, (int)number(p), number(p), number(p)));
        break;
    case 7:
        put(p, qn_where(pick(p), x, parts[1]));
        break;
    default:
        put(p, qn_cast(x, dtype(p)));
    }
}

static void change(player *p) {
    float host[4] = {0};
    qn_tensor *x = pick(p);
    switch (byte(p) % 9) {
    case 0:
        qn_fill(x, (double)number(p));
        break;
    case 1:
        qn_copy(x, pick(p));
        break;
    case 2:
        qn_tensor_free(x);
        break;
    case 3:
        qn_tensor_release(x);
        break;
    case 4:
        qn_zero_grad(x);
        break;
    case 5:
        qn_tensor_read(x, host, sizeof(host));
        break;
    case 6:
        qn_tensor_write(x, host, sizeof(host));
        break;
    case 7:
        qn_item(x);
        break;
    default:
        p->tensor[slot(p)] = qn_grad(x);
    }
}

static void differentiate(player *p) {
    qn_tensor *loss = pick(p);
    if (byte(p) % 2)
        qn_backward(loss);
    else
        qn_backward_once(loss);
}

static void end_step(player *p) {
    switch (byte(p) % 4) {
    case 0:
        qn_context_set_grad(p->ctx, byte(p) % 2);
        break;
    case 1:
        qn_memory_trim(p->ctx);
        break;
    default:
        qn_step_end(p->ctx);
    }
}

/* ---- modules, optimizers, datasets ----------------------------------------------------------- */

static void make_module(player *p) {
    const int where = slot(p);
    switch (byte(p) % 7) {
    case 0:
        p->module[where] = qn_nn_linear(p->ctx, byte(p) % 5, byte(p) % 5, NULL);
        break;
    case 1:
        p->module[where] = qn_nn_relu(p->ctx);
        break;
    case 2:
        p->module[where] = qn_nn_batch_norm(p->ctx, byte(p) % 5, NULL);
        break;
    case 3:
        p->module[where] = qn_nn_sequential(p->ctx, p->module[slot(p)], NULL);
        break;
    case 4:
        p->module[where] = qn_nn_append(p->module[where], p->module[slot(p)]);
        break;
    case 5:
        p->module[where] = qn_nn_lstm(p->ctx, byte(p) % 4, byte(p) % 4, NULL);
        break;
    default:
        p->module[where] = qn_nn_dropout(p->ctx, 0.5);
    }
}

static void use_module(player *p) {
    qn_module *module = p->module[slot(p)];
    switch (byte(p) % 6) {
    case 0:
        qn_module_free(module);
        break;
    case 1:
        qn_module_train(module, byte(p) % 2);
        break;
    case 2:
        qn_module_zero_grad(module);
        break;
    case 3:
        p->tensor[slot(p)] = qn_module_tensor(module, (int)number(p)).tensor;
        break;
    default:
        put(p, qn_forward(module, pick(p)));
    }
}

static void optimize(player *p) {
    qn_optimizer **at = &p->optimizer[slot(p)];
    switch (byte(p) % 5) {
    case 0:
        *at = qn_optimizer_new(p->module[slot(p)], qn_adam(0.1));
        break;
    case 1:
        *at = qn_optimizer_new(p->module[slot(p)], qn_sgd(0.1, 0.9));
        break;
    case 2:
        qn_optimizer_free(*at);
        break;
    case 3:
        qn_optimizer_set_steps(*at, number(p));
        break;
    default:
        qn_optimizer_step(*at);
    }
}

static qn_status sample(void *data, int64_t index, void *x, void *y) {
    (void)data;
    ((float *)x)[0] = ((float *)x)[1] = (float)index;
    *(int64_t *)y = index % 2;
    return QN_OK;
}

static void use_data(player *p) {
    qn_dataset **set = &p->dataset[slot(p)];
    switch (byte(p) % 5) {
    case 0:
        *set = qn_dataset_new(p->ctx, &(qn_dataset_desc){.name = "numbers",
                                                         .count = byte(p) % 9,
                                                         .x_dtype = QN_F32,
                                                         .x_shape = QN_SHAPE(2),
                                                         .y_dtype = QN_I64,
                                                         .classes = 2,
                                                         .get = sample});
        break;
    case 1:
        *set = qn_dataset_slice(p->dataset[slot(p)], number(p), number(p));
        break;
    case 2:
        qn_dataset_free(*set);
        break;
    default:
        qn_evaluate(p->module[slot(p)], *set, NULL, number(p));
    }
}

static void use_loader(player *p) {
    qn_loader **loader = &p->loader[slot(p)];
    qn_batch batch = {0};
    switch (byte(p) % 5) {
    case 0:
        *loader = qn_loader_new(p->dataset[slot(p)],
                                &(qn_loader_opts){.batch_size = number(p), .shuffle = byte(p) % 2});
        break;
    case 1:
        qn_loader_free(*loader);
        break;
    case 2:
        qn_loader_seek(*loader, (qn_loader_position){number(p), number(p)});
        break;
    default:
        if (qn_loader_next(*loader, &batch)) {
            p->tensor[slot(p)] = batch.x;
            p->tensor[slot(p)] = batch.y;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static void (*const calls[])(player *) = {
        make_tensor, unary,      binary,   along_axis, move,       change,       end_step,
        make_module, use_module, optimize, use_data,   use_loader, differentiate};
    player p = {.next = data, .end = data + size, .ctx = qn_context_new("cpu")};
    qn_context_set_threads(p.ctx, 1);
    p.scalar = qn_parameter(p.ctx, QN_F32, QN_SCALAR);
    for (int call = 0; call < 200 && p.next < p.end; call++) {
        calls[byte(&p) % (sizeof(calls) / sizeof(*calls))](&p);
        qn_context_clear_error(p.ctx);
    }
    qn_context_free(p.ctx);
    return 0;
}

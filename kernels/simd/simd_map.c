/* simd_map.c: the walk over elementwise operands (see simd_map.h). */
#include "simd_map.h"
#include "simd_copy.h"

#include <string.h>

/* Elements of one task: enough to hide its start, few enough to balance threads. */
enum { TASK = 16384 };
/* Elements gathered at a time from operands that are not contiguous. */
enum { CHUNK = 512 };
/* From this extent on rows are walked one by one, with no element copied. */
enum { LONG_ROW = 96 };
/* From this number of elements on, operands whose inner axis is strided
 * are made contiguous first. */
enum { LARGE = 4096 };

/* How an operand is read. */
typedef enum layout {
    REPEATED,   /* one value */
    CONTIGUOUS, /* as the output */
    PERIODIC,   /* the same few elements over and over, as a bias has it */
    STRIDED
} layout;

typedef struct operand {
    const char *data;
    size_t size; /* bytes of an element */
    int64_t stride[QN_MAX_DIMS];
    layout layout;
    int64_t period; /* PERIODIC: elements */
    _Alignas(64) char splat[16 * sizeof(double)];
} operand;

typedef struct map {
    simd_span_function function;
    char *out;
    size_t out_size;
    int64_t count;
    int rank; /* after joining axes, at least 1 */
    int64_t shape[QN_MAX_DIMS];
    int inputs;
    operand in[SIMD_MAP_INPUTS];
    bool by_rows;  /* inner strides are 0 or 1, and rows long or the only axis */
    int64_t chunk; /* else: elements gathered at a time, a multiple of all periods */
} map;

/* A vector full of the element at `from`. */
static void splat(char *to, const char *from, size_t size) {
    for (int i = 0; i < V_WIDTH; i++)
        memcpy(to + (size_t)i * size, from, size);
}

/* Whether axis joins the axis inside it for every operand: stepping over all of the inner one is
 * the same as one step of the outer one. */
static bool joins(const qn_call *call, int outer, int64_t inner_extent,
                  const int64_t *inner_stride) {
    for (int k = 0; k < call->n_in; k++)
        if (call->in[k].stride[outer] != inner_stride[k] * inner_extent)
            return false;
    return true;
}

/* Shape and strides with axes of extent 1 dropped and neighbours joined where possible. The output
 * is contiguous, so the inputs alone decide. */
static void join_axes(map *m, const qn_call *call) {
    int64_t shape[QN_MAX_DIMS], stride[QN_MAX_DIMS][SIMD_MAP_INPUTS] = {{0}};
    int rank = 0; /* innermost first */
    for (int axis = call->out[0].rank - 1; axis >= 0; axis--) {
        int64_t extent = call->out[0].shape[axis];
        if (extent == 1)
            continue;
        if (rank > 0 && joins(call, axis, shape[rank - 1], stride[rank - 1])) {
            shape[rank - 1] *= extent;
            continue;
        }
        for (int k = 0; k < call->n_in; k++)
            stride[rank][k] = call->in[k].stride[axis];
        shape[rank++] = extent;
    }
    if (rank == 0)
        shape[rank++] = 1;
    m->rank = rank;
    for (int axis = 0; axis < rank; axis++) {
        m->shape[axis] = shape[rank - 1 - axis];
        for (int k = 0; k < call->n_in; k++)
            m->in[k].stride[axis] = stride[rank - 1 - axis][k];
    }
}

/* Copies `count` elements of an operand, from output position `begin` on, to `to`. */
static void gather(const map *m, const operand *in, int64_t begin, int64_t count, char *to) {
    int64_t position[QN_MAX_DIMS];
    const char *from = in->data;
    for (int axis = m->rank - 1; axis >= 0; axis--) {
        position[axis] = begin % m->shape[axis];
        begin /= m->shape[axis];
        from += position[axis] * in->stride[axis] * (int64_t)in->size;
    }
    int last = m->rank - 1;
    int64_t step = in->stride[last] * (int64_t)in->size;
    while (count > 0) {
        int64_t run = m->shape[last] - position[last];
        run = run < count ? run : count;
        count -= run;
        const char *p = from;
        if (in->size == sizeof(float)) {
            for (int64_t i = 0; i < run; i++, p += step, to += sizeof(float))
                memcpy(to, p, sizeof(float));
        } else {
            for (int64_t i = 0; i < run; i++, p += step, to += in->size)
                memcpy(to, p, in->size);
        }
        from -= position[last] * step;
        position[last] = 0;
        for (int axis = last - 1; axis >= 0; axis--) {
            int64_t outer = in->stride[axis] * (int64_t)in->size;
            from += outer;
            if (++position[axis] < m->shape[axis])
                break;
            from -= position[axis] * outer;
            position[axis] = 0;
        }
    }
}

/* Output elements begin to end, which lie in one row: inputs are used where they lie. */
static void run_row(const map *m, int64_t begin, int64_t end) {
    simd_span span = {.count = end - begin, .out = m->out + begin * (int64_t)m->out_size};
    _Alignas(64) char repeated[SIMD_MAP_INPUTS][sizeof(m->in[0].splat)];
    for (int k = 0; k < m->inputs; k++) {
        const operand *in = &m->in[k];
        int64_t offset = 0, rest = begin;
        for (int axis = m->rank - 1; axis >= 0; axis--) {
            offset += rest % m->shape[axis] * in->stride[axis];
            rest /= m->shape[axis];
        }
        span.in[k] = in->data + offset * (int64_t)in->size;
        span.step[k] = in->stride[m->rank - 1];
        if (in->layout == REPEATED) {
            span.in[k] = in->splat;
        } else if (span.step[k] == 0) {
            splat(repeated[k], span.in[k], in->size);
            span.in[k] = repeated[k];
        }
    }
    m->function(&span);
}

/* Output elements begin to end, at most a chunk: inputs that are not contiguous are
 * gathered first. A periodic one looks the same in every chunk of a task, so the task's
 * first gathers it for all. */
static void run_gathered(const map *m, int64_t begin, int64_t end, bool first,
                         char gathered[SIMD_MAP_INPUTS][CHUNK * sizeof(double)]) {
    simd_span span = {.count = end - begin, .out = m->out + begin * (int64_t)m->out_size};
    for (int k = 0; k < m->inputs; k++) {
        const operand *in = &m->in[k];
        span.step[k] = in->layout != REPEATED;
        span.in[k] = gathered[k];
        if (in->layout == REPEATED)
            span.in[k] = in->splat;
        else if (in->layout == CONTIGUOUS)
            span.in[k] = in->data + begin * (int64_t)in->size;
        else if (first || in->layout == STRIDED)
            gather(m, in, begin, end - begin, gathered[k]);
    }
    m->function(&span);
}

static void run_task(const void *arg, int64_t index) {
    const map *m = arg;
    int64_t row = m->shape[m->rank - 1], start = index * TASK;
    int64_t end = cpu_min(start + TASK, m->count);
    _Alignas(64) char gathered[SIMD_MAP_INPUTS][CHUNK * sizeof(double)];
    for (int64_t begin = start, next; begin < end; begin = next) {
        if (m->by_rows) {
            next = cpu_min(begin - begin % row + row, end);
            run_row(m, begin, next);
        } else {
            next = cpu_min(begin + m->chunk, end);
            run_gathered(m, begin, next, begin == start, gathered);
        }
    }
}

/* The layout of an operand, from its strides over the joined axes. */
static void describe_operand(const map *m, operand *in) {
    int64_t inner = 1, count = 1;
    bool contiguous = true;
    for (int axis = m->rank - 1; axis >= 0; axis--) {
        contiguous &= in->stride[axis] == count;
        count *= m->shape[axis];
        if (in->stride[axis] != 0)
            inner = count;
    }
    in->period = inner;
    in->layout = contiguous ? CONTIGUOUS : inner <= CHUNK / 2 ? PERIODIC : STRIDED;
    bool repeated = true;
    for (int axis = 0; axis < m->rank; axis++)
        repeated &= in->stride[axis] == 0;
    if (repeated) {
        in->layout = REPEATED;
        splat(in->splat, in->data, in->size);
    }
}

/* Fills in what run_row() and run_gathered() need to know of the operands. */
static void describe_operands(map *m) {
    int last = m->rank - 1;
    m->by_rows = m->rank == 1 || m->shape[last] >= LONG_ROW;
    m->chunk = CHUNK;
    for (int k = 0; k < m->inputs; k++) {
        operand *in = &m->in[k];
        describe_operand(m, in);
        m->by_rows &= in->stride[last] == 0 || in->stride[last] == 1;
        if (in->layout != PERIODIC)
            continue;
        if (m->chunk % in->period == 0 || m->chunk == CHUNK)
            m->chunk -= m->chunk % in->period;
        else
            in->layout = STRIDED;
    }
}

/* Whether an input is better copied into the output's order before the
 * walk: large, strided inside. */
static bool wants_copy(const qn_view *in) {
    int64_t inner = 0;
    for (int axis = in->rank - 1; axis >= 0 && inner == 0; axis--)
        if (in->shape[axis] > 1)
            inner = in->stride[axis];
    return inner > 1 && qn_view_count(in) >= LARGE;
}

static size_t copy_bytes(const qn_view *in) {
    return ((size_t)qn_view_count(in) * qn_dtype_size(in->dtype) + 63) / 64 * 64;
}

size_t simd_map_workspace(const qn_call *call) {
    size_t bytes = 0;
    for (int k = 0; k < call->n_in; k++)
        if (wants_copy(&call->in[k]))
            bytes += copy_bytes(&call->in[k]);
    return bytes;
}

/* The call's inputs, those that want it replaced by contiguous copies in the workspace. */
static void copy_inputs(const qn_call *call, qn_view *inputs) {
    char *workspace = call->workspace;
    for (int k = 0; k < call->n_in; k++) {
        inputs[k] = call->in[k];
        if (!wants_copy(&inputs[k]))
            continue;
        int64_t stride = 1;
        for (int axis = inputs[k].rank - 1; axis >= 0; axis--) {
            inputs[k].stride[axis] = stride;
            stride *= inputs[k].shape[axis];
        }
        inputs[k].data = workspace;
        simd_copy(call, &inputs[k], &call->in[k]);
        workspace += copy_bytes(&call->in[k]);
    }
}

qn_status simd_map_with(const qn_call *original, simd_span_function function, int cost, int count,
                        const double *parameters) {
    qn_view inputs[SIMD_MAP_INPUTS];
    qn_call copied = *original;
    const qn_call *call = &copied;
    copied.in = inputs;
    map m;
    m.count = qn_view_count(&call->out[0]);
    if (m.count == 0)
        return QN_OK;
    copy_inputs(original, inputs);
    m.function = function;
    m.out = call->out[0].data;
    m.out_size = qn_dtype_size(call->out[0].dtype);
    m.inputs = call->n_in + count;
    join_axes(&m, call);
    float single[SIMD_MAP_INPUTS];
    for (int k = 0; k < m.inputs; k++) {
        int parameter = k - call->n_in;
        if (parameter >= 0)
            single[k] = (float)parameters[parameter];
        m.in[k].data = parameter < 0 ? call->in[k].data : (const void *)&single[k];
        m.in[k].size = parameter < 0 ? qn_dtype_size(call->in[k].dtype) : sizeof(float);
        for (int axis = 0; axis < m.rank && parameter >= 0; axis++)
            m.in[k].stride[axis] = 0;
    }
    describe_operands(&m);
    simd_parallel(simd_threads(call, m.count * cost), (m.count + TASK - 1) / TASK, run_task, &m);
    return QN_OK;
}

qn_status simd_map(const qn_call *call, simd_span_function function, int cost) {
    return simd_map_with(call, function, cost, 0, NULL);
}

/* simd_map.c: the walk over elementwise operands (see simd_map.h). */
#include "simd_map.h"

#include <string.h>

/* Elements of one task: enough to hide its start, few enough to balance threads. */
enum { TASK = 16384 };
/* Elements gathered at a time from operands that are not contiguous. */
enum { CHUNK = 512 };
/* From this extent on rows are walked one by one, with no element copied. */
enum { LONG_ROW = 96 };

typedef struct operand {
    const char *data;
    size_t size; /* bytes of an element */
    int64_t stride[QN_MAX_DIMS];
    bool repeats; /* every stride is 0 */
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
    bool by_rows; /* inner strides are 0 or 1, and rows long or the only axis */
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
    _Alignas(64) char repeated[SIMD_MAP_INPUTS][sizeof m->in[0].splat];
    for (int k = 0; k < m->inputs; k++) {
        const operand *in = &m->in[k];
        int64_t offset = 0, rest = begin;
        for (int axis = m->rank - 1; axis >= 0; axis--) {
            offset += rest % m->shape[axis] * in->stride[axis];
            rest /= m->shape[axis];
        }
        span.in[k] = in->data + offset * (int64_t)in->size;
        span.step[k] = in->stride[m->rank - 1];
        if (in->repeats) {
            span.in[k] = in->splat;
        } else if (span.step[k] == 0) {
            splat(repeated[k], span.in[k], in->size);
            span.in[k] = repeated[k];
        }
    }
    m->function(&span);
}

/* Output elements begin to end, at most CHUNK: inputs are gathered first. */
static void run_gathered(const map *m, int64_t begin, int64_t end) {
    simd_span span = {.count = end - begin, .out = m->out + begin * (int64_t)m->out_size};
    _Alignas(64) char gathered[SIMD_MAP_INPUTS][CHUNK * sizeof(double)];
    for (int k = 0; k < m->inputs; k++) {
        const operand *in = &m->in[k];
        span.in[k] = in->repeats ? in->splat : gathered[k];
        span.step[k] = !in->repeats;
        if (!in->repeats)
            gather(m, in, begin, end - begin, gathered[k]);
    }
    m->function(&span);
}

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

static void run_task(const void *arg, int64_t index) {
    const map *m = arg;
    int64_t row = m->shape[m->rank - 1];
    int64_t end = smaller((index + 1) * TASK, m->count);
    for (int64_t begin = index * TASK, next; begin < end; begin = next) {
        if (m->by_rows) {
            next = smaller(begin - begin % row + row, end);
            run_row(m, begin, next);
        } else {
            next = smaller(begin + CHUNK, end);
            run_gathered(m, begin, next);
        }
    }
}

/* Fills in what run_row() and run_gathered() need to know of each operand. */
static void describe_operands(map *m) {
    int last = m->rank - 1;
    m->by_rows = m->rank == 1 || m->shape[last] >= LONG_ROW;
    for (int k = 0; k < m->inputs; k++) {
        operand *in = &m->in[k];
        in->repeats = true;
        for (int axis = 0; axis < m->rank; axis++)
            in->repeats &= in->stride[axis] == 0;
        if (in->repeats)
            splat(in->splat, in->data, in->size);
        m->by_rows &= in->stride[last] == 0 || in->stride[last] == 1;
    }
}

qn_status simd_map_with(const qn_call *call, simd_span_function function, int cost, int count,
                        const double *parameters) {
    map m = {.function = function,
             .out = call->out[0].data,
             .out_size = qn_dtype_size(call->out[0].dtype),
             .count = qn_view_count(&call->out[0]),
             .inputs = call->n_in + count};
    if (m.count == 0)
        return QN_OK;
    float single[SIMD_MAP_INPUTS];
    for (int k = 0; k < m.inputs; k++) {
        int parameter = k - call->n_in;
        if (parameter >= 0)
            single[k] = (float)parameters[parameter];
        m.in[k].data = parameter < 0 ? call->in[k].data : (const void *)&single[k];
        m.in[k].size = parameter < 0 ? qn_dtype_size(call->in[k].dtype) : sizeof(float);
    }
    join_axes(&m, call);
    describe_operands(&m);
    simd_parallel(simd_threads(call, m.count * cost), (m.count + TASK - 1) / TASK, run_task, &m);
    return QN_OK;
}

qn_status simd_map(const qn_call *call, simd_span_function function, int cost) {
    return simd_map_with(call, function, cost, 0, NULL);
}

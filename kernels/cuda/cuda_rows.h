/* cuda_rows.h: operations on lines along any axes (cuda_lines.h: along one). A line is what lies
 * along some axes of a view at one position of the others: what a reduction makes one number of.
 *
 * Long lines are cut in segments when there are too few of them to fill a GPU; what comes of the
 * segments is combined by a second kernel. */
#ifndef QN_CUDA_ROWS_H
#define QN_CUDA_ROWS_H

#include "cuda_reduce.h"
#include "cuda_walk.h"

/** Where lines start (outer), and their elements from there (inner), in several views. */
struct cuda_rows {
    cuda_walk outer, inner;
};

/** A view with extent 1 along the axes that are not among `axes`. */
inline qn_view lines_part(const qn_view *view, uint32_t axes) {
    qn_view part = *view;
    for (int axis = 0; axis < view->rank; axis++)
        if (!(axes >> axis & 1))
            part.shape[axis] = 1;
    return part;
}

/** The lines along a set of axes, as bits, of views of the first one's shape. */
inline cuda_rows cuda_rows_of(int views, const qn_view *const *view, uint32_t axes) {
    qn_view outer = lines_part(view[0], ~axes), inner = lines_part(view[0], axes);
    const qn_view *at[WALK_VIEWS] = {};
    for (int i = 1; i < views; i++)
        at[i] = view[i];
    cuda_rows lines;
    at[0] = &outer;
    lines.outer = cuda_walk_of(views, at);
    at[0] = &inner;
    lines.inner = cuda_walk_of(views, at);
    return lines;
}

/** A view of fewer axes, or one that is absent, as one of x's rank that stands still along all axes
 * of x but those from `first` on. */
inline qn_view lines_spread(const qn_view *view, const qn_view *x, int first) {
    qn_view spread = *x;
    spread.data = view->data;
    for (int axis = 0; axis < x->rank; axis++) {
        bool moves = view->data && axis >= first && axis < first + view->rank;
        spread.stride[axis] = moves ? view->stride[axis - first] : 0;
    }
    return spread;
}

/** Offsets in `views` views of element `i` of a walk, most often one along a single axis. */
template <int views>
__device__ inline void lines_at(const cuda_walk &walk, int64_t i, int64_t *at) {
    if (walk.rank != 1) {
        cuda_walk_at<views>(walk, i, at);
        return;
    }
    for (int v = 0; v < views; v++)
        at[v] = i * walk.stride[v][0];
}

/* ---- who works on a line --------------------------------------------------------------------- */

/** The size of the team for a line: a thread where neighbouring lines are neighbours in view 0, or
 * for the shortest; a warp for short ones, a block for long ones. */
inline int lines_team(const cuda_rows &lines) {
    const cuda_walk &outer = lines.outer, &inner = lines.inner;
    bool across = outer.rank > 0 && outer.stride[0][outer.rank - 1] == 1 &&
                  outer.shape[outer.rank - 1] >= GPU_WARP;
    if (inner.count <= 4 || (across && outer.count >= 4096))
        return TEAM_THREAD;
    return inner.count <= 1024 ? TEAM_WARP : TEAM_BLOCK;
}

/** How lines are cut for a reduction. Follows from shapes and strides alone. */
struct lines_cut {
    int team;
    int64_t segments, length; /**< segments of each line, and the length of all but the last */
};

inline lines_cut lines_cut_of(const cuda_rows &lines) {
    const cuda_walk &outer = lines.outer, &inner = lines.inner;
    bool across = outer.rank > 0 && outer.stride[0][outer.rank - 1] == 1 &&
                  outer.shape[outer.rank - 1] >= GPU_WARP;
    int team = across ? TEAM_THREAD : lines_team(lines);
    int64_t wanted = team == TEAM_THREAD ? 65536 : 512, least = team == TEAM_THREAD ? 64 : 4096;
    int64_t segments = outer.count > 0 ? wanted / outer.count : 1;
    if (segments > inner.count / least)
        segments = inner.count / least;
    if (segments < 1)
        segments = 1;
    return lines_cut{team, segments, (inner.count + segments - 1) / segments};
}

/* ---- reductions ------------------------------------------------------------------------------ */

/* A reduction R<T> has: types value (of a shuffle) and accumulator with add(T) and value();
 * functions map(x, line), start(), nothing() (what changes no value), r(a, b), and store(line,
 * value) for the result. */

template <class T, class R> struct lines_reduce_first {
    cuda_rows lines;
    lines_cut cut;
    R r;
    const T *x;
    typename R::value *partial; /**< [segments, lines], where there are several */

    template <int team> __device__ void run(int64_t item, int lane) const {
        const int64_t line = item % lines.outer.count, segment = item / lines.outer.count;
        const int64_t begin = segment * cut.length;
        const int64_t end =
            begin + cut.length < lines.inner.count ? begin + cut.length : lines.inner.count;
        int64_t start, at;
        lines_at<1>(lines.outer, line, &start);
        typename R::accumulator part = r.start();
        for (int64_t i = begin + lane; i < end; i += team) {
            lines_at<1>(lines.inner, i, &at);
            part.add(r.map(x[start + at], line));
        }
        typename R::value value = team_reduce<team>((typename R::value)part.value(), r);
        if (lane > 0)
            return;
        if (cut.segments == 1)
            r.store(line, value);
        else
            partial[item] = value;
    }
};

template <class R> struct lines_reduce_second {
    int64_t lines, segments;
    R r;
    const typename R::value *partial;

    template <int team> __device__ void run(int64_t line, int lane) const {
        typename R::value value = partial[(lane < segments ? lane : 0) * lines + line];
        value = lane < segments ? value : r.nothing();
        for (int64_t i = lane + team; i < segments; i += team)
            value = r(value, partial[i * lines + line]);
        value = team_reduce<team>(value, r);
        if (lane == 0)
            r.store(line, value);
    }
};

/** Bytes of workspace for a reduction of lines. */
inline size_t lines_workspace(const cuda_rows &lines) {
    const int64_t segments = lines_cut_of(lines).segments;
    return segments == 1 ? 0 : (size_t)(segments * lines.outer.count) * sizeof(double);
}

/** Reduces every line of x. */
template <class T, class R>
inline qn_status lines_reduce(const qn_call *call, const cuda_rows &lines, const void *x, R r,
                              void *workspace) {
    const lines_cut cut = lines_cut_of(lines);
    auto *partial = (typename R::value *)workspace;
    lines_reduce_first<T, R> first{lines, cut, r, (const T *)x, partial};
    qn_status status = team_launch(call, cut.team, cut.segments * lines.outer.count, first);
    if (status != QN_OK || cut.segments == 1)
        return status;
    lines_reduce_second<R> second{lines.outer.count, cut.segments, r, partial};
    return team_launch(call, TEAM_WARP, lines.outer.count, second);
}

#endif

/* amx_field.c: phases of a padded image (see amx_field.h). */
#include "amx_field.h"

amx_field qnk_amx_field_of(const int64_t out[2], const int64_t taps[2], const int64_t stride[2],
                           const int64_t dilation[2], const int64_t padding[2]) {
    amx_field f;
    int64_t reach[2];
    for (int i = 0; i < 2; i++) {
        f.taps[i] = taps[i];
        f.stride[i] = stride[i];
        f.dilation[i] = dilation[i];
        f.padding[i] = padding[i];
        f.phases[i] = taps[i] > 1 ? stride[i] : 1;
        reach[i] = (taps[i] - 1) * dilation[i] / stride[i];
        f.extent[i] = out[i] + reach[i];
    }
    f.positions = amx_round_up(out[0] * f.extent[1], AMX_SIDE);
    f.length = f.positions + reach[0] * f.extent[1] + reach[1] + AMX_SIDE;
    return f;
}

amx_tap qnk_amx_tap_at(const amx_field *f, int64_t tap) {
    const int64_t row = tap / f->taps[1] * f->dilation[0], col = tap % f->taps[1] * f->dilation[1];
    return (amx_tap){.phase = row % f->stride[0] * f->phases[1] + col % f->stride[1],
                     .shift = row / f->stride[0] * f->extent[1] + col / f->stride[1]};
}

amx_image qnk_amx_phase_image(const amx_field *f, int64_t phase, amx_image image,
                              amx_planes *layout) {
    const int64_t start[2] = {phase / f->phases[1], phase % f->phases[1]};
    for (int i = 0; i < 2; i++) {
        const int64_t before = f->padding[i] - start[i]; /* rows of zeros, on the padded image */
        const int64_t skipped = before > 0 ? amx_ceil_div(before, f->stride[i]) : 0;
        const int64_t first = skipped * f->stride[i] - before;
        const int64_t there = amx_ceil_div(image.extent[1 + i] - first, f->stride[i]);
        const int64_t room = f->extent[i] - skipped;
        image.data += first * image.stride[1 + i];
        image.extent[1 + i] = cpu_min(there < 0 ? 0 : there, room < 0 ? 0 : room);
        image.stride[1 + i] *= f->stride[i];
        layout->padding[i] = skipped;
    }
    return image;
}

bool qnk_amx_field_is_dense(const amx_field *f, const int64_t out[2]) {
    return out[0] > 0 && out[1] > 0 && f->taps[0] > 0 && f->taps[1] > 0 &&
           2 * out[0] * out[1] >= f->positions;
}

/* augment.h: random changes to images, for the loader. */
#ifndef QUERN_AUGMENT_H
#define QUERN_AUGMENT_H

#include "quern.h"

/** Whether an augmentation changes anything. */
bool qni_augment_active(const qn_augment *amounts);

/** Floats of scratch that images of this shape [c, h, w] need. */
size_t qni_augment_scratch(qn_shape shape);

/** Which sample is drawn for: the change depends on these and the amounts alone. */
typedef struct qni_draw {
    uint64_t seed;
    int64_t epoch, index;
} qni_draw;

/** Writes `image`, [c, h, w], to `out`, turned, scaled, sheared and shifted at random. Where the
 * source lies outside the image it has the value `background`. */
void qni_augment_image(const qn_augment *amounts, qni_draw draw, qn_shape shape, float background,
                       const float *image, float *scratch, float *out);

#endif

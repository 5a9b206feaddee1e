/* tensorboard_histogram.c: counts of values in TensorBoard's exponential buckets. */
#include <float.h>
#include <math.h>

#include "tensorboard_file.h"

void qni_histogram_begin(qni_histogram *histogram) {
    enum { ZERO = QNI_POSITIVE_LIMITS + 1 };
    *histogram = (qni_histogram){.buckets = QNI_BUCKETS, .least = INFINITY, .most = -INFINITY};
    double *limits = histogram->limits, limit = 1e-12;
    limits[ZERO] = 0;
    for (int i = 1; i <= QNI_POSITIVE_LIMITS; i++, limit *= 1.1) {
        limits[ZERO + i] = limit;
        limits[ZERO - i] = -limit;
    }
    limits[QNI_BUCKETS - 1] = DBL_MAX;
    limits[0] = -DBL_MAX;
}

/** The first bucket whose limit is above a value; the last one where none is. */
static int bucket_of(const qni_histogram *histogram, double value) {
    int low = 0, high = QNI_BUCKETS - 1;
    while (low < high) {
        int middle = (low + high) / 2;
        if (histogram->limits[middle] > value)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

void qni_histogram_add(qni_histogram *histogram, double value) {
    if (!isfinite(value))
        return;
    histogram->counts[bucket_of(histogram, value)]++;
    histogram->least = fmin(histogram->least, value);
    histogram->most = fmax(histogram->most, value);
    histogram->count++;
    histogram->sum += value;
    histogram->square_sum += value * value;
}

void qni_histogram_pack(qni_histogram *histogram) {
    int packed = 0;
    for (int i = 0; i < histogram->buckets; i++) {
        bool joins = packed > 0 && histogram->counts[i] == 0 && histogram->counts[packed - 1] == 0;
        packed -= joins; /* takes the place of the empty bucket before it */
        histogram->limits[packed] = histogram->limits[i];
        histogram->counts[packed++] = histogram->counts[i];
    }
    histogram->buckets = packed;
    if (histogram->count == 0)
        histogram->least = histogram->most = 0;
}

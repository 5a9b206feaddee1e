/* tensorboard_file.h: the parts of an events file: records, and
 * histograms before they are packed. */
#ifndef QUERN_TENSORBOARD_FILE_H
#define QUERN_TENSORBOARD_FILE_H

#include "quern.h"

/** Bytes of a record around its data: length and checksum before, checksum after. */
enum { QNI_RECORD_HEAD = 12, QNI_RECORD_TAIL = 4 };

/** Fills head and tail of a TFRecord around the `bytes` of data at record + QNI_RECORD_HEAD. */
void qni_record_close(uint8_t *record, size_t bytes);

/** Limits above 0, and of all buckets: the same below 0, 0, and the largest double either way. */
enum { QNI_POSITIVE_LIMITS = 774, QNI_BUCKETS = 2 * QNI_POSITIVE_LIMITS + 3 };

/** Counts of values by TensorBoard's buckets, whose limits grow by a tenth from 1e-12 to 1e20. */
typedef struct qni_histogram {
    double limits[QNI_BUCKETS], counts[QNI_BUCKETS];
    int buckets; /**< in use; fewer after qni_histogram_pack() */
    double least, most, count, sum, square_sum;
} qni_histogram;

void qni_histogram_begin(qni_histogram *histogram);
/** Counts a value; one that is not finite is left out. */
void qni_histogram_add(qni_histogram *histogram, double value);
/** Makes each run of empty buckets one, as TensorFlow's files have it;
 * nothing can be added then. */
void qni_histogram_pack(qni_histogram *histogram);

#endif

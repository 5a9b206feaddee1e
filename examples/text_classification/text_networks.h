/* text_networks.h: the networks that classify texts. */
#ifndef TEXT_NETWORKS_H
#define TEXT_NETWORKS_H

#include <quern.h>

/** What a network is made for. */
typedef struct text_sizes {
    int64_t tokens;      /**< numbers that a text's tokens may have: rows of the embedding */
    int64_t width;       /**< of the embedding */
    int64_t classes;     /**< outputs */
    int64_t max_length;  /**< tokens of the longest text; only "transformer" needs it */
    double word_dropout; /**< "cnn": of the embedded words */
} text_sizes;

/** The network "cnn", "fasttext", "lstm" or "transformer": token numbers i64 [n, length], 0 behind
 * each text's end, to f32 [n, classes]. What it gives for a text does not depend on how far it is
 * padded. NULL or not whole with the error on the context. */
qn_module *text_network(qn_context *ctx, const char *model, const text_sizes *sizes);

#endif

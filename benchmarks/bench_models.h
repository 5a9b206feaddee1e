/* bench_models.h: the models that can be measured. */
#ifndef QUERN_BENCH_MODELS_H
#define QUERN_BENCH_MODELS_H

#include <quern.h>

/** What a model is trained on. */
typedef enum bench_family { BENCH_IMAGES, BENCH_TEXTS, BENCH_SERIES, BENCH_FAMILIES } bench_family;

/** A model with what a training step of it needs. */
typedef struct bench_task {
    qn_dataset *data;
    qn_module *net;
    qn_loss_fn loss;
    int64_t length_multiple; /**< of the loader; 0: its own */
} bench_task;

typedef struct bench_model bench_model;
struct bench_model {
    const char *name;    /**< "lenet", "text/lstm" */
    const char *network; /**< what its example calls it */
    bench_family family;
    int64_t batch_size; /**< that it is usually trained with */
    int64_t width;      /**< texts: of the embedding */
    /** Fills the task from a folder or a file of the family's data; what
     * failed is on the context. */
    void (*make)(qn_context *ctx, const bench_model *model, const char *data, bench_task *task);
};

/** A model by position, NULL past the last. */
const bench_model *bench_model_at(int index);
/** A model by name, NULL if there is none. */
const bench_model *bench_model_find(const char *name);

#endif

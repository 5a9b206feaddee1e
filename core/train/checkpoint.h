/* checkpoint.h: what the two files of checkpoints share, the writing one and the reading one. */
#ifndef QUERN_CHECKPOINT_H
#define QUERN_CHECKPOINT_H

#include "fit.h"

/** Version of what is written, under the key that marks a checkpoint. */
#define QNI_CHECKPOINT_KEY "quern.checkpoint"
#define QNI_CHECKPOINT_VERSION "1"
/** Keys of what a run was made with: its own settings, the program's, and its data. */
#define QNI_CHECKPOINT_SETTING "setting."
#define QNI_CHECKPOINT_PROGRAM "program."
#define QNI_CHECKPOINT_TRAIN_DATA "training data"
#define QNI_CHECKPOINT_VALIDATION_DATA "validation data"
/** "1" once a run has come to its end. */
#define QNI_CHECKPOINT_FINISHED "finished"
/** What is added to the name of the generation before. */
#define QNI_CHECKPOINT_PREVIOUS ".previous"

enum { QNI_CHECKPOINT_NAME_SIZE = 256 };

/** Tensors under names with prefixes. */
typedef struct qni_checkpoint_tensors {
    qn_named_tensor *tensors;
    char (*names)[QNI_CHECKPOINT_NAME_SIZE];
    int count;
} qni_checkpoint_tensors;

/** The model's tensors under their own names or, of the whole state, all with prefixes. */
qn_status qni_checkpoint_collect(const qni_fit *fit, bool whole, qni_checkpoint_tensors *list);
void qni_checkpoint_tensors_free(qni_checkpoint_tensors *list);
/** The name of the generation before `path`, as text to be freed; NULL and an error if memory is
 * out. */
char *qni_checkpoint_previous(const qni_fit *fit, const char *path);
/** Whether a file is an open checkpoint of this version. */
bool qni_checkpoint_known(const qn_tensor_file *file);

#endif

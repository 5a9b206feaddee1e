/* cudnn_plans.c: what cuDNN's kernels keep in a queue. */
#include <stdlib.h>

#include "cuda_queue.h"

void qnk_cudnn_forget(cuda_queue *queue) {
    free(queue->cudnn_plans);
    queue->cudnn_plans = NULL;
}

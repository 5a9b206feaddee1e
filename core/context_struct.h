/* context_struct.h: a context, and the kernels of its device. */
#ifndef QUERN_CONTEXT_STRUCT_H
#define QUERN_CONTEXT_STRUCT_H

#include "operation.h"
#include "plan_hooks.h"
#include "pool.h"
#include "providers.h"
#include "tape.h"

/** What a context destroys at its end, in a list from the youngest on (objects.c). */
typedef struct qni_owned qni_owned;
struct qni_owned {
    void *object;
    void (*destroy)(void *object);
    qni_owned *older, *younger;
    bool header; /**< it begins a qni_object */
};

/** What stands before the memory of an object (objects.c). */
typedef struct qni_object qni_object;

/** Memory for what lives until the step's end: handed out in order, taken back all at once. */
typedef struct qni_chunk qni_chunk;
typedef struct qni_arena {
    qni_chunk *first, *current;
} qni_arena;
void *qni_arena_take(qni_arena *arena, size_t bytes);
void qni_arena_reset(qni_arena *arena);
void qni_arena_free(qni_arena *arena);

/** Room for a message, and for the name of a kind of device. */
enum { QNI_MESSAGE_SIZE = 512, QNI_KIND_SIZE = 32 };

/** Whether a list separated by commas has this word (registry.c). */
bool qni_list_has(const char *list, const char *word);

/** A backend from a shared object, and the library's own copy of its struct (plugin.c). */
typedef struct qni_plugin {
    void *object; /**< as dlopen() gave it; NULL: none is loaded */
    qn_backend backend;
} qni_plugin;

/** The CPU beside another device, for what that has no kernel for (fallback.c). */
typedef struct qni_fallback_host {
    const qn_backend *backend; /**< NULL on the CPU itself */
    void *device;
    qni_kernels *kernels;
} qni_fallback_host;

struct qn_context {
    const qn_backend *backend; /**< NULL when the device could not be opened */
    void *device;
    char name[48]; /**< "cpu", "cuda:0" */
    int threads;
    qn_precision precision; /**< of products and convolutions */
    qni_kernels *kernels;   /**< of its providers (providers.c) */
    qni_plugin plugin;      /**< where the backend comes from, if not from the library */
    qni_fallback_host host;
    size_t fallbacks;              /**< calls that ran on the host */
    char notice[QNI_MESSAGE_SIZE]; /**< why "auto" passed over a device */
    bool log_dispatch;             /**< QUERN_LOG names "dispatch" */

    qn_status status; /**< first failure */
    char message[QNI_MESSAGE_SIZE];

    size_t read_limit;  /**< of files whose size is not known before; 0: by the memory */
    size_t calls;       /**< calls for which a kernel was looked for */
    qni_trace *trace;   /**< the step that is being recorded; NULL: none */
    uint64_t traces;    /**< recordings so far */
    uint64_t structure; /**< changes when memory that plans know is left or moved */
    uint64_t settings;  /**< a sum over those that plans depend on (qn_plan_setting) */
    bool eager;         /**< plans are not made, nor replayed */
    bool unfused;       /**< plans run call by call */

    qni_pool pool;
    qni_storage *workspace; /**< scratch of the largest call so far */

    qni_list step, kept;   /**< tensors of the step, and of the context */
    qni_dead dead;         /**< structs of tensors that died */
    qni_writes writes;     /**< to what derivatives read */
    int in_plan;           /**< how many plans' steps run, one within the other */
    bool debug;            /**< QUERN_DEBUG=1 */
    const qn_place *place; /**< the layer whose forward pass runs; NULL: none */
    qni_node *tape;        /**< last call recorded */
    qni_arena arena;       /**< nodes and their attributes */
    bool grad_enabled;
    qn_tensor *random; /**< i64 [2]: key and counter, in device memory */

    qni_owned *youngest;          /**< of what it owns */
    qni_object *gone, *last_gone; /**< destroyed objects, from the oldest on */
    int gone_count;               /**< of those */
    bool freed;                   /**< only the error is left of it */
};

/** Destroys all that a context owns, the youngest first. */
void qni_owned_destroy(qn_context *ctx);
/** Frees what is left of the objects that are gone. */
void qni_objects_forget(qn_context *ctx);

/** Opens a device by name and fills backend, device, name and kernels. */
qn_status qni_registry_open(qn_context *ctx, const char *device);
void qni_registry_close(qn_context *ctx);
/** The first of a device's kernels that accepts the call, which then has its provider's state; NULL
 * and the last one's reason (dispatch.c). */
const qn_kernel *qni_choose(const qn_context *ctx, const qni_kernels *kernels, const qni_op *op,
                            qn_call *call, const char **reason);
/** Runs a call for which the device has no kernel on the host; `why` it has none (fallback.c). */
qn_status qni_fallback(qn_context *ctx, const qni_op *op, qn_call *call, const char *why);
/** Whether QUERN_LOG, a list separated by commas, names `topic`. */
bool qni_log_wants(const char *topic);
/** The context's random state tensor, made at first use; NULL and an error when memory is out. */
qn_tensor *qni_random(qn_context *ctx);
/** Fills x with random numbers by `op`, uniform or normal; and the same for a new tensor. */
qn_status qni_fill_random(const qni_op *op, qn_tensor *x, const qn_range_attrs *attrs);
qn_tensor *qni_new_random(const qni_op *op, qn_context *ctx, qn_dtype dtype, qn_shape shape,
                          const qn_range_attrs *attrs);

#endif

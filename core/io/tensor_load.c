/* tensor_load.c: from a safetensors file into tensors that are there: one, or a whole module's. */
#include <stdlib.h>
#include <string.h>

#include "safetensors.h"

/* The entry for a tensor, -1 and an error if it is not there or differs in dtype or shape. */
static int match_entry(const qn_tensor_file *file, const char *name, const qn_tensor *tensor) {
    qn_context *ctx = qn_tensor_context(tensor);
    const char *path = qni_tensor_file_path(file);
    int index = qni_tensor_file_find(file, name);
    if (index < 0) {
        qn_context_fail(ctx, QN_BAD_FORMAT, "%s: there is no tensor \"%s\"", path, name);
        return -1;
    }
    qn_tensor_entry found = qn_tensor_file_entry(file, index);
    qn_dtype dtype = qn_tensor_dtype(tensor);
    qn_shape shape = qn_tensor_shape(tensor);
    const bool fits = qni_tensor_file_has(file, index, dtype);
    if (!fits || !qn_shape_equal(found.shape, shape)) {
        qn_context_fail(ctx, !fits ? QN_DTYPE_MISMATCH : QN_SHAPE_MISMATCH,
                        "%s: tensor \"%s\" is %s %s, expected %s %s", path, name,
                        qn_dtype_string(found.dtype), qn_shape_text(found.shape).s,
                        qn_dtype_string(dtype), qn_shape_text(shape).s);
        return -1;
    }
    return index;
}

qn_status qn_tensor_file_read(qn_tensor_file *file, const char *name, qn_tensor *out) {
    if (!file || !name || !out) {
        return qn_context_fail(file ? qni_tensor_file_context(file) : qn_tensor_context(out),
                               QN_INVALID_ARGUMENT, "tensor_file_read: %s is NULL",
                               !file  ? "the file"
                               : name ? "the tensor"
                                      : "the name");
    }
    if (!qn_object_alive(file, "tensor_file_read"))
        return QN_INVALID_ARGUMENT;
    qn_context *ctx = qn_tensor_context(out);
    int index = match_entry(file, name, out);
    if (index < 0)
        return qn_context_error(ctx, NULL);
    const qn_dtype dtype = qn_tensor_dtype(out);
    size_t bytes = qni_tensor_file_bytes(file, index, dtype);
    void *data = malloc(bytes ? bytes : 1);
    if (!data) {
        return qn_context_fail(ctx, QN_OUT_OF_MEMORY, "%s: out of memory for tensor \"%s\"",
                               qni_tensor_file_path(file), name);
    }
    qn_status status = qni_tensor_file_fetch(file, index, dtype, data);
    if (status == QN_OK)
        status = qn_tensor_write(out, data, bytes);
    free(data);
    return status;
}

/* ---- modules --------------------------------------------------------------------------------- */

/* Whether an entry is what PyTorch's batch normalisation counts its batches with, and no result
 * depends on. */
static bool is_batch_count(const qn_tensor_entry *found) {
    const char *dot = strrchr(found->name, '.');
    return found->dtype == QN_I64 && found->shape.rank == 0 &&
           strcmp(dot ? dot + 1 : found->name, "num_batches_tracked") == 0;
}

/* Checks that file and module have the same tensors; counts their bytes. */
static qn_status match_module(const qn_module *module, const qn_tensor_file *file, size_t *bytes) {
    qn_context *ctx = qn_module_context(module);
    int count = qn_module_tensor_count(module);
    *bytes = 0;
    for (int i = 0; i < count; i++) {
        qn_named_tensor named = qn_module_tensor(module, i);
        int index = match_entry(file, named.name, named.tensor);
        if (index < 0)
            return qn_context_error(ctx, NULL);
        *bytes += qni_tensor_file_bytes(file, index, qn_tensor_dtype(named.tensor));
    }
    for (int i = 0; i < qn_tensor_file_count(file); i++) {
        const qn_tensor_entry found = qn_tensor_file_entry(file, i);
        if (!qn_module_find(module, found.name) && !is_batch_count(&found))
            return qn_context_fail(ctx, QN_BAD_FORMAT, "%s: the module has no tensor \"%s\"",
                                   qni_tensor_file_path(file), found.name);
    }
    return QN_OK;
}

/* Reads all tensors of a module to host memory, one after the other. */
static qn_status fetch_module(const qn_module *module, qn_tensor_file *file, char *data) {
    qn_status status = QN_OK;
    for (int i = 0; status == QN_OK && i < qn_module_tensor_count(module); i++) {
        const qn_named_tensor named = qn_module_tensor(module, i);
        const qn_dtype dtype = qn_tensor_dtype(named.tensor);
        const int index = qni_tensor_file_find(file, named.name);
        status = qni_tensor_file_fetch(file, index, dtype, data);
        data += qni_tensor_file_bytes(file, index, dtype);
    }
    return status;
}

static qn_status write_module(const qn_module *module, const char *data) {
    qn_status status = QN_OK;
    for (int i = 0; status == QN_OK && i < qn_module_tensor_count(module); i++) {
        qn_tensor *tensor = qn_module_tensor(module, i).tensor;
        size_t bytes = (size_t)qn_tensor_count(tensor) * qn_dtype_bytes(qn_tensor_dtype(tensor));
        status = qn_tensor_write(tensor, data, bytes);
        data += bytes;
    }
    return status;
}

qn_status qn_load(qn_module *module, const char *path) {
    qn_context *ctx = qn_module_context(module);
    if (!ctx)
        return QN_INVALID_ARGUMENT;
    qn_tensor_file *file = qn_tensor_file_open(ctx, path);
    if (!file)
        return qn_context_error(ctx, NULL);
    size_t bytes;
    char *data = NULL;
    qn_status status = match_module(module, file, &bytes);
    if (status == QN_OK && !(data = malloc(bytes ? bytes : 1))) {
        status =
            qn_context_fail(ctx, QN_OUT_OF_MEMORY, "%s: out of memory for %zu bytes", path, bytes);
    }
    if (status == QN_OK)
        status = fetch_module(module, file, data);
    if (status == QN_OK) { /* from here on nothing can be missing */
        status = write_module(module, data);
    }
    free(data);
    qn_tensor_file_free(file);
    return status;
}

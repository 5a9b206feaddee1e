/* quern/files.h: files.
 *
 * Models and named tensors as safetensors, and event files for TensorBoard:
 *
 *     qn_save(net, "model.safetensors");
 *     qn_load(net, "model.safetensors"); // into a module with the same layers
 */
#ifndef QUERN_FILES_H
#define QUERN_FILES_H

#include "quern/nn.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- safetensors ----------------------------------------------------------------------------- */

/** An open safetensors file. */
typedef struct qn_tensor_file qn_tensor_file;
/** An open event file of TensorBoard. */
typedef struct qn_tensorboard qn_tensorboard;

/** Saves a module's tensors as safetensors, written aside and renamed: a kill at any moment leaves
 * the old or the new file whole. See qn_tensors_write(). */
QN_API qn_status qn_save(const qn_module *module, const char *path);
/** Loads a module's tensors by name. Names, shapes and dtypes must match;
 * else nothing is changed. Types that others store (BOOL, I8, I16, U16, U32) count as the least of
 * ours that has all their values, here and below: u8, i32, i32, i32, i64. BF16 and F16 are read as
 * they are, or as f32. PyTorch's "num_batches_tracked" is passed over. */
QN_API qn_status qn_load(qn_module *module, const char *path);

/** Writes a whole file of bytes as qn_save() does: aside, then renamed. */
QN_API qn_status qn_file_write(qn_context *ctx, const char *path, const void *data, size_t bytes);

/** A key and its value, as safetensors' "__metadata__" has them. */
typedef struct qn_metadata {
    const char *key, *value;
} qn_metadata;

/** Writes named tensors and metadata as safetensors, whole or not at all. Checksums of the header
 * and of each tensor are added to the metadata ("quern.checksum.*"), so that damage is noticed on
 * reading. A symbolic link is followed, and the mode of the file that is replaced stays. */
QN_API qn_status qn_tensors_write(qn_context *ctx, const char *path, const qn_named_tensor *tensors,
                                  int count, const qn_metadata *metadata, int metadata_count);
/** Opens a safetensors file; NULL on failure. */
QN_API qn_tensor_file *qn_tensor_file_open(qn_context *ctx, const char *path);
QN_API void qn_tensor_file_free(qn_tensor_file *file);
QN_API int qn_tensor_file_count(const qn_tensor_file *file);
/** Name, dtype and shape of an entry; name NULL past the last. */
typedef struct qn_tensor_entry {
    const char *name;
    qn_dtype dtype;
    qn_shape shape;
} qn_tensor_entry;
QN_API qn_tensor_entry qn_tensor_file_entry(const qn_tensor_file *file, int index);
/** Copies an entry into a tensor of its shape and dtype, BF16 and F16 into one of f32 as well. */
QN_API qn_status qn_tensor_file_read(qn_tensor_file *file, const char *name, qn_tensor *out);
/** Reads all of the file and holds it against its checksums: BAD_FORMAT where a byte is not as it
 * was written. (The header is checked when a file is opened, a tensor whenever it is read.) A file
 * without checksums, as other programs write them, passes when its tensors can be read. */
QN_API qn_status qn_tensor_file_verify(qn_tensor_file *file);
/** Whether a file has checksums. */
QN_API bool qn_tensor_file_has_checksums(const qn_tensor_file *file);
/** The metadata value of a key, NULL if there is none. */
QN_API const char *qn_tensor_file_metadata(const qn_tensor_file *file, const char *key);

/* ---- TensorBoard's event files ---------------------------------------------------------------
 *
 * `tensorboard --logdir FOLDER` draws them in a browser. */

/** Begins a file events.out.tfevents.<time>.<host>.<n> in a folder, which is made where it is
 * missing. NULL on failure, which is UNSUPPORTED where the library was built without protobuf-c. */
QN_API qn_tensorboard *qn_tensorboard_open(qn_context *ctx, const char *folder);
QN_API void qn_tensorboard_free(qn_tensorboard *log);
/** A point of the curve `tag`, at a step (or epoch). A slash groups: "loss/train". */
QN_API qn_status qn_tensorboard_scalar(qn_tensorboard *log, const char *tag, int64_t step,
                                       double value);
/** How the elements of x are spread; those that are not finite are left out. */
QN_API qn_status qn_tensorboard_histogram(qn_tensorboard *log, const char *tag, int64_t step,
                                          const qn_tensor *x);
/** A text, shown as Markdown. */
QN_API qn_status qn_tensorboard_text(qn_tensorboard *log, const char *tag, int64_t step,
                                     const char *text);

#ifdef __cplusplus
}
#endif

#endif

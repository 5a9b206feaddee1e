/* quern.h: Quern, a small deep-learning training framework. Including this is enough for any
 * program.
 *
 * It is a page of contents; the chapters teach in order, and each can be included alone:
 *   quern/context.h   one device, one stream of work, one error
 *   quern/tensor.h    what is computed on, and views of it
 *   quern/ops.h       elementwise, reductions, products, losses, convolution, attention, ...
 *   quern/grad.h      the tape and the backward pass
 *   quern/nn.h        layers with named parameters
 *   quern/optim.h     what moves the parameters, and how fast
 *   quern/plan.h      a step recorded once and replayed
 *   quern/data.h      datasets, images, the prefetching loader
 *   quern/text.h      labelled texts
 *   quern/series.h    time series
 *   quern/files.h     safetensors, TensorBoard's event files
 *   quern/train.h     qn_fit: the loop with progress, checkpoints, log and report
 *   quern/author.h    for modules, optimizers and loops of your own
 *   quern/types.h     statuses, dtypes, limits: what backends know, too
 *   quern/random.h    Philox4x32-10, the random numbers of all of them
 *
 * Rules that hold everywhere:
 * - Ownership. What you make (contexts, parameters, modules, optimizers, datasets, loaders) belongs
 *   to its context and goes with it; each has a `_free` for earlier, and `_free(NULL)` is fine.
 *   What another reads (the dataset of a loader, the series of windows) stays until that is freed,
 *   too. Freeing twice, and any use of what was freed, is an error in words, as long as fewer than
 *   1024 objects of its context were freed after it; with QUERN_DEBUG=1 in the environment always.
 *   Other tensors belong to the current step and are gone at qn_step_end(), unless kept with
 *   qn_keep().
 *   A tensor used after it is gone is an error in words, as long as nothing has taken its place: a
 *   place is not given away before 256 more tensors have gone, and twice as many as the largest
 *   step held at its end. A handle older than that may name another tensor, in silence; with
 *   QUERN_DEBUG=1 in the environment no place is given away. What is used after its context was
 *   freed finds that context with an error on it, as long as fewer than 8 contexts were freed after
 *   it, and of its tensors the 256 that went last. Beyond that nothing can notice.
 * - Errors. Calls that can fail return a status, or a pointer that is NULL; NULL in gives NULL out,
 *   and an error on the context if another argument tells which that is.
 *   The first failure stays on the context with the operation, the shapes and the reason, so a
 *   chain of calls is checked once, with qn_context_error(). Within a module's forward pass its
 * path stands before ("net.3.linear: linear: ..."). QUERN_DEBUG=1 in the environment prints every
 *   error where it happens, and fills the memory of tensors that are gone with NaN. The library
 * never exits or aborts, and prints only what was asked for.
 * - Threads. A context and all it owns is used by one thread at a time; contexts are independent.
 * - Options. Start an option struct from zeros and set what you want: a field that is zero has its
 *   default, and NULL in place of the struct means all defaults. Structs only grow at their end,
 * and zero in a new field means what the library did before. They carry no size: a program and the
 *   library must be of one minor version until 1.0, and the soname (libquern.so.0.1) sees to it.
 */
#ifndef QUERN_H
#define QUERN_H

#include "quern/author.h"
#include "quern/context.h"
#include "quern/files.h"
#include "quern/grad.h"
#include "quern/nn.h"
#include "quern/ops.h"
#include "quern/plan.h"
#include "quern/random.h"
#include "quern/tensor.h"
#include "quern/types.h"

/* Rooms that a library which only runs models is built without. */
#if __has_include("quern/data.h")
#include "quern/data.h"
#include "quern/series.h"
#include "quern/text.h"
#endif
#if __has_include("quern/optim.h")
#include "quern/optim.h"
#endif
#if __has_include("quern/train.h")
#include "quern/train.h"
#endif

#endif

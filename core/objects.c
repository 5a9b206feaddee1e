/* objects.c: what programs hold by a pointer (modules, loaders, series): its life, and what is left
 * of it, so that one that is used after it was freed is told from a good one.
 *
 * The memory of an object outlives it: it waits in a line of its context, and goes back to the
 * system when as many objects have been freed after it. */
#include <stdalign.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

/* So many objects that are gone wait, with QUERN_DEBUG=1 all. */
enum { MOST_GONE = 1024 };

struct qni_object {
    qni_owned owned; /* `object` is NULL once nobody owns it */
    qn_context *ctx;
    const char *kind;
    qni_object *next_gone;
    int holders;
    bool freed; /* by the program: it goes with the last holder */
    bool gone;  /* destroyed */
    alignas(max_align_t) char memory[];
};

static qni_object *header_of(const void *object) {
    return (qni_object *)((char *)object - offsetof(qni_object, memory));
}

/* ---- what a context owns ----------------------------------------------------------------- */

static void link_owned(qn_context *ctx, qni_owned *owned) {
    owned->older = ctx->youngest;
    if (owned->older)
        owned->older->younger = owned;
    ctx->youngest = owned;
}

static void unlink_owned(qn_context *ctx, qni_owned *owned) {
    if (owned == ctx->youngest)
        ctx->youngest = owned->older;
    else
        owned->younger->older = owned->older;
    if (owned->older)
        owned->older->younger = owned->younger;
    owned->object = NULL;
}

qn_status qn_context_own(qn_context *ctx, void *object, void (*destroy)(void *object)) {
    if (!ctx)
        return QN_INVALID_ARGUMENT;
    if (!destroy)
        return qn_context_fail(ctx, QN_INVALID_ARGUMENT, "own: destroy is NULL");
    qni_owned *owned = ctx->freed ? NULL : malloc(sizeof(*owned));
    if (!owned) {
        destroy(object);
        return ctx->freed ? ctx->status : qn_context_fail(ctx, QN_OUT_OF_MEMORY, "out of memory");
    }
    *owned = (qni_owned){.object = object, .destroy = destroy};
    link_owned(ctx, owned);
    return QN_OK;
}

void qn_context_disown(qn_context *ctx, const void *object) {
    for (qni_owned *owned = ctx ? ctx->youngest : NULL; owned; owned = owned->older) {
        if (owned->object != object || owned->header)
            continue;
        unlink_owned(ctx, owned);
        free(owned);
        return;
    }
}

/* ---- objects ----------------------------------------------------------------------------- */

void *qn_object_new(qn_context *ctx, const char *kind, size_t bytes,
                    void (*destroy)(void *object)) {
    if (!ctx || ctx->freed)
        return NULL;
    if (!kind) {
        qn_context_fail(ctx, QN_INVALID_ARGUMENT, "object: its kind is NULL");
        return NULL;
    }
    qni_object *header = calloc(1, sizeof(*header) + bytes);
    if (!header) {
        qn_context_fail(ctx, QN_OUT_OF_MEMORY, "%s: out of memory", kind);
        return NULL;
    }
    header->ctx = ctx;
    header->kind = kind;
    header->owned = (qni_owned){.object = header->memory, .destroy = destroy, .header = true};
    link_owned(ctx, &header->owned);
    return header->memory;
}

static void fail_freed(const qni_object *header, const char *call) {
    qn_context_fail(header->ctx, QN_INVALID_ARGUMENT, "%s: this %s was freed",
                    call ? call : "object", header->kind);
}

bool qn_object_alive(const void *object, const char *call) {
    if (!object)
        return false;
    const qni_object *header = header_of(object);
    if (header->gone)
        fail_freed(header, call);
    return !header->gone;
}

static void forget_oldest(qn_context *ctx) {
    qni_object *oldest = ctx->gone;
    ctx->gone = oldest->next_gone;
    ctx->gone_count--;
    free(oldest);
}

void qni_objects_forget(qn_context *ctx) {
    while (ctx->gone_count > 0)
        forget_oldest(ctx);
}

/** Destroys an object, and puts what is left of it in line. */
static void end(qni_object *header) {
    qn_context *ctx = header->ctx;
    if (header->owned.object)
        unlink_owned(ctx, &header->owned);
    if (header->owned.destroy)
        header->owned.destroy(header->memory);
    header->gone = true;
    if (ctx->gone_count > 0)
        ctx->last_gone->next_gone = header;
    else
        ctx->gone = header;
    ctx->last_gone = header;
    ctx->gone_count++;
    if (ctx->gone_count > MOST_GONE && !ctx->debug)
        forget_oldest(ctx);
}

void qn_object_free(void *object, const char *call) {
    if (!qn_object_alive(object, call))
        return;
    qni_object *header = header_of(object);
    if (header->freed)
        fail_freed(header, call);
    header->freed = true;
    if (header->holders == 0)
        end(header);
}

void qn_object_release(void *object) {
    if (!qn_object_alive(object, "object_release"))
        return;
    qni_object *header = header_of(object);
    if (header->owned.object)
        unlink_owned(header->ctx, &header->owned);
}

void qn_object_hold(const void *object) {
    if (qn_object_alive(object, "object_hold"))
        header_of(object)->holders++;
}

void qn_object_let_go(const void *object) {
    if (!qn_object_alive(object, "object_let_go"))
        return;
    qni_object *header = header_of(object);
    if (header->holders > 0 && --header->holders == 0 && header->freed)
        end(header);
}

/* ---- a context's end --------------------------------------------------------------------- */

void qni_owned_destroy(qn_context *ctx) {
    while (ctx->youngest) {
        qni_owned *owned = ctx->youngest;
        if (owned->header) {
            end((qni_object *)owned);
            continue;
        }
        void *object = owned->object;
        unlink_owned(ctx, owned);
        owned->destroy(object);
        free(owned);
    }
}

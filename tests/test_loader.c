/* test_loader.c: order, augmentation, prefetching, position and failure of the loader. */
#include <pthread.h>
#include <sys/wait.h>

#include "children.h"
#include "scratch.h"

#include "data/random_use.h"

TestSuite(loader, .init = scratch_open, .fini = scratch_close);

enum { COUNT = 50, SIDE = 6, PIXELS = SIDE * SIDE };

/* Images whose pixels tell their index. `data`, if there is one, is the index that fails. */
static qn_status get_image(void *data, int64_t index, void *x, void *y) {
    float *pixels = x;
    for (int i = 0; i < PIXELS; i++)
        pixels[i] = (float)(index + i);
    *(int64_t *)y = index % 10;
    return data && *(int64_t *)data == index ? QN_IO_ERROR : QN_OK;
}

static qn_dataset *open_images(int64_t *failing) {
    qn_dataset_desc desc = {.name = "images",
                            .count = COUNT,
                            .x_shape = QN_SHAPE(1, SIDE, SIDE),
                            .y_dtype = QN_I64,
                            .classes = 10,
                            .background = -1,
                            .get = get_image,
                            .data = failing};
    return qn_dataset_new(ctx, &desc);
}

static qn_loader *open_loader(qn_loader_opts opts) {
    return qn_loader_new(open_images(NULL), &opts);
}

/* All that a loader gives in an epoch: pixels and indices, by place in the epoch. */
typedef struct epoch {
    float pixels[COUNT][PIXELS];
    int64_t indices[COUNT], labels[COUNT];
    int64_t samples, batches;
} epoch;

static void read_batch(const qn_batch *batch, epoch *out) {
    size_t pixels = (size_t)batch->size * sizeof(out->pixels[0]);
    size_t labels = (size_t)batch->size * sizeof(out->labels[0]);
    cr_assert_eq(qn_tensor_dim(batch->x, 0), batch->size);
    cr_assert_eq(qn_tensor_read(batch->x, out->pixels[out->samples], pixels), QN_OK);
    cr_assert_eq(qn_tensor_read(batch->y, &out->labels[out->samples], labels), QN_OK);
    memcpy(&out->indices[out->samples], batch->indices, labels);
    out->samples += batch->size;
    out->batches++;
    qn_step_end(ctx);
}

static void read_epoch(qn_loader *loader, epoch *out) {
    qn_batch batch;
    memset(out, 0, sizeof(*out));
    while (qn_loader_next(loader, &batch))
        read_batch(&batch, out);
    cr_assert_eq(qn_context_error(ctx, NULL), QN_OK, "%s", qn_context_message(ctx));
}

static bool same_epoch(const epoch *a, const epoch *b) { return memcmp(a, b, sizeof(*a)) == 0; }

static const qn_augment some = {.shift = 2, .rotate = 15, .scale = 0.2, .shear = 10};

/* ---- order ----------------------------------------------------------------------------------- */

Test(loader, philox_known_answer) {
    /* Salmon et al.'s test vector for counter and key of zeros */
    qn_random_block block = qni_random_at(0, 0, 0, 0);
    const uint32_t expected[] = {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8};
    cr_assert_eq(memcmp(block.word, expected, sizeof(expected)), 0);
}

Test(loader, in_order_with_a_short_last_batch) {
    epoch e;
    qn_loader *loader = open_loader((qn_loader_opts){.batch_size = 8});
    cr_assert_eq(qn_loader_batches(loader), 7);
    read_epoch(loader, &e);
    cr_assert_eq(e.samples, COUNT);
    cr_assert_eq(e.batches, 7);
    for (int i = 0; i < COUNT; i++) {
        cr_assert_eq(e.indices[i], i);
        cr_assert_eq(e.pixels[i][3], i + 3);
        cr_assert_eq(e.labels[i], i % 10);
    }
}

Test(loader, drop_last) {
    epoch e;
    qn_loader *loader = open_loader((qn_loader_opts){.batch_size = 8, .drop_last = true});
    cr_assert_eq(qn_loader_batches(loader), 6);
    read_epoch(loader, &e);
    cr_assert_eq(e.samples, 48);
}

Test(loader, batch_larger_than_the_dataset) {
    epoch e;
    qn_loader *loader = open_loader((qn_loader_opts){.batch_size = 1000});
    cr_assert_eq(qn_loader_batches(loader), 1);
    read_epoch(loader, &e);
    cr_assert_eq(e.samples, COUNT);
}

Test(loader, shuffle_is_a_permutation_of_seed_and_epoch) {
    static epoch first, second, other, again;
    qn_loader_opts opts = {.batch_size = 7, .shuffle = true, .seed = 3};
    qn_loader *loader = open_loader(opts);
    read_epoch(loader, &first);
    read_epoch(loader, &second);
    int64_t seen[COUNT] = {0};
    int moved = 0;
    for (int i = 0; i < COUNT; i++) {
        seen[first.indices[i]]++;
        moved += first.indices[i] != i;
        cr_assert_eq(first.pixels[i][0], first.indices[i]);
    }
    for (int i = 0; i < COUNT; i++)
        cr_assert_eq(seen[i], 1);
    cr_assert_gt(moved, COUNT / 2);
    cr_assert_not(same_epoch(&first, &second));
    opts.batch_size = 10; /* the order does not depend on it */
    read_epoch(open_loader(opts), &again);
    cr_assert_eq(memcmp(first.indices, again.indices, sizeof(first.indices)), 0);
    opts.seed = 4;
    read_epoch(open_loader(opts), &other);
    cr_assert_neq(memcmp(first.indices, other.indices, sizeof(first.indices)), 0);
}

/* Of all permutations about one sample an epoch keeps its place (a biased shuffle moves all). */
Test(loader, shuffle_leaves_some_samples_in_place) {
    static epoch e;
    int kept = 0;
    qn_loader *loader = open_loader((qn_loader_opts){.batch_size = COUNT, .shuffle = true});
    for (int i = 0; i < 40; i++) {
        read_epoch(loader, &e);
        for (int j = 0; j < COUNT; j++)
            kept += e.indices[j] == j;
    }
    cr_assert_gt(kept, 15);
    cr_assert_lt(kept, 80);
}

Test(loader, prefetching_changes_nothing) {
    static epoch ahead, asked;
    qn_loader_opts opts = {.batch_size = 7, .shuffle = true, .seed = 3, .augment = some};
    qn_loader *with = open_loader(opts);
    opts.no_prefetch = true;
    qn_loader *without = open_loader(opts);
    for (int i = 0; i < 3; i++) {
        read_epoch(with, &ahead);
        read_epoch(without, &asked);
        cr_assert(same_epoch(&ahead, &asked), "epoch %d", i);
    }
}

/* ---- augmentation ---------------------------------------------------------------------------- */

Test(loader, augmentation_depends_on_sample_and_epoch) {
    static epoch plain, first, second, shuffled;
    read_epoch(open_loader((qn_loader_opts){0}), &plain);
    qn_loader *loader = open_loader((qn_loader_opts){.augment = some});
    read_epoch(loader, &first);
    read_epoch(loader, &second);
    read_epoch(open_loader((qn_loader_opts){.augment = some, .shuffle = true}), &shuffled);
    cr_assert_not(same_epoch(&plain, &first));
    cr_assert_not(same_epoch(&first, &second));
    for (int i = 0; i < COUNT; i++) {
        cr_assert_eq(
            memcmp(shuffled.pixels[i], first.pixels[shuffled.indices[i]], sizeof(float[PIXELS])),
            0);
    }
}

Test(loader, augmentation_of_nothing_is_exact) {
    static epoch plain, still;
    read_epoch(open_loader((qn_loader_opts){0}), &plain);
    /* so small that every change rounds to none, but the sampling runs */
    read_epoch(open_loader((qn_loader_opts){.augment = {.shift = 1e-30}}), &still);
    for (int i = 0; i < COUNT; i++) {
        for (int j = 0; j < PIXELS; j++)
            cr_assert_eq(plain.pixels[i][j], still.pixels[i][j]);
    }
}

Test(loader, augmentation_far_away_is_background) {
    static epoch e;
    int64_t background = 0;
    read_epoch(open_loader((qn_loader_opts){.augment = {.shift = 1000}}), &e);
    for (int i = 0; i < COUNT; i++)
        background += e.pixels[i][0] == -1 && e.pixels[i][PIXELS - 1] == -1;
    cr_assert_gt(background, COUNT / 2);
}

/* On a ramp the interpolated value tells the shift, which the sample's random block gives. */
Test(loader, augmentation_shift_is_bilinear) {
    static epoch e;
    read_epoch(open_loader((qn_loader_opts){.augment = {.shift = 1}}), &e);
    for (int i = 0; i < COUNT; i++) {
        qn_random_block place = qni_random_at(0, i, 0, QNI_RANDOM_PLACE);
        double right = (place.word[0] >> 8) * 0x1p-23 - 1,
               down = (place.word[1] >> 8) * 0x1p-23 - 1;
        for (int y = 1; y < SIDE - 1; y++) {
            for (int x = 1; x < SIDE - 1; x++) {
                cr_assert_float_eq(e.pixels[i][y * SIDE + x], i + SIDE * (y - down) + x - right,
                                   1e-4);
            }
        }
    }
}

static void expect_bad_augment(qn_augment amounts, const char *what) {
    char expected[200];
    cr_assert_null(open_loader((qn_loader_opts){.augment = amounts}));
    snprintf(expected, sizeof(expected), "loader of images: augmentation: %s", what);
    expect_message(QN_INVALID_ARGUMENT, expected);
}

Test(loader, augmentation_of_impossible_amounts) {
    expect_bad_augment((qn_augment){.shift = -1}, "the shift is not a positive number of pixels");
    expect_bad_augment((qn_augment){.rotate = 361}, "the rotation is not within 0 to 360 degrees");
    expect_bad_augment((qn_augment){.scale = 1}, "the scale is not a fraction below 1");
    expect_bad_augment((qn_augment){.shear = 90}, "the shear is not within 0 to 90 degrees");
}

/* ---- position -------------------------------------------------------------------------------- */

Test(loader, seek_continues_where_tell_stood) {
    static epoch whole, part;
    qn_batch batch;
    for (int no_prefetch = 0; no_prefetch < 2; no_prefetch++) {
        qn_loader_opts opts = {.batch_size = 7,
                               .shuffle = true,
                               .seed = 9,
                               .augment = some,
                               .no_prefetch = no_prefetch};
        qn_loader *first = open_loader(opts), *second = open_loader(opts);
        read_epoch(first, &whole);
        for (int i = 0; i < 3; i++)
            cr_assert(qn_loader_next(first, &batch));
        qn_loader_position position = qn_loader_tell(first);
        cr_assert_eq(position.epoch, 1);
        cr_assert_eq(position.batch, 3);
        cr_assert(qn_loader_next(second, &batch));
        cr_assert_eq(qn_loader_seek(second, position), QN_OK);
        read_epoch(first, &whole);
        read_epoch(second, &part);
        cr_assert_eq(part.batches, 5);
        cr_assert(same_epoch(&whole, &part));
        cr_assert_eq(qn_loader_tell(second).epoch, 2);
    }
}

Test(loader, seek_to_the_end_of_an_epoch) {
    qn_batch batch;
    qn_loader *loader = open_loader((qn_loader_opts){.batch_size = 10});
    cr_assert_eq(qn_loader_seek(loader, (qn_loader_position){4, 5}), QN_OK);
    cr_assert_not(qn_loader_next(loader, &batch));
    cr_assert_eq(qn_loader_tell(loader).epoch, 5);
    cr_assert(qn_loader_next(loader, &batch));
    cr_assert_eq(batch.indices[0], 0);
}

Test(loader, seek_out_of_range) {
    qn_loader *loader = open_loader((qn_loader_opts){.batch_size = 10});
    cr_assert_eq(qn_loader_seek(loader, (qn_loader_position){0, 6}), QN_INVALID_ARGUMENT);
    expect_message(QN_INVALID_ARGUMENT, "loader of images: no batch 6 in epoch 0, there are 5");
    cr_assert_eq(qn_loader_seek(loader, (qn_loader_position){-1, 0}), QN_INVALID_ARGUMENT);
}

/* ---- failure and end ------------------------------------------------------------------------- */

Test(loader, failed_sample_is_reported_by_next) {
    static int64_t failing = 23; /* the loader's thread reads it until the context is gone */
    qn_batch batch;
    for (int no_prefetch = 0; no_prefetch < 2; no_prefetch++) {
        qn_loader *loader = qn_loader_new(
            open_images(&failing), &(qn_loader_opts){.batch_size = 10, .no_prefetch = no_prefetch});
        cr_assert(qn_loader_next(loader, &batch));
        cr_assert(qn_loader_next(loader, &batch));
        cr_assert_not(qn_loader_next(loader, &batch));
        cr_assert_null(batch.x);
        expect_message(QN_IO_ERROR, "loader of images: sample 23: cannot read or write");
        cr_assert_eq(qn_loader_tell(loader).batch, 2);
        cr_assert_eq(qn_loader_seek(loader, (qn_loader_position){0, 3}), QN_OK);
        cr_assert(qn_loader_next(loader, &batch));
        cr_assert_eq(batch.indices[0], 30);
    }
}

Test(loader, freed_at_any_time) {
    qn_batch batch;
    for (int batches = 0; batches < 12; batches++) {
        qn_loader *loader =
            open_loader((qn_loader_opts){.batch_size = 7, .shuffle = true, .augment = some});
        for (int i = 0; i < batches; i++)
            qn_loader_next(loader, &batch);
        qn_loader_free(loader);
    }
    open_loader((qn_loader_opts){.batch_size = 3}); /* goes with the context */
}

Test(loader, impossible_options) {
    cr_assert_null(open_loader((qn_loader_opts){.batch_size = -3}));
    expect_message(QN_INVALID_ARGUMENT, "loader of images: batches of -3 samples");
    cr_assert_null(open_loader((qn_loader_opts){.batch_size = 51, .drop_last = true}));
    expect_message(QN_INVALID_ARGUMENT, "loader of images: 50 samples make no full batch of 51");
}

Test(loader, null) {
    qn_batch batch;
    qn_loader_free(NULL);
    cr_assert_null(qn_loader_new(NULL, NULL));
    cr_assert_not(qn_loader_next(NULL, &batch));
    cr_assert_eq(qn_loader_batches(NULL), 0);
    cr_assert_eq(qn_loader_tell(NULL).epoch, 0);
    cr_assert_eq(qn_loader_seek(NULL, (qn_loader_position){0}), QN_INVALID_ARGUMENT);
}

static qn_status get_oddly(void *data, int64_t index, void *x, void *y) {
    (void)index;
    *(float *)x = 0;
    *(int64_t *)y = 0;
    return *(const qn_status *)data;
}

/* Statuses that a callback makes up. */
Test(loader, a_number_that_is_no_status_is_an_error) {
    static const int odd[] = {-1, 1000, INT32_MIN, QN_INTERNAL_ERROR + 1};
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        qn_status status = (qn_status)odd[i];
        float x;
        int64_t y;
        qn_batch batch;
        qn_dataset *set = qn_dataset_new(ctx, &(qn_dataset_desc){.name = "odd",
                                                                 .count = 4,
                                                                 .x_shape = QN_SHAPE(1),
                                                                 .y_dtype = QN_I64,
                                                                 .classes = 2,
                                                                 .get = get_oddly,
                                                                 .data = &status});
        cr_expect_eq(qn_dataset_get(set, 0, &x, &y), QN_INVALID_ARGUMENT, "%d", odd[i]);
        qn_context_clear_error(ctx);
        qn_loader *loader = qn_loader_new(set, &(qn_loader_opts){.batch_size = 2});
        cr_expect_not(qn_loader_next(loader, &batch));
        cr_expect_eq(qn_context_error(ctx, NULL), QN_INVALID_ARGUMENT, "%d", odd[i]);
        cr_expect_str_eq(qn_context_message(ctx), "loader of odd: sample 0: unknown status");
        qn_context_clear_error(ctx);
        qn_loader_free(loader);
    }
}

/* ---- fork() -------------------------------------------------------------------------------- */

/* What a child does with the loader of its parent; what it gives is the exit code. */
static int run_child(int (*work)(qn_loader *loader), qn_loader *loader) {
    const pid_t child = fork();
    if (child == 0) {
        alarm(20);
        _exit(work(loader));
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 100 + WTERMSIG(status);
}

/* The rest of the epoch, of which `begun` batches were given, and the next one. */
static qn_loader_opts forked_opts = {.batch_size = 7, .shuffle = true, .seed = 5};
static epoch expected[2];
static int begun;

static int read_on(qn_loader *loader) {
    epoch rest, next;
    read_epoch(loader, &rest);
    read_epoch(loader, &next);
    const int64_t given = begun * forked_opts.batch_size;
    const size_t left = (size_t)(COUNT - given) * sizeof(rest.indices[0]);
    return rest.samples != COUNT - given ||
           memcmp(rest.indices, expected[0].indices + given, left) != 0 ||
           memcmp(next.pixels, expected[1].pixels, sizeof(next.pixels)) != 0;
}

static int only_free(qn_loader *loader) {
    qn_loader_free(loader);
    return qn_context_error(ctx, NULL) != QN_OK;
}

static int seek(qn_loader *loader) {
    epoch all;
    qn_loader_seek(loader, (qn_loader_position){0});
    read_epoch(loader, &all);
    return memcmp(all.indices, expected[0].indices, sizeof(all.indices)) != 0;
}

static int seek_first(qn_loader *loader) {
    qn_batch batch;
    for (int64_t i = 0; i < 6; i++)
        if (!qn_loader_next(loader, &batch) || batch.indices[0] != i)
            return 1;
    return 0;
}

static int only_end(qn_loader *loader) {
    (void)loader;
    qn_context_free(ctx);
    return 0;
}

static int fork_again(qn_loader *loader) {
    qn_batch batch;
    begun += qn_loader_next(loader, &batch);
    return run_child(read_on, loader) + 10 * read_on(loader);
}

Test(loader, goes_on_in_a_child_without_the_thread) {
    if (!can_follow_children())
        return;
    int (*const works[])(qn_loader *) = {read_on, only_free, seek, only_end, fork_again};
    qn_loader *plain = open_loader(forked_opts);
    read_epoch(plain, &expected[0]);
    read_epoch(plain, &expected[1]);
    for (size_t work = 0; work < sizeof(works) / sizeof(*works); work++)
        for (begun = 0; begun < 4; begun++) {
            qn_loader *loader = open_loader(forked_opts);
            qn_batch batch;
            for (int i = 0; i < begun; i++)
                cr_assert(qn_loader_next(loader, &batch));
            cr_expect_eq(run_child(works[work], loader), 0, "work %zu after %d batches", work,
                         begun);
            cr_expect_eq(read_on(loader), 0, "the parent goes on");
            qn_loader_free(loader);
        }
}

/* The thread is at a sample, or holds the lock, when the process forks. */
static qn_status get_slowly(void *data, int64_t index, void *x, void *y) {
    usleep(200);
    return get_image(data, index, x, y);
}

Test(loader, may_be_at_anything_when_the_process_forks) {
    if (!can_follow_children())
        return;
    qn_dataset_desc desc = *qn_dataset_info(open_images(NULL));
    desc.get = get_slowly;
    qn_loader_opts opts = {.batch_size = 1};
    for (int i = 0; i < 40; i++) {
        qn_loader *loader = qn_loader_new(qn_dataset_new(ctx, &desc), &opts);
        usleep((useconds_t)(i * 37));
        cr_expect_eq(run_child(seek_first, loader), 0);
        qn_loader_free(loader);
    }
}

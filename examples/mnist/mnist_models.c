/* mnist_models.c: how each network is trained, and networks from files. */
#include <stdlib.h>
#include <string.h>

#include "mnist.h"

const char *const mnist_models[] = {"lenet", "mlp", "cnn", NULL};

static const mnist_recipe recipes[] = {
    {"lenet", 4, 64, 2e-3, 1e-4, {.shift = 1.5, .rotate = 8, .scale = 0.08}},
    {"mlp", 10, 64, 2e-3, 1e-4, {.shift = 1, .rotate = 5, .scale = 0.05}},
    {"cnn", 15, 64, 3e-3, 1e-4, {.shift = 2, .rotate = 10, .scale = 0.1, .shear = 5}},
};

const mnist_recipe *mnist_recipe_of(const char *model) {
    const mnist_recipe *recipe = recipes;
    while (strcmp(recipe->model, model) != 0)
        recipe++;
    return recipe;
}

/* ---- saved models -------------------------------------------------------------------------- */

/** A whole number from 1 to `most` in a model's metadata; 0 where there is none. */
static int64_t metadata_number(const qn_tensor_file *file, const char *key, long most) {
    const char *text = qn_tensor_file_metadata(file, key);
    char *end;
    long value = text ? strtol(text, &end, 10) : 0;
    return text && *text && *end == '\0' && value >= 1 && value <= most ? value : 0;
}

static bool is_model(const char *name) {
    for (const char *const *model = mnist_models; *model; model++)
        if (name && strcmp(*model, name) == 0)
            return true;
    return false;
}

int mnist_load(qn_context *ctx, const char *path, qn_module **module, mnist_shape *shape) {
    qn_tensor_file *file = qn_tensor_file_open(ctx, path);
    if (!file)
        return example_status(ctx);
    const char *model = qn_tensor_file_metadata(file, "model");
    *shape = (mnist_shape){.height = metadata_number(file, "height", 4096),
                           .width = metadata_number(file, "width", 4096),
                           .classes = metadata_number(file, "classes", 256)};
    int code = EXAMPLE_OK;
    if (!is_model(model) || !shape->height || !shape->width || !shape->classes)
        code = example_error("'%s' was not saved by 'mnist train'", path);
    else
        *module = mnist_network(ctx, model, shape->height, shape->width, shape->classes);
    qn_tensor_file_free(file);
    if (code == EXAMPLE_OK)
        qn_load(*module, path);
    return code == EXAMPLE_OK ? example_status(ctx) : code;
}

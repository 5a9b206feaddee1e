/* mnist.c: trains image classifiers on MNIST and sets of its layout. */
#include "mnist.h"

#define FOLDER_SIZE 4096

static mnist_shape shape_of(const qn_dataset *dataset) {
    const qn_dataset_desc *info = qn_dataset_info(dataset);
    return (mnist_shape){info->x_shape.dim[1], info->x_shape.dim[2], info->classes};
}

/** Whether a network made for `made` can be used on a dataset. Returns the exit code. */
static int check_fit(const mnist_shape *made, const mnist_shape *data, const char *what) {
    if (made->height == data->height && made->width == data->width &&
        made->classes >= data->classes)
        return EXAMPLE_OK;
    return example_error(
        "%s: %lld x %lld images of %lld classes do not fit a model for %lld x %lld "
        "and %lld classes",
        what, (long long)data->height, (long long)data->width, (long long)data->classes,
        (long long)made->height, (long long)made->width, (long long)made->classes);
}

/* ---- train --------------------------------------------------------------------------------- */

/** Runs the recipe with the options' changes. */
static int fit(const example_options *options, qn_module *net, qn_dataset *train, qn_dataset *test,
               const mnist_shape *shape) {
    const mnist_recipe *recipe = mnist_recipe_of(options->model);
    char height[24], width[24], classes[24], title[64];
    snprintf(height, sizeof(height), "%lld", (long long)shape->height);
    snprintf(width, sizeof(width), "%lld", (long long)shape->width);
    snprintf(classes, sizeof(classes), "%lld", (long long)shape->classes);
    snprintf(title, sizeof(title), "MNIST, %s", options->model);
    const qn_metadata settings[] = {
        {"model", options->model}, {"classes", classes}, {"height", height}, {"width", width}};
    double lr = options->lr > 0 ? options->lr : recipe->lr;
    qn_fit_opts opts = {.optimizer = qn_adamw(lr, recipe->weight_decay),
                        .schedule = qn_schedule_one_cycle(),
                        .epochs = options->epochs ? options->epochs : recipe->epochs,
                        .batch_size =
                            options->batch_size ? options->batch_size : recipe->batch_size,
                        .title = title,
                        .settings = settings,
                        .settings_count = sizeof(settings) / sizeof(*settings)};
    if (!options->own[0])
        opts.augment = recipe->augment;
    return example_fit(options, net, train, test, opts);
}

static int train_model(const example_options *options, qn_context *ctx) {
    char folder[FOLDER_SIZE];
    example_data_folder(options, folder, sizeof(folder));
    qn_dataset *train = qn_mnist_open(ctx, folder, QN_TRAIN);
    qn_dataset *test = qn_mnist_open(ctx, folder, QN_TEST);
    int code = example_status(ctx);
    if (code != EXAMPLE_OK)
        return code;
    mnist_shape shape = shape_of(train), other = shape_of(test);
    if (other.classes > shape.classes)
        shape.classes = other.classes;
    code = check_fit(&shape, &other, "test set");
    if (code != EXAMPLE_OK)
        return code;
    qn_module *net = mnist_network(ctx, options->model, shape.height, shape.width, shape.classes);
    if (net && options->load)
        qn_load(net, options->load);
    code = example_status(ctx);
    return code == EXAMPLE_OK ? fit(options, net, train, test, &shape) : code;
}

/* ---- evaluate ------------------------------------------------------------------------------ */

static int evaluate_model(const example_options *options, qn_context *ctx) {
    char folder[FOLDER_SIZE];
    qn_module *net = NULL;
    mnist_shape shape;
    int code = mnist_load(ctx, options->load ? options->load : "mnist.safetensors", &net, &shape);
    if (code != EXAMPLE_OK)
        return code;
    qn_dataset *test =
        qn_mnist_open(ctx, example_data_folder(options, folder, sizeof(folder)), QN_TEST);
    code = example_status(ctx);
    if (code != EXAMPLE_OK)
        return code;
    mnist_shape data = shape_of(test);
    code = check_fit(&shape, &data, folder);
    return code == EXAMPLE_OK ? example_evaluate(options, net, test) : code;
}

int main(int argc, char **argv) {
    const example_program program = {
        .name = "mnist",
        .summary =
            "Trains image classifiers on MNIST and datasets of its layout, and uses them."
            "\vModels: lenet (the default, the quickest to 99 %), mlp, cnn (the most exact). "
            "Without --save the model goes to mnist.safetensors, where evaluate and predict "
            "look for it. Images are PNG, PGM or IDX files, light on dark as in MNIST; - is "
            "standard input.",
        .inputs = "IMAGE...",
        .models = mnist_models,
        .own = {{"no-augment", NULL, "train on the images as they are", EXAMPLE_TRAIN},
                {"invert", NULL, "images are dark on light", EXAMPLE_PREDICT}},
        .train = train_model,
        .evaluate = evaluate_model,
        .predict = mnist_predict};
    return example_main(&program, argc, argv);
}

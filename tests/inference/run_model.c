/* run_model.c: what a model that `mnist train` saved makes of fixed images, bit for bit. Uses no
 * room but those of a library that only runs models.
 *
 *     run_model MODEL.safetensors NETWORK */
#include <quern.h>
#include <stdlib.h>

#include "mnist_networks.h"

enum { IMAGES = 16, SIDE = 28, CLASSES = 10 };

static void draw(float *pixels) {
    uint32_t state = 1;
    for (int i = 0; i < IMAGES * SIDE * SIDE; i++) {
        state = state * 1664525u + 1013904223u;
        pixels[i] = (float)(state >> 8) / (float)(1 << 24);
    }
}

int main(int argc, char **argv) {
    static float pixels[IMAGES * SIDE * SIDE], scores[IMAGES * CLASSES];
    if (argc != 3)
        return 2;
    qn_context *ctx = qn_context_new("cpu");
    qn_module *net = mnist_network(ctx, argv[2], SIDE, SIDE, CLASSES);
    qn_load(net, argv[1]);
    qn_module_train(net, false);
    draw(pixels);
    qn_tensor *x = qn_from_data(ctx, QN_F32, QN_SHAPE(IMAGES, 1, SIDE, SIDE), pixels);
    qn_tensor_read(qn_forward(net, x), scores, sizeof(scores));
    for (int i = 0; i < IMAGES * CLASSES; i++)
        printf("%a\n", (double)scores[i]);
    const qn_status status = qn_context_error(ctx, stderr);
    qn_context_free(ctx);
    return status == QN_OK ? 0 : 1;
}

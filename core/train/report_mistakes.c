/* report_mistakes.c: the samples that were classified worst: in words where the dataset has words
 * for them, or as images, PNG in data URIs. */
#include <math.h>
#include <png.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"

/** Room for a sample in words, the end included; longer ones are cut. */
#define WORDS_SIZE 600

static void write_base64(FILE *out, const unsigned char *data, size_t size) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < size; i += 3) {
        unsigned rest = (unsigned)(size - i < 3 ? size - i : 3), bits = (unsigned)data[i] << 16;
        if (rest > 1)
            bits |= (unsigned)data[i + 1] << 8;
        if (rest > 2)
            bits |= data[i + 2];
        for (unsigned digit = 0; digit < 4; digit++)
            fputc(digit <= rest ? digits[bits >> (18 - 6 * digit) & 63] : '=', out);
    }
}

/** Shape of an image in a dataset: f32 [channels, height, width] or [height, width]. */
typedef struct picture {
    int64_t channels, height, width;
} picture;

/** False where the samples are no images. */
static bool picture_of(const qn_dataset_desc *info, picture *out) {
    const qn_shape *shape = &info->x_shape;
    if (info->x_dtype != QN_F32 || (shape->rank != 2 && shape->rank != 3))
        return false;
    *out = (picture){shape->rank == 3 ? shape->dim[0] : 1, shape->dim[shape->rank - 2],
                     shape->dim[shape->rank - 1]};
    return (out->channels == 1 || out->channels == 3) && out->height > 0 && out->width > 0;
}

/** Planes of floats to interleaved bytes; the least value becomes 0, the greatest 255. */
static void to_bytes(const picture *p, const float *x, unsigned char *bytes) {
    int64_t plane = p->height * p->width;
    float low = x[0], high = x[0];
    for (int64_t i = 1; i < plane * p->channels; i++) {
        low = fminf(low, x[i]);
        high = fmaxf(high, x[i]);
    }
    float scale = high > low ? 255 / (high - low) : 0;
    for (int64_t i = 0; i < plane; i++)
        for (int64_t c = 0; c < p->channels; c++)
            bytes[i * p->channels + c] = (unsigned char)lrintf((x[c * plane + i] - low) * scale);
}

/** Writes the image as a data URI. False when it cannot be made. */
static bool write_image(FILE *out, const picture *p, const unsigned char *bytes) {
    png_image image = {.version = PNG_IMAGE_VERSION,
                       .width = (png_uint_32)p->width,
                       .height = (png_uint_32)p->height,
                       .format = p->channels == 3 ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY};
    png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(image);
    unsigned char *png = malloc(size);
    bool made = png && png_image_write_to_memory(&image, png, &size, 0, bytes, 0, NULL);
    if (made) {
        fputs("<img alt=\"\" src=\"data:image/png;base64,", out);
        write_base64(out, png, size);
        fputs("\">", out);
    }
    png_image_free(&image);
    free(png);
    return made;
}

static void write_caption(FILE *out, const qn_dataset_desc *info, const qni_mistake *mistake) {
    fputs("<figcaption><b>", out);
    qni_html_class(out, info, mistake->target);
    fputs("</b> taken for <b class=\"wrong\">", out);
    qni_html_class(out, info, mistake->predicted);
    fprintf(out, "</b><br>at %.1f&#8239;%%<br>sample %lld</figcaption>", 100 * mistake->probability,
            (long long)mistake->index);
}

static qn_status write_gallery(FILE *out, const qn_dataset *dataset, const picture *p,
                               const qni_inspection *found, float *x, unsigned char *bytes) {
    const qn_dataset_desc *info = qn_dataset_info(dataset);
    for (int i = 0; i < found->worst_count; i++) {
        int64_t target;
        qn_status status = qn_dataset_get(dataset, found->worst[i].index, x, &target);
        if (status != QN_OK)
            return status;
        to_bytes(p, x, bytes);
        fputs("<figure>", out);
        if (!write_image(out, p, bytes))
            return qn_context_fail(qn_dataset_context(dataset), QN_OUT_OF_MEMORY,
                                   "report: out of memory for the PNG of sample %lld",
                                   (long long)found->worst[i].index);
        write_caption(out, info, &found->worst[i]);
        fputs("</figure>\n", out);
    }
    return QN_OK;
}

static qn_status write_images(FILE *out, const qn_dataset *dataset, const picture *p,
                              const qni_inspection *found) {
    size_t count = (size_t)(p->channels * p->height * p->width);
    float *x = malloc(count * sizeof(*x));
    unsigned char *bytes = malloc(count);
    qn_status status;
    fputs("<div class=\"gallery\">\n", out);
    if (x && bytes)
        status = write_gallery(out, dataset, p, found, x, bytes);
    else
        status = qn_context_fail(qn_dataset_context(dataset), QN_OUT_OF_MEMORY,
                                 "report: out of memory for an image of %zu values", count);
    fputs("</div>", out);
    free(x);
    free(bytes);
    return status;
}

static void write_words(FILE *out, const qn_dataset_desc *info, const qni_inspection *found) {
    fputs("<div class=\"scroll\"><table class=\"words\"><tr><th>sample</th><th>class</th>"
          "<th>taken for</th><th>at %</th><th></th></tr>\n",
          out);
    for (int i = 0; i < found->worst_count; i++) {
        const qni_mistake *mistake = &found->worst[i];
        char text[WORDS_SIZE] = "";
        info->describe(info->data, mistake->index, text, sizeof(text));
        fprintf(out, "<tr><td>%lld</td><td>", (long long)mistake->index);
        qni_html_class(out, info, mistake->target);
        fputs("</td><td class=\"wrong\">", out);
        qni_html_class(out, info, mistake->predicted);
        fprintf(out, "</td><td>%.1f</td><td>", 100 * mistake->probability);
        qni_html_text(out, text);
        fputs("</td></tr>\n", out);
    }
    fputs("</table></div>", out);
}

qn_status qni_report_mistakes(FILE *out, const char *set, const qn_dataset *dataset,
                              const qni_inspection *found) {
    const qn_dataset_desc *info = qn_dataset_info(dataset);
    picture p;
    bool pictures = !info->describe && picture_of(info, &p);
    if ((!info->describe && !pictures) || found->worst_count == 0)
        return QN_OK;
    qn_status status = QN_OK;
    fprintf(out, "<section><h2>Worst mistakes, %s data</h2>\n", set);
    if (pictures)
        status = write_images(out, dataset, &p, found);
    else
        write_words(out, info, found);
    fputs("</section>\n", out);
    return status;
}

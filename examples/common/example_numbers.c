/* example_numbers.c: numbers as text. */
#include <math.h>
#include <stdlib.h>

#include "example_private.h"

const char *example_number_text(double value, char out[32]) {
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(out, 32, "%.*g", digits, value);
        if (strtod(out, NULL) == value)
            break;
    }
    return out;
}

const char *example_float_text(float value, char out[32]) {
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(out, 32, "%.*g", digits, (double)value);
        if (strtof(out, NULL) == value)
            break;
    }
    return out;
}

void example_json_number(FILE *out, double value) {
    char text[32];
    fputs(isfinite(value) ? example_number_text(value, text) : "null", out);
}

void example_json_member(FILE *out, const char *key, double value) {
    fprintf(out, ", \"%s\": ", key);
    example_json_number(out, value);
}

const char *example_measure_text(double value, char out[32]) {
    const double size = fabs(value);
    if (isnan(value))
        snprintf(out, 32, "-");
    else
        snprintf(out, 32, value == 0 || (size >= 0.1 && size < 1e6) ? "%.4f" : "%.5g", value);
    return out;
}

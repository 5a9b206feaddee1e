/* fuzz_bench.c: random bytes as files of the benchmark program: an earlier --json, which rows are
 * held against and which is shown as a page, and a table of instances. */
#include "fuzz_file.h"

#include "bench_instances.h"
#include "bench_table.h"

static void use_document(const uint8_t *data, size_t size) {
    static const char *const commands[] = {"train", "ops", "compare"};
    json_t *document = json_loadb((const char *)data, size, 0, NULL);
    for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
        const bench_layout *layout = bench_layout_of(commands[i]);
        json_t *rows = json_deep_copy(json_object_get(document, "rows"));
        if (json_is_array(rows) && json_array_size(rows) < 1000) {
            bench_mark_changes(layout, rows, document);
            for (size_t row = 0; row < json_array_size(rows); row++)
                bench_print_row(layout, json_array_get(rows, row));
            bench_write_page("/dev/null", layout, document);
        }
        json_decref(rows);
    }
    json_decref(document);
}

/* ---- documents that stay JSON -----------------------------------------------------------------
 */

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t most);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed);

/* What may come in the place of any value. */
static json_t *odd_value(unsigned which) {
    static const char *const values[] = {
        "null",  "true", "-1",    "0",         "1e308",   "\"a text\"", "\"<&\\\"\"",    "[]", "{}",
        "1e-99", "[{}]", "[[1]]", "[null, 2]", "\"cpu\"", "2147483648", "{\"rows\": []}"};
    return json_loads(values[which % (sizeof(values) / sizeof(*values))], JSON_DECODE_ANY, NULL);
}

/* Goes down into a value, at random, and changes something of what is there. */
static void change_value(json_t *at, unsigned seed) {
    for (int depth = 0; depth < 8; depth++, seed = seed * 1664525u + 1013904223u) {
        const unsigned choice = seed >> 8;
        void *member = json_object_iter(at);
        for (size_t i = choice % (json_object_size(at) + 1);
             i > 0 && json_object_iter_next(at, member); i--)
            member = json_object_iter_next(at, member);
        const size_t index = json_array_size(at) > 0 ? choice % json_array_size(at) : 0;
        json_t *below = member ? json_object_iter_value(member) : json_array_get(at, index);
        if (!below || choice % 3 == 0 || !(json_is_object(below) || json_is_array(below))) {
            if (member && choice % 7 == 0)
                json_object_del(at, json_object_iter_key(member));
            else if (member)
                json_object_iter_set_new(at, member, odd_value(choice >> 4));
            else if (json_array_set_new(at, index, odd_value(choice >> 4)) != 0)
                json_array_append_new(at, odd_value(choice >> 5));
            return;
        }
        at = below;
    }
}

/* Bytes that are no JSON, tables of instances, change as libFuzzer changes them; and so does JSON
 * at times. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed) {
    json_t *document = seed % 8 ? json_loadb((const char *)data, size, 0, NULL) : NULL;
    if (!document)
        return LLVMFuzzerMutate(data, size, most);
    change_value(document, seed);
    const size_t changed = json_dumpb(document, (char *)data, most, JSON_COMPACT);
    json_decref(document);
    return changed <= most ? changed : size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static FILE *nowhere;
    FILE *out = stdout, *err = stderr;
    int code = 0;
    if (!nowhere)
        nowhere = fopen("/dev/null", "w");
    stdout = stderr = nowhere;
    use_document(data, size);
    json_t *instances = bench_instances(fuzz_file(data, size), &code);
    if ((instances == NULL) != (code != 0))
        abort();
    json_decref(instances);
    stdout = out;
    stderr = err;
    return 0;
}

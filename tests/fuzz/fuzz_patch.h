/* fuzz_patch.h: a safetensors file that the library wrote, changed by lines of the fuzzer's bytes.
 *
 *   KEY=VALUE   sets a text of the metadata
 *   KEY-        takes it away
 *   @N=TEXT     writes TEXT over the file's bytes from N on, the header's included
 *
 * The checksums go under another name, as in the files of other programs, so that readers get to
 * see what was changed. */
#ifndef FUZZ_PATCH_H
#define FUZZ_PATCH_H

#include "fuzz_file.h"

#include <jansson.h>
#include <string.h>

enum { PATCH_LENGTH_BYTES = 8 };

typedef struct fuzz_bytes {
    char *data;
    size_t size;
} fuzz_bytes;

static inline fuzz_bytes fuzz_read(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END) != 0)
        abort();
    fuzz_bytes all = {.size = (size_t)ftell(file)};
    all.data = malloc(all.size + 1);
    rewind(file);
    if (!all.data || fread(all.data, 1, all.size, file) != all.size)
        abort();
    fclose(file);
    return all;
}

/* A file as its parsed header and the bytes of its tensors. */
typedef struct fuzz_parts {
    json_t *header;
    fuzz_bytes tensors;
} fuzz_parts;

static inline fuzz_parts fuzz_take_apart(const fuzz_bytes *whole) {
    uint64_t length;
    memcpy(&length, whole->data, sizeof(length));
    const size_t before = PATCH_LENGTH_BYTES + length;
    json_t *header = json_loadb(whole->data + PATCH_LENGTH_BYTES, length, 0, NULL);
    json_t *metadata = json_object_get(header, "__metadata__");
    json_object_del(metadata, "quern.checksum.header");
    json_object_del(metadata, "quern.checksum.tensors");
    return (fuzz_parts){header, {whole->data + before, whole->size - before}};
}

/* One line that changes the metadata. What is no UTF-8 cannot stand there, and changes nothing. */
static inline void fuzz_change_metadata(json_t *metadata, char *line) {
    char *value = strchr(line, '=');
    const size_t length = strlen(line);
    if (value) {
        *value = '\0';
        json_object_set_new(metadata, line, json_string(value + 1));
    } else if (length > 0 && line[length - 1] == '-') {
        line[length - 1] = '\0';
        json_object_del(metadata, line);
    }
}

static inline void fuzz_overwrite(fuzz_bytes *file, const char *line) {
    char *text;
    const unsigned long long at = strtoull(line + 1, &text, 10);
    for (size_t i = 1; *text == '=' && text[i] && at + i - 1 < file->size; i++)
        file->data[at + i - 1] = text[i];
}

/* Puts a file together; to be freed. */
static inline fuzz_bytes fuzz_put_together(const fuzz_parts *parts) {
    char *header = json_dumps(parts->header, JSON_COMPACT);
    const uint64_t length = strlen(header);
    fuzz_bytes whole = {.size = PATCH_LENGTH_BYTES + length + parts->tensors.size};
    whole.data = malloc(whole.size);
    memcpy(whole.data, &length, sizeof(length));
    memcpy(whole.data + PATCH_LENGTH_BYTES, header, length);
    memcpy(whole.data + PATCH_LENGTH_BYTES + length, parts->tensors.data, parts->tensors.size);
    free(header);
    return whole;
}

/* The path of a file that is `whole` with the changes of these lines. */
static inline const char *fuzz_patched(const fuzz_bytes *whole, const uint8_t *lines, size_t size) {
    fuzz_parts parts = fuzz_take_apart(whole);
    for (int bytes = 0; bytes < 2; bytes++) { /* the metadata first: it moves what is behind it */
        char *text = strndup((const char *)lines, size), *state = NULL;
        fuzz_bytes file = fuzz_put_together(&parts);
        for (char *line = strtok_r(text, "\n", &state); line; line = strtok_r(NULL, "\n", &state))
            if (bytes == 0 && *line != '@')
                fuzz_change_metadata(json_object_get(parts.header, "__metadata__"), line);
            else if (bytes == 1 && *line == '@')
                fuzz_overwrite(&file, line);
        if (bytes == 1)
            fuzz_file((const uint8_t *)file.data, file.size);
        free(file.data);
        free(text);
    }
    json_decref(parts.header);
    return fuzz_file_path();
}

#endif

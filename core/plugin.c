/* plugin.c: backends in shared objects of their own: where they are looked for, and what is asked
 * of one before it is trusted.
 *
 * The backend of kind "cuda" is libquern-cuda.so. It is looked for in the folders of
 * QUERN_BACKEND_PATH (absolute ones), beside the library, and where the library was installed;
 * never in the current folder. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plugin.h"

#define PREFIX "libquern-"
/* What a machine with a GPU mostly lacks. */
#define CUDA_WANTS                                                                                 \
    "; it is built where a CUDA Toolkit and cuDNN are found (backends/cuda/README.md)"
#define SUFFIX ".so"

enum { PATH_SIZE = 4096, MOST_FOLDERS = 16 };

/** The folders to look in, in order. */
typedef struct folders {
    int count;
    char path[MOST_FOLDERS][PATH_SIZE];
} folders;

/* ---- where ------------------------------------------------------------------------------- */

static void add_folder(folders *list, const char *path, size_t length) {
    if (length == 0 || path[0] != '/' || length >= PATH_SIZE || list->count == MOST_FOLDERS)
        return;
    memcpy(list->path[list->count], path, length);
    list->path[list->count++][length] = '\0';
}

static void add_folders_of_environment(folders *list) {
    const char *path = secure_getenv("QUERN_BACKEND_PATH");
    while (path && *path) {
        size_t length = strcspn(path, ":");
        add_folder(list, path, length);
        path += length + (path[length] == ':');
    }
}

/** The folder of the object that this code is in: the shared library, or the program. False when
 * memory is out. */
static bool add_folder_beside(folders *list) {
    Dl_info here;
    errno = 0;
    char *real = dladdr((const void *)qn_version, &here) ? realpath(here.dli_fname, NULL) : NULL;
    const char *slash = real ? strrchr(real, '/') : NULL;
    const bool memory_is_out = !real && errno == ENOMEM;
    if (slash)
        add_folder(list, real, (size_t)(slash - real));
    free(real);
    return !memory_is_out;
}

/** To be freed; NULL when memory is out. */
static folders *find_folders(void) {
    folders *list = calloc(1, sizeof(*list));
    if (!list)
        return NULL;
    add_folders_of_environment(list);
    if (!add_folder_beside(list)) {
        free(list);
        return NULL;
    }
    add_folder(list, QUERN_PLUGIN_DIR, strlen(QUERN_PLUGIN_DIR));
    return list;
}

/** The file of a kind in the first folder that has it; false when none has. */
static bool find_file(const folders *list, const char *kind, char *path, size_t size) {
    for (int i = 0; i < list->count; i++) {
        int length = snprintf(path, size, "%s/" PREFIX "%s" SUFFIX, list->path[i], kind);
        if (length > 0 && (size_t)length < size && access(path, F_OK) == 0)
            return true;
    }
    return false;
}

/** The kind that a file name stands for; false for other files. */
static bool kind_of_file(const char *name, char *kind) {
    size_t length = strlen(name), prefix = strlen(PREFIX), suffix = strlen(SUFFIX);
    if (length <= prefix + suffix || length - prefix - suffix >= QNI_KIND_SIZE ||
        strncmp(name, PREFIX, prefix) != 0 || strcmp(name + length - suffix, SUFFIX) != 0)
        return false;
    memcpy(kind, name + prefix, length - prefix - suffix);
    kind[length - prefix - suffix] = '\0';
    return qni_plugin_is_kind(kind);
}

/** Adds the kinds that a folder has; how many there are then, -1 when memory is out. */
static int add_kinds(const char *folder, char kinds[][QNI_KIND_SIZE], int count, int most) {
    DIR *dir = opendir(folder);
    if (!dir && errno == ENOMEM)
        return -1;
    const struct dirent *entry;
    while (dir && count < most && (entry = readdir(dir))) {
        bool known = !kind_of_file(entry->d_name, kinds[count]);
        for (int i = 0; i < count && !known; i++)
            known = strcmp(kinds[i], kinds[count]) == 0;
        count += !known;
    }
    if (dir)
        closedir(dir);
    return count;
}

static int by_name(const void *a, const void *b) { return strcmp(a, b); }

int qni_plugin_list(char kinds[][QNI_KIND_SIZE], int most) {
    folders *list = find_folders();
    int count = list ? 0 : -1;
    for (int i = 0; count >= 0 && i < list->count; i++)
        count = add_kinds(list->path[i], kinds, count, most);
    free(list);
    if (count < 0)
        return count;
    qsort(kinds, (size_t)count, QNI_KIND_SIZE, by_name); /* a folder's own order means nothing */
    return count;
}

bool qni_plugin_is_kind(const char *kind) {
    return *kind && kind[strspn(kind, "abcdefghijklmnopqrstuvwxyz0123456789_")] == '\0';
}

/* ---- what is asked of a backend ---------------------------------------------------------- */

/** A range of addresses, and whether one segment of a loaded object holds it whole. */
typedef struct range {
    uintptr_t start, end;
    bool inside;
} range;

static int look_in_object(struct dl_phdr_info *info, size_t size, void *data) {
    (void)size;
    range *wanted = data;
    for (int i = 0; i < info->dlpi_phnum && !wanted->inside; i++) {
        uintptr_t start = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
        uintptr_t end = start + info->dlpi_phdr[i].p_memsz;
        wanted->inside =
            info->dlpi_phdr[i].p_type == PT_LOAD && start <= wanted->start && wanted->end <= end;
    }
    return wanted->inside;
}

/** Whether memory from `start` on is part of a loaded object, as a constant struct is. */
static bool is_loaded(const void *start, size_t bytes) {
    range wanted = {(uintptr_t)start, (uintptr_t)start + bytes, false};
    if (wanted.end >= wanted.start)
        dl_iterate_phdr(look_in_object, &wanted);
    return wanted.inside;
}

/* What the first version of the struct had; fields after it may be missing. */
enum {
    FIRST_SIZE =
        offsetof(qn_backend, default_threads) + sizeof(((const qn_backend *)NULL)->default_threads)
};

/** The first thing that version 1 needs and `b` does not have, NULL if nothing. */
static const char *missing(const qn_backend *b) {
    const struct {
        bool there;
        const char *name;
    } needed[] = {
        {b->name, "name"},
        {b->score, "score"},
        {b->open, "open"},
        {b->close, "close"},
        {b->describe, "describe"},
        {b->providers, "providers"},
        {b->alloc, "alloc"},
        {b->free, "free"},
        {b->to_device, "to_device"},
        {b->to_host, "to_host"},
        {b->synchronize, "synchronize"},
        {b->queue, "queue"},
        {b->default_threads, "default_threads"},
    };
    for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
        if (!needed[i].there)
            return needed[i].name;
    return NULL;
}

/* A backend that knows of provider_size has providers of that size, and must say it. */
enum { FIRST_SIZED = offsetof(qn_backend, provider_size), FIRST_PROVIDER = 2 * sizeof(void *) };

/** Whether a struct of this size is that of a backend of this kind; else the reason. */
static bool fits_kind(const qn_backend *given, const qn_backend *copy, const char *kind,
                      char *reason) {
    const char *lack = missing(copy);
    if (lack)
        snprintf(reason, QN_REASON_SIZE, "it has no %s", lack);
    else if (strcmp(copy->name, kind) != 0)
        snprintf(reason, QN_REASON_SIZE, "it calls itself '%.32s'", copy->name);
    else if (given->size > FIRST_SIZED && copy->provider_size < FIRST_PROVIDER)
        snprintf(reason, QN_REASON_SIZE,
                 "it gives %u bytes as the size of a provider (provider_size), too few",
                 copy->provider_size);
    else
        return true;
    return false;
}

/** Copies the struct of a backend of this kind that can be trusted; else the reason. */
static bool accept_backend(const qn_backend *given, const char *kind, qn_backend *copy,
                           char *reason) {
    if (!given)
        snprintf(reason, QN_REASON_SIZE, "it declines to work with interface %d", QN_BACKEND_ABI);
    else if (!is_loaded(given, sizeof(given->size) + sizeof(given->abi)))
        snprintf(reason, QN_REASON_SIZE, "what it returned is no part of it");
    else if (given->abi != QN_BACKEND_ABI)
        snprintf(reason, QN_REASON_SIZE, "it is built for interface %u, this library has %d (%s)",
                 given->abi, QN_BACKEND_ABI, given->abi < QN_BACKEND_ABI ? "too old" : "too new");
    else if (given->size < FIRST_SIZE || !is_loaded(given, given->size))
        snprintf(reason, QN_REASON_SIZE, "it gives %u bytes as the size of its struct, %s",
                 given->size, given->size < FIRST_SIZE ? "too few" : "more than it has");
    else {
        memcpy(copy, given, given->size < sizeof(*copy) ? given->size : sizeof(*copy));
        return fits_kind(given, copy, kind, reason);
    }
    return false;
}

/* ---- whether a file is all there --------------------------------------------------------- */

/** Whether `count` headers of `size` bytes from `offset` on lie within a file of `bytes`. */
static bool within(uint64_t offset, uint64_t count, uint64_t size, uint64_t bytes) {
    return offset <= bytes && count * size <= bytes - offset;
}

/** Whether a file has every byte that its ELF headers name: the loader maps what is not there as
 * well, and the program dies at the first touch. What is no ELF file at all is left to the loader
 * to refuse. */
static bool is_whole(const char *path) {
    ElfW(Ehdr) head;
    FILE *file = fopen(path, "rb");
    bool whole = true;
    if (file && fread(&head, sizeof(head), 1, file) == 1 &&
        memcmp(head.e_ident, ELFMAG, SELFMAG) == 0 && fseek(file, 0, SEEK_END) == 0) {
        uint64_t bytes = (uint64_t)ftell(file);
        whole = within(head.e_phoff, head.e_phnum, sizeof(ElfW(Phdr)), bytes) &&
                within(head.e_shoff, head.e_shnum, head.e_shentsize, bytes) &&
                fseek(file, (long)head.e_phoff, SEEK_SET) == 0;
        for (int i = 0; i < head.e_phnum && whole; i++) {
            ElfW(Phdr) part;
            whole = fread(&part, sizeof(part), 1, file) == 1 &&
                    within(part.p_offset, 1, part.p_filesz, bytes);
        }
    }
    if (file)
        fclose(file);
    return whole;
}

/* ---- whether it is to be trusted ---------------------------------------------------------- */

/** Whether nobody but root and this process' user may change a file or folder. */
static bool is_guarded(const char *path) {
    struct stat there;
    return stat(path, &there) == 0 && !(there.st_mode & S_IWOTH) &&
           (there.st_uid == 0 || there.st_uid == geteuid());
}

/** What speaks against running the code of a file; NULL where nothing does. */
static const char *find_distrust(const char *path) {
    char folder[PATH_SIZE + QNI_KIND_SIZE];
    snprintf(folder, sizeof(folder), "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash)
        *slash = '\0';
    if (!is_guarded(path))
        return "not loaded: others than root and this user may write to it";
    return slash && !is_guarded(folder)
               ? "not loaded: others than root and this user may write to its folder"
               : NULL;
}

/* ---- loading ----------------------------------------------------------------------------- */

static qn_status open_object(const char *path, const char *kind, const qn_host *host,
                             qni_plugin *plugin, char *reason) {
    const char *distrust = find_distrust(path);
    if (distrust) {
        snprintf(reason, QN_REASON_SIZE, "%s", distrust);
        return QN_DEVICE_ERROR;
    }
    if (!is_whole(path)) {
        snprintf(reason, QN_REASON_SIZE, "the file is cut short");
        return QN_DEVICE_ERROR;
    }
    errno = 0;
    /* A vendor's libraries keep threads and handlers of their own: they stay mapped. */
    plugin->object = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!plugin->object) {
        const bool memory = errno == ENOMEM;
        snprintf(reason, QN_REASON_SIZE, "%s", memory ? "out of memory" : dlerror());
        return memory ? QN_OUT_OF_MEMORY : QN_DEVICE_ERROR;
    }
    /* POSIX gives functions as object pointers; a union says so without a cast. */
    union {
        void *object;
        qn_backend_entry function;
    } entry = {dlsym(plugin->object, QN_BACKEND_ENTRY_NAME)};
    if (entry.object) {
        if (accept_backend(entry.function(host), kind, &plugin->backend, reason))
            return QN_OK;
    } else {
        snprintf(reason, QN_REASON_SIZE, "it does not export %s", QN_BACKEND_ENTRY_NAME);
    }
    qni_plugin_unload(plugin);
    return QN_DEVICE_ERROR;
}

static void list_folders(const folders *list, char *words, size_t size) {
    size_t used = 0;
    words[0] = '\0';
    for (int i = 0; i < list->count && used < size; i++)
        used += (size_t)snprintf(words + used, size - used, "%s%s", i ? ", " : "", list->path[i]);
}

qn_status qni_plugin_load(const char *kind, const qn_host *host, qni_plugin *plugin, char *message,
                          size_t size) {
    char path[PATH_SIZE + QNI_KIND_SIZE], reason[QN_REASON_SIZE] = "";
    *plugin = (qni_plugin){0};
    folders *list = find_folders();
    if (!list) {
        snprintf(message, size, "out of memory");
        return QN_OUT_OF_MEMORY;
    }
    qn_status status = QN_DEVICE_ERROR;
    if (!find_file(list, kind, path, sizeof(path))) {
        list_folders(list, path, sizeof(path));
        snprintf(message, size, "no " PREFIX "%s" SUFFIX " in %s%s", kind, path,
                 strcmp(kind, "cuda") == 0 ? CUDA_WANTS : "");
    } else {
        status = open_object(path, kind, host, plugin, reason);
        if (status != QN_OK)
            snprintf(message, size, "%s: %s", path, reason);
    }
    free(list);
    return status;
}

void qni_plugin_unload(qni_plugin *plugin) {
    if (plugin->object)
        dlclose(plugin->object);
    plugin->object = NULL;
}

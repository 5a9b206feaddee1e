/* test_lessons.c: every lesson runs, and the page of lessons shows it as it is. */
#include "scratch.h"

TestSuite(lessons, .init = scratch_open, .fini = scratch_close);

static const char sources[] = QUERN_SOURCE_DIR "/examples/lessons";

typedef void (*lesson_fn)(const char *file);

/** Calls `check` with the file name of each lesson: those that start with a number. */
static void each_lesson(lesson_fn check) {
    DIR *folder = opendir(sources);
    cr_assert_not_null(folder);
    int lessons = 0;
    for (struct dirent *entry; (entry = readdir(folder));) {
        if (entry->d_name[0] < '0' || entry->d_name[0] > '9')
            continue;
        check(entry->d_name);
        lessons++;
    }
    closedir(folder);
    cr_expect_geq(lessons, 6);
}

static void runs(const char *file) {
    char command[512];
    cr_assert_eq(chdir(scratch_folder), 0);
    snprintf(command, sizeof(command), "%s/lessons/%.*s > out 2> err", QUERN_BIN_DIR,
             (int)strlen(file) - 2, file);
    cr_expect_eq(system(command), 0, "%s", file);
}

Test(lessons, every_lesson_runs) { each_lesson(runs); }

static void is_on_the_page(const char *file) {
    char path[1024];
    size_t size;
    snprintf(path, sizeof(path), "%s/README.md", sources);
    char *page = scratch_read(path, &size);
    snprintf(path, sizeof(path), "%s/%s", sources, file);
    char *program = scratch_read(path, &size);
    cr_expect(strstr(page, program), "examples/lessons/README.md does not show %s as it is", file);
    free(page);
    free(program);
}

Test(lessons, the_page_shows_each_as_it_is) { each_lesson(is_on_the_page); }

/* planted_leak.c: a test that leaks on purpose. The sanitizer gate of ./run tests runs it and fails
 * when the leak is not reported: Criterion alone calls this test passed. */
#include <criterion/criterion.h>
#include <stdlib.h>

Test(planted, leak) {
    void *volatile lost = malloc(100);
    cr_assert_not_null(lost);
    lost = NULL;
}

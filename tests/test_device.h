/* test_device.h: the device that tests run on: QUERN_TEST_DEVICE, else the CPU. */
#ifndef TEST_DEVICE_H
#define TEST_DEVICE_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static inline const char *test_device(void) {
    const char *device = getenv("QUERN_TEST_DEVICE");
    return device && *device ? device : "cpu";
}

/** Tests of what the CPU alone has (its providers, memory that the host can touch) ask this. */
static inline bool test_on_cpu(void) { return strcmp(test_device(), "cpu") == 0; }

#endif

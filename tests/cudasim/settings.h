/* settings.h: how the simulated device behaves, from the environment (README.md lists the
 * variables). */
#ifndef CUDASIM_SETTINGS_H
#define CUDASIM_SETTINGS_H

#include <cstddef>

#include "block.h"

namespace cudasim {

struct Settings {
    Order order;    /**< CUDASIM_ORDER: forward, reverse, shuffled */
    bool eager;     /**< CUDASIM_EAGER=1: queued work runs at once, not when it is waited for */
    bool protect;   /**< CUDASIM_PROTECT=0: the host may touch device memory unnoticed */
    size_t memory;  /**< CUDASIM_MEMORY: bytes of the device */
    int capability; /**< CUDASIM_CAPABILITY: 10 major + minor */
    int devices;    /**< CUDASIM_DEVICES: how many there are, all in one range of memory */
};
const Settings &settings();

} // namespace cudasim
#endif

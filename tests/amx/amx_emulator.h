/* amx_emulator.h: AMX instructions executed by a signal handler (README.md). */
#ifndef QUERN_AMX_EMULATOR_H
#define QUERN_AMX_EMULATOR_H

/** From now on SIGILL is looked at: instructions of AMX are executed, others meet what was there
 * before. */
void amx_emulator_install(void);

/** Instructions executed so far, by all threads. */
unsigned long amx_emulator_count(void);

#endif

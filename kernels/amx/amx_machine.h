/* amx_machine.h: whether this process may use tiles. */
#ifndef QN_AMX_MACHINE_H
#define QN_AMX_MACHINE_H

/** What is missing for bf16 products on tiles, in words; NULL: nothing. The first call asks the
 * operating system for the permission. */
const char *qnk_amx_missing(void);

#endif

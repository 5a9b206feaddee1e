/* cpu_quota.h: how many processors the process may use. */
#ifndef QUERN_CPU_QUOTA_H
#define QUERN_CPU_QUOTA_H

/** Processors that the process may run on (its affinity), looked up once. */
int cpu_processors(void);

/** The same, or fewer where a control group grants less time than that: `docker run --cpus=2`, a
 * pod's limit. A part of a processor counts as one. */
int cpu_granted(void);

#endif

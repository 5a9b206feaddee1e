/* openblas_serial.h: OpenBLAS on the calling thread alone.
 *
 * Quern divides products among threads itself, so that results do not depend on their number, and
 * each piece is one call of OpenBLAS that must not start threads of its own. How to say so depends
 * on the build of the library that is found at run time. */
#ifndef QN_OPENBLAS_SERIAL_H
#define QN_OPENBLAS_SERIAL_H

/** Begins a stretch in which OpenBLAS runs on its caller's thread. Call before threads share the
 * work, from any thread; stretches may overlap. In the pthread build the number of threads is one
 * setting of the whole process: it is 1 until the last stretch ends, then what it was. */
void qnk_openblas_serial_begin(void);

/** To be called by every thread that shares the work. In the OpenMP build OpenBLAS asks how many
 * threads the calling thread's next region may have: one, until qnk_openblas_thread_end() gets what
 * this returned. */
int qnk_openblas_serial_thread(void);
void qnk_openblas_thread_end(int before);

/** Ends what qnk_openblas_serial_begin() began. */
void qnk_openblas_serial_end(void);

#endif

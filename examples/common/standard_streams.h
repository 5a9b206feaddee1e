/* standard_streams.h: standard input, output and error, whatever the program was started with. */
#ifndef STANDARD_STREAMS_H
#define STANDARD_STREAMS_H

/** To be called first. From here on a closed pipe is an error of a write and ends nothing, and no
 * file that is opened gets the place of a stream that was closed. When the program ends well though
 * not all could be written to standard output, it says so in a line that begins with `name`, which
 * is kept, and exits with `code`. */
void standard_streams_guard(const char *name, int code);

#endif

/* example_private.h: between the files of this folder. */
#ifndef EXAMPLE_PRIVATE_H
#define EXAMPLE_PRIVATE_H

#include "example.h"

/** The program that runs, set by example_main(). */
extern const example_program *example_running;

/** Fills the options from the command line. Returns EXAMPLE_OK, or the
 * exit code after the message. */
int example_parse(const example_program *program, int argc, char **argv, example_options *out);

/** Reads all of a safetensors file, says what was found, and returns the exit code. */
int example_verify(const example_options *options);

#endif

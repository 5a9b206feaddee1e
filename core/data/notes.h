/* notes.h: what a reader guessed about a file, in lines for whoever wants to show them. */
#ifndef QUERN_NOTES_H
#define QUERN_NOTES_H

#include "quern.h"

/** Lines of text, each ended by a newline; what does not fit is left out. */
typedef struct qni_notes {
    char text[1024];
} qni_notes;

/** Adds a line; `notes` NULL: nothing is done. */
void qni_notes_add(qni_notes *notes, const char *format, ...) QN_PRINTF(2, 3);

#endif

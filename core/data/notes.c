/* notes.c: lines of what readers guessed. */
#include <stdarg.h>
#include <string.h>

#include "data/notes.h"

void qni_notes_add(qni_notes *notes, const char *format, ...) {
    if (!notes)
        return;
    const size_t used = strlen(notes->text), room = sizeof(notes->text) - used;
    va_list arguments;
    va_start(arguments, format);
    const int length = vsnprintf(notes->text + used, room, format, arguments);
    va_end(arguments);
    if (length < 0 || (size_t)length + 1 >= room)
        notes->text[used] = '\0';
    else
        memcpy(notes->text + used + length, "\n", 2);
}

/* tokenizer.h: texts as tokens. */
#ifndef QUERN_TOKENIZER_H
#define QUERN_TOKENIZER_H

#include "quern.h"

/** Takes one token, which is not zero-terminated; false ends the work. */
typedef bool (*qni_take_token)(void *data, const char *token, size_t length);

/** Gives the words of a text in order to take(), as qn_tokenizer_opts describes them.
 *
 * False when memory is out or take() said so. */
bool qni_tokenize(const char *text, bool keep_case, qni_take_token take, void *data);

#endif

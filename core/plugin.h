/* plugin.h: backends in shared objects, between registry.c and plugin.c. */
#ifndef QUERN_PLUGIN_H
#define QUERN_PLUGIN_H

#include "internal.h"

/** Whether a word can be a kind of device: small letters, digits and underscores. */
bool qni_plugin_is_kind(const char *kind);
/** The kinds for which there is a plug-in to be tried, by name; at most `most`. -1 when memory is
 * out. */
int qni_plugin_list(char kinds[][QNI_KIND_SIZE], int most);
/** Loads the backend of a kind. On failure `message` tells the file and what is wrong with it. */
qn_status qni_plugin_load(const char *kind, const qn_host *host, qni_plugin *plugin, char *message,
                          size_t size);
void qni_plugin_unload(qni_plugin *plugin);

#endif

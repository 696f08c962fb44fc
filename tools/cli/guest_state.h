/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is remembered about a guest while it exists: its configuration, and the process that watches it. One small
 * JSON file a guest, named by its uuid (which stays the same when it reboots), in a directory that a host's reboot
 * empties. Written only by the process in charge: `create`, then the watcher.
 */
#ifndef CLI_GUEST_STATE_H
#define CLI_GUEST_STATE_H

#include <sys/types.h>

#include "cli/config.h"

struct guest_state {
    char uuid[CTL_UUID_TEXT];
    int64_t domid;   /* its last one, while it reboots */
    int64_t watcher; /* process id; 0: nobody watches */
    char state[16];  /* running, rebooting, preserved */
    struct json_value *tree;
    const struct json_value *config; /* in tree; or NULL */
};

extern const char *guest_state_dir; /* tests point it elsewhere */

/* 0 or -errno. The file is replaced as a whole: a reader sees the old one or the new one. */
int guest_state_write(const uint8_t uuid[16], uint32_t domid, pid_t watcher, const char *state, const struct config *c);
/* 0, -ENOENT, or another -errno; on 0 to be freed. */
int guest_state_read(const uint8_t uuid[16], struct guest_state *gs);
void guest_state_remove(const uint8_t uuid[16]);
/* All of them; *list is freed with guest_state_list_free(). Returns their number; 0 if there is no directory. */
size_t guest_state_list(struct guest_state **list);
void guest_state_list_free(struct guest_state *list, size_t n);
void guest_state_free(struct guest_state *gs);
/* Is its watcher alive? */
bool guest_state_watched(const struct guest_state *gs);
/* Is there a guest of this name (or last number) that is being built again for a reboot right now? */
bool guest_state_rebooting(const char *name_or_id);
/* A string of its configuration, or `otherwise`. */
const char *guest_state_text(const struct guest_state *gs, const char *key, const char *otherwise);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the tests of guests and of the supervisor share: a directory with a lock file, a log and a configuration, the
 * fake host (fake_ctl.h), command lines as processes, guests as a killed or living process left them.
 */
#ifndef GUEST_WORLD_H
#define GUEST_WORLD_H

#include "cli/guest.h"
#include "cli/supervisor.h"

#define POWEROFF 0
#define REBOOT   1
#define SUSPEND  2
#define CRASH    3
#define WATCHDOG 4

#define CONFIG(rest) "{\"name\":\"web2\",\"kernel\":\"/k\",\"memory\":64" rest "}"

extern char directory[64], log_path[112];
extern char out[16384], err_text[4096]; /* of the last umbra() */
extern struct ctl *ctl;

void slurp(const char *file, char *buf, size_t size);
/* Runs a command line in a child, since it may be killed: its exit code, or minus the signal. */
int umbra(const char *line);
int kill_supervisor(void);
/* As xenstore has it; 0: none. */
pid_t supervisor_pid(void);
/* Removes the copies of records (spare.h). */
void forget_copies(void);
/* An empty host for each test. */
int fresh(void **state);
/* A guest as a killed or living process left it: a record in a phase, and perhaps a domain. */
struct guest_state left(enum guest_phase phase, const char *config);
struct ctl_domain_info *domain_of(const struct guest_state *gs, uint32_t domid);
int settle(const struct guest_state *gs);
/* GUEST_PHASES: no record. */
enum guest_phase phase_of(const struct guest_state *gs);
int records(void);
void wait_records(int n);
/* Until the second domain of the host is this one, and runs. */
void wait_domain(uint32_t domid);
int nodes_below(const char *path);
/* Writes g.json, a configuration that is its own kernel. */
int world_config(void);
int world_setup(void **state);
int world_teardown(void **state);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A migration from this host, and what its files pass to each other: `migrate` (cmd_migrate.c), the guest's way to the
 * other host (migrate_send.c), what is shown of it (migrate_show.c), questions to the other host (migrate_ask.c).
 */
#ifndef CLI_MIGRATE_H
#define CLI_MIGRATE_H

#include <limits.h>

#include "cli/cli.h"
#include "cli/guest_move.h"
#include "cli/json.h"
#include "cli/transport.h"

struct migration {
    struct cli *cli;
    const char *name;
    struct way way;
    char key[PATH_MAX]; /* the path of tcp's */
    char guest[CTL_NAME_MAX];
    struct ctl_send send;
    struct ctl_send_state state;
    uint32_t domid;
    struct ctl_domain_info info;
    struct guest_state gs;              /* locked */
    uint64_t began_ms, ended_ms, up_ms; /* the last: when the other host said that it runs */
    uint64_t shown_ms, noted_ms;
    bool line_open; /* on the terminal */
    bool moved;     /* it runs there, whatever else happened */
};

uint64_t migrate_now_ms(void);

/*
 * migrate_send.c: 0 or -errno. m->moved: the guest is there, though something of it may be left here; else it goes on
 * here, or, *unresolved, that is not known.
 */
int migrate_send(struct migration *m, bool *unresolved, struct ctl_error *err);

/* migrate_show.c */
/* Called all the time: to the terminal or standard output, and to the record, about once a second. */
void migrate_show(struct migration *m, const struct ctl_send_state *now);
void migrate_line_end(struct migration *m);
int migrate_report(const struct migration *m);
/* The record's line as text for people. */
void migrate_print_move(const char *name, const struct json_value *move, FILE *f);

/* migrate_ask.c: questions to the other host, each on a connection of its own: a line of JSON there, and one back. */
/* 0 and the answer, to be freed; -EPROTO: the other side cannot be asked. */
int migrate_ask(const struct way *way, struct json_out *question, struct json_value **answer, struct ctl_error *err);
/* A question to be completed and closed. */
struct json_out *migrate_question(const char *what, const char *name, const uint8_t uuid[16]);
/* What is known of the guest there: its state in the words of the records, or "absent". 0 or -errno. */
int migrate_ask_state(const struct way *way, const struct guest_state *gs, char state[32], struct ctl_error *err);
/* At the other end: reads the rest of a question, whose first byte was read, and answers it. An exit code. */
int migrate_answer(struct cli *cli, int in, int out);

/* migrate_check.c: `migrate --check`, and its answer. */
int migrate_check(struct migration *m);
void migrate_answer_check(struct cli *cli, const struct json_value *question, struct json_out *answer);

#endif

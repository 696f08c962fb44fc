/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A migration from this host, and what its files pass to each other: `migrate` (cmd_migrate.c), the guest's way to the
 * other host (migrate_send.c), what is shown of it (migrate_show.c), questions to the other host (migrate_ask.c), and
 * what that one looks at (migrate_take.c).
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
    char key[PATH_MAX];     /* the path of tcp's */
    char command[PATH_MAX]; /* of --ssh */
    char *config;           /* what goes instead of the record's, or NULL */
    bool keep_domid;        /* the guest is to have its number there */
    char guest[CTL_NAME_MAX];
    struct ctl_send send;
    struct ctl_send_state state;
    uint32_t domid;
    struct ctl_domain_info info;
    struct guest_state gs;              /* locked */
    uint64_t began_ms, ended_ms, up_ms; /* the last: when the other host said that it runs */
    uint64_t shown_ms, noted_ms;
    bool line_open;   /* on the terminal */
    bool moved;       /* it runs there, whatever else happened */
    unsigned streams; /* connections for its pages, the first included: wanted; from the first round on, agreed */
    struct transport transport[CTL_STREAMS_MAX];
    unsigned opened; /* of these */
};

uint64_t migrate_now_ms(void);

/* cmd_migrate.c: values of its options, which settings may have as well (settings.h) */
#define MIGRATE_DOWNTIME "300ms"
/* "300ms" in milliseconds. NULL, or what is wrong with the text, to be said behind it. */
const char *migrate_time(const char *text, unsigned *ms);
/* "100M" in bytes a second. The same. */
const char *migrate_bandwidth(const char *text, uint64_t *bytes);

/*
 * migrate_send.c: 0 or -errno. m->moved: the guest is there, though something of it may be left here; else it goes on
 * here, or, *unresolved, that is not known.
 */
int migrate_send(struct migration *m, bool *unresolved, struct ctl_error *err);
/* The configuration that goes with the guest, as the stream has it (saved_config.h), freed by the caller. 0 or -errno.
 */
int migrate_config(struct migration *m, char **config, struct ctl_error *err);

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
/* The same on a connection whose banner was heard. -EPROTO: it is at its end. */
int migrate_exchange(const struct transport *t, struct json_out *question, struct json_value **answer,
                     struct ctl_error *err);
/* A question to be completed and closed. */
struct json_out *migrate_question(const char *what, const char *name, const uint8_t uuid[16]);
/* What is known of the guest there: its state in the words of the records, or "absent". 0 or -errno. */
int migrate_ask_state(const struct way *way, const struct guest_state *gs, char state[32], struct ctl_error *err);
/*
 * At the other end: reads the rest of a question, whose first byte was read, and answers it. An exit code. *streams is
 * set if a guest is to come on this connection, on so many in all: the answer is the caller's, migrate_gather().
 */
int migrate_answer(struct cli *cli, int in, int out, unsigned *streams);
/* An answer to be completed; it is closed, and said. */
struct json_out *migrate_answer_new(void);
int migrate_answer_say(int out, struct json_out *o, struct ctl_error *err);
bool migrate_says_ok(const struct json_value *answer);

/*
 * migrate_streams.c: when the banner was heard on m->transport[0], and m->streams are wanted: opens the others, and
 * sets m->streams to how many there are, of which the user hears if they are fewer. 0 or -errno.
 */
int migrate_streams_open(struct migration *m, struct ctl_error *err);
/* The others go beside the stream. */
int migrate_streams_use(struct migration *m, struct ctl_stream *stream, struct ctl_error *err);
/* What a question or an answer says: 1 if it says nothing, CTL_STREAMS_MAX at most; and as text. */
unsigned migrate_streams_of(const struct json_value *object);
void migrate_streams_text(unsigned n, char text[32]);

/* migrate_join.c: the other connections of a guest that comes. */
#define MIGRATE_TOKEN 32 /* bytes */
struct gathering {
    int listener;
    char token[2 * MIGRATE_TOKEN + 1];
    struct {
        int in, keeper; /* the keeper's process ends when it is closed */
    } other[CTL_STREAMS_MAX - 1];
    unsigned n;
};
/* Answers on the first one, and waits for the others. *g is {.listener = -1}; 0 or -errno, then migrate_scatter(). */
int migrate_gather(struct gathering *g, unsigned streams, int in, int out, struct ctl_error *err);
void migrate_scatter(struct gathering *g);
/* Another one: gives `in` to the first one, answers, and stays until that has ended. 0 or -errno. */
int migrate_join(const struct json_value *question, int in, int out, struct ctl_error *err);

/* migrate_take.c: what is looked at before a guest is taken, when it comes and when that is asked for. */
struct taking {
    int64_t twin;          /* its domain on this host, which it comes from, or CTL_NO_TWIN */
    struct guest_state gs; /* what its record is to be, which is not taken yet */
};
/*
 * 0 or -errno. is_asked: by this very host, of a guest that is still to leave. *c has the uuid then that the guest is
 * to have, and *taking all but what the move is called.
 */
int migrate_may_come(struct ctl *ctl, struct config *c, bool is_asked, struct taking *taking, struct ctl_error *err);

/* migrate_check.c: `migrate --check`, and its answer. */
extern const char *migrate_boot_id; /* the file that says which host this is, since when */
int migrate_check(struct migration *m);
void migrate_answer_check(struct cli *cli, const struct json_value *question, struct json_out *answer);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The file of moves that came here (see arrivals.h): lines of one length, "MOVE UUID NUMBER", padded with blanks; the
 * number says which is the oldest. It has its full size from the beginning, and a line is written over where it stands:
 * so when a guest is on its way there is room for what is to be remembered of it, and a line is the old or the new one.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/arrivals.h"
#include "cli/partial.h"

#define LINES     1024
#define LINE_SIZE 128 /* no line lies across two sectors */
#define STEP      "remember the move"

const char *arrivals_file = "/var/lib/umbra/arrivals";

struct arrivals {
    int fd; /* locked */
    char text[LINES][LINE_SIZE];
};

bool arrivals_named(const char *move)
{
    return move && strlen(move) == GUEST_MOVE_TEXT - 1 && strspn(move, "0123456789abcdef") == GUEST_MOVE_TEXT - 1;
}

static int failed(int code, const char *message, struct ctl_error *err)
{
    return ctl_error_set(err, code, STEP, arrivals_file, NULL, "%s", message);
}

static int put_all(int fd, const void *data, size_t size, off_t at)
{
    if (pwrite(fd, data, size, at) != (ssize_t)size)
        return errno ? -errno : -EIO;
    return fdatasync(fd) ? -errno : 0;
}

/* A file that is too short is new, or whoever made it was killed. */
static int read_all(struct arrivals *a, bool change)
{
    ssize_t n;

    memset(a->text, ' ', sizeof(a->text));
    for (unsigned i = 0; i < LINES; i++)
        a->text[i][LINE_SIZE - 1] = '\n';
    errno = 0;
    n = pread(a->fd, a->text, sizeof(a->text), 0);
    if (n < 0)
        return -errno;
    return n < (ssize_t)sizeof(a->text) && change ? put_all(a->fd, a->text, sizeof(a->text), 0) : 0;
}

/* A descriptor or -errno. */
static int open_file(bool change)
{
    char *end = strrchr(arrivals_file, '/'), *dir = NULL;
    int fd, rc = 0;

    if (change && end)
        dir = strndup(arrivals_file, (size_t)(end - arrivals_file));
    if (dir)
        rc = partial_directories(dir);
    free(dir);
    if (rc < 0)
        return rc;
    fd = open(arrivals_file, (change ? O_RDWR | O_CREAT : O_RDONLY) | O_CLOEXEC | O_NOFOLLOW, 0600);
    return fd < 0 ? -errno : fd;
}

static void close_it(struct arrivals *a)
{
    if (a->fd >= 0)
        close(a->fd);
    free(a);
}

/* NULL, and *rc: -ENOENT, which is not told, or what is wrong. */
static struct arrivals *open_it(bool change, int *rc, struct ctl_error *err)
{
    struct arrivals *a = malloc(sizeof(*a));

    *rc = -ENOMEM;
    if (a) {
        a->fd = open_file(change);
        *rc = a->fd < 0 ? a->fd : 0;
    }
    if (*rc == 0 && flock(a->fd, LOCK_EX))
        *rc = -errno;
    if (*rc == 0)
        *rc = read_all(a, change);
    if (*rc == 0)
        return a;
    if (*rc != -ENOENT || change)
        failed(*rc, "the file cannot be used", err);
    if (a)
        close_it(a);
    return NULL;
}

/* The number of a line, 0 if it is free or damaged. */
static unsigned long long number_of(const char line[LINE_SIZE])
{
    char move[GUEST_MOVE_TEXT], id[CTL_UUID_TEXT], copy[LINE_SIZE];
    unsigned long long n;

    memcpy(copy, line, LINE_SIZE);
    copy[LINE_SIZE - 1] = '\0';
    return sscanf(copy, "%32s %36s %llu", move, id, &n) == 3 && arrivals_named(move) ? n : 0;
}

static bool is_of(const char line[LINE_SIZE], const char *move)
{
    return number_of(line) && memcmp(line, move, GUEST_MOVE_TEXT - 1) == 0;
}

static int line_of(const struct arrivals *a, const char *move)
{
    for (int i = 0; i < LINES; i++) {
        if (is_of(a->text[i], move))
            return i;
    }
    return -1;
}

/* The oldest, of which free ones are the first; *next is greater than all. */
static int line_for(const struct arrivals *a, unsigned long long *next)
{
    int oldest = 0;

    *next = 1;
    for (int i = 0; i < LINES; i++) {
        unsigned long long n = number_of(a->text[i]);

        oldest = n < number_of(a->text[oldest]) ? i : oldest;
        *next = n >= *next ? n + 1 : *next;
    }
    return oldest;
}

static int put_line(struct arrivals *a, int i, const char *text)
{
    char line[LINE_SIZE + 1];

    snprintf(line, sizeof(line), "%-*s\n", LINE_SIZE - 1, text);
    return put_all(a->fd, line, LINE_SIZE, (off_t)i * LINE_SIZE);
}

int arrivals_ready(struct ctl_error *err)
{
    int rc;
    struct arrivals *a = open_it(true, &rc, err);

    if (a)
        close_it(a);
    return rc;
}

int arrivals_note(const char *move, const uint8_t uuid[16], struct ctl_error *err)
{
    char text[LINE_SIZE], id[CTL_UUID_TEXT];
    unsigned long long next;
    int rc, i;
    struct arrivals *a = open_it(true, &rc, err);

    if (!a)
        return rc;
    i = line_for(a, &next);
    ctl_uuid_format(uuid, id);
    snprintf(text, sizeof(text), "%s %s %llu", move, id, next);
    rc = put_line(a, i, text);
    if (rc < 0)
        failed(rc, "the file cannot be written", err);
    close_it(a);
    return rc;
}

void arrivals_strike(const char *move)
{
    int rc, i;
    struct arrivals *a = open_it(true, &rc, NULL);

    if (!a)
        return;
    i = line_of(a, move);
    if (i >= 0)
        put_line(a, i, "");
    close_it(a);
}

int arrivals_find(const char *move, uint8_t uuid[16], struct ctl_error *err)
{
    char id[CTL_UUID_TEXT] = "";
    int rc, i;
    struct arrivals *a = open_it(false, &rc, err);

    if (!a)
        return rc == -ENOENT ? 0 : rc;
    i = line_of(a, move);
    if (i >= 0)
        memcpy(id, a->text[i] + GUEST_MOVE_TEXT, CTL_UUID_TEXT - 1);
    close_it(a);
    if (i < 0)
        return 0;
    return ctl_uuid_parse(id, uuid) ? failed(-EBADMSG, "the file is damaged", err) : 1;
}

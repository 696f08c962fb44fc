// SPDX-License-Identifier: BSD-2-Clause
/*
 * The way to another host with an accident on it: passes bytes between its own ends and `umbra migrate-receive`, and
 * counts the messages of both ways (docs/migration-stream.md).
 *
 *   accident there|back|go N cable|receiver|sender|COMMAND
 *
 * When the first byte of message N (from 0) of that way has come, and nothing of it was passed on, the connection ends,
 * or the receiver or the sender is killed, or a command has broken something and the message goes on. With `go` the
 * message is the permission to go on, whichever it is by number. With one that is never reached nothing happens. At
 * the end, unless by the accident, /run/messages has how many there were: "there THERE back BACK". What begins with
 * another byte than a guest's stream is a question and passes whole.
 */
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define END 0u
#ifndef MESSAGES
#define MESSAGES "/run/messages"
#endif

/* What comes next on the way there: a head of so many bytes, which says how long the rest of the message is. */
enum part { XL_HEADER, LIBXL_HEADER, LIBXL_RECORD, IMAGE_HEADER, DOMAIN_HEADER, RECORD, LIBXL_END, GO };
static const size_t head_size[] = {48, 16, 8, 24, 16, 8, 8, 1};

static struct {
    enum part part;
    unsigned char head[48];
    size_t got;
    uint64_t body; /* of the message, not yet passed */
    int question;
} there;
static unsigned long messages[2], accident_at;
static int accident_back, accident_go;
static const char *accident_how;
static pid_t child;
static int to, from;

static void start(void)
{
    int in[2], out[2];

    if (pipe(in) || pipe(out))
        exit(1);
    child = fork();
    if (child == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        for (int fd = 3; fd < 64; fd++)
            close(fd);
        execlp("umbra", "umbra", "migrate-receive", (char *)NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    to = in[1];
    from = out[0];
}

static void leave(int status)
{
    close(to);
    close(from);
    close(0);
    close(1);
    waitpid(child, NULL, 0);
    exit(status);
}

static int is_it(int back)
{
    if (there.question)
        return 0;
    return accident_go ? !back && there.part == GO : back == accident_back && messages[back] == accident_at;
}

/* By a shell that has neither the stream nor the answers. */
static void command(void)
{
    pid_t shell = fork();

    if (shell == 0) {
        close(0);
        dup2(2, 1);
        execlp("sh", "sh", "-c", accident_how, (char *)NULL);
        _exit(127);
    }
    waitpid(shell, NULL, 0);
}

static void have_accident(void)
{
    int receiver = strcmp(accident_how, "receiver") == 0, sender = strcmp(accident_how, "sender") == 0;

    if (receiver)
        kill(child, SIGKILL);
    if (sender)
        kill(getppid(), SIGKILL);
    if (receiver || sender || strcmp(accident_how, "cable") == 0)
        leave(1);
    command();
}

/* A message begins. */
static void begin(int back)
{
    if (is_it(back))
        have_accident();
    messages[back]++;
}

static uint32_t word(size_t at)
{
    uint32_t value;

    memcpy(&value, there.head + at, sizeof(value));
    return value;
}

/* The head is complete: how much follows it, and what comes after that. */
static void next_part(void)
{
    there.got = 0;
    if (there.part == XL_HEADER)
        there.body = word(44);
    if (there.part == RECORD)
        there.body = (word(4) + 7ull) & ~7ull;
    if (there.part == GO)
        there.body = UINT64_MAX; /* the last one */
    else if (there.part != RECORD || word(0) == END)
        there.part++;
}

/* Follows n bytes of the way there, or of them as many as belong to the message; returns how many. */
static size_t follow(const unsigned char *data, size_t n)
{
    size_t use;

    if (there.body) {
        use = n < there.body ? n : (size_t)there.body;
        there.body -= use;
        return use;
    }
    if (there.got == 0 && there.part == XL_HEADER && *data != 'X')
        there.question = 1;
    if (there.got == 0)
        begin(0);
    if (there.question) {
        there.body = UINT64_MAX;
        return 0;
    }
    use = head_size[there.part] - there.got;
    use = n < use ? n : use;
    memcpy(there.head + there.got, data, use);
    there.got += use;
    if (there.got == head_size[there.part])
        next_part();
    return use;
}

/* The same of the way back: words that end with a line feed or a NUL, and a last byte by itself. */
static size_t follow_back(const unsigned char *data, size_t n)
{
    static int inside;
    size_t use = 0;

    if (!inside)
        begin(1);
    do
        inside = data[use] != '\n' && data[use] != 0;
    while (++use < n && inside);
    return use;
}

static int pass(int in, int out)
{
    static unsigned char data[65536];
    ssize_t n = read(in, data, sizeof(data));

    if (n <= 0)
        return 0;
    for (size_t at = 0; at < (size_t)n;) {
        size_t use = (in == 0 ? follow : follow_back)(data + at, (size_t)n - at);

        if (use && write(out, data + at, use) != (ssize_t)use)
            return 0;
        at += use;
    }
    return 1;
}

static void tell(void)
{
    FILE *file = there.question ? NULL : fopen(MESSAGES, "w");

    if (!file)
        return;
    fprintf(file, "there %lu back %lu\n", messages[0], messages[1]);
    fclose(file);
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    accident_back = strcmp(argv[1], "back") == 0;
    accident_go = strcmp(argv[1], "go") == 0;
    accident_at = strtoul(argv[2], NULL, 10);
    accident_how = argv[3];
    signal(SIGPIPE, SIG_IGN);
    start();
    for (struct pollfd p[2] = {{.fd = from, .events = POLLIN}, {.events = POLLIN}};;) {
        poll(p, 2, -1);
        if (p[0].revents && !pass(from, 1))
            break;
        if (!p[0].revents && p[1].revents && !pass(0, to)) {
            close(to);
            p[1].fd = -1;
        }
    }
    tell();
    leave(0);
}

// SPDX-License-Identifier: BSD-2-Clause
/*
 * A tap on the way of a guest's stream (docs/migration-stream.md), which leaves everything else as it is:
 *
 *   tap DIRECTORY COMMAND [ARGUMENT]...
 *
 * becomes COMMAND, and a process beside it passes on to its input what would have come there. Of a stream it writes a
 * file, stream.PID, or lane.PID of a connection that has only pages; what is no stream leaves none. The file has the
 * stream's records as far as they came whole, but not the pages in them, at which Debian's verifier does not look, and
 * each guest frame's entry as the difference to the one before it, which packs well: tests/lab/streams.py undoes that.
 * While it is being written its name ends in .part.
 */
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIBXC_CONTEXT 1u
#define PAGE_DATA     1u
#define END           0u
#define MOST          (16u << 20) /* of a record, as the restorer has it */

enum part { START, QUESTION, XL_HEADER, LIBXL_HEADER, LIBXL_RECORD, IMAGE_HEADER, DOMAIN_HEADER, RECORD, TAIL, OTHER };
static const size_t head_size[] = {[START] = 1,         [XL_HEADER] = 48,     [LIBXL_HEADER] = 16, [LIBXL_RECORD] = 8,
                                   [IMAGE_HEADER] = 24, [DOMAIN_HEADER] = 16, [RECORD] = 8};

static unsigned char unit[MOST + 64]; /* what begins with a head, without what is skipped */
static size_t got, need = 1;
static uint64_t skip;
static enum part part;
static int lane;
static const char *directory;
static char part_name[4096];
static FILE *file;

static uint32_t word(size_t at)
{
    uint32_t value;

    memcpy(&value, unit + at, sizeof(value));
    return value;
}

static void enter(enum part next)
{
    part = next;
    got = 0;
    need = head_size[next];
}

static int open_file(void)
{
    snprintf(part_name, sizeof(part_name), "%s/%s.%d.part", directory, lane ? "lane" : "stream", (int)getpid());
    file = fopen(part_name, "w");
    if (!file)
        perror(part_name);
    return file != NULL;
}

static void close_file(void)
{
    char name[sizeof(part_name)];

    if (!file)
        return;
    fclose(file);
    snprintf(name, sizeof(name), "%.*s", (int)strlen(part_name) - 5, part_name);
    rename(part_name, name);
}

/* How much a unit has beyond its head, once that is there, and how much of it is wanted. */
static void measure(void)
{
    uint64_t body = part == XL_HEADER ? word(44) : (word(4) + 7ull) & ~7ull, wanted = body;

    if (part == RECORD && word(0) == PAGE_DATA && body >= 8)
        wanted = 8; /* the number of entries, then as many of them */
    if (wanted > MOST) {
        part = TAIL; /* no stream that the verifier would take: as it comes */
        fwrite(unit, 1, got, file);
        return;
    }
    need = got + wanted;
    skip = body - wanted;
}

static void measure_list(void)
{
    uint64_t list = word(8) * 8ull;

    list = list < skip ? list : skip;
    if (list > MOST)
        list = 0;
    need = 16 + list;
    skip -= list;
}

static void differences(void)
{
    uint64_t before = 0, entry;

    for (size_t at = 16; at + 8 <= got; at += 8) {
        memcpy(&entry, unit + at, 8);
        before = entry - before;
        memcpy(unit + at, &before, 8);
        before = entry;
    }
}

/* A unit is whole. */
static void end_unit(void)
{
    if (part == RECORD && word(0) == PAGE_DATA)
        differences();
    fwrite(unit, 1, got, file);
    if (part == LIBXL_RECORD && word(0) != LIBXC_CONTEXT)
        enter(word(0) == END ? TAIL : LIBXL_RECORD);
    else if (part == RECORD && word(0) != END)
        enter(RECORD);
    else if (part == RECORD)
        enter(lane ? TAIL : LIBXL_RECORD);
    else
        enter(part + 1);
}

/* The first byte says what comes; it belongs to it. */
static void begin(void)
{
    part = unit[0] == 'X' ? XL_HEADER : unit[0] == '{' ? QUESTION : OTHER;
    need = part == XL_HEADER ? head_size[XL_HEADER] : 2;
    if (part == XL_HEADER && !open_file())
        part = OTHER;
}

/* A line of JSON, as it grows. After one that joins, records follow. */
static void question(void)
{
    if (unit[got - 1] != '\n') {
        need = got + 1;
        part = got < MOST ? QUESTION : OTHER;
        return;
    }
    unit[got] = 0;
    lane = strstr((char *)unit, "\"join\"") != NULL;
    enter(lane ? RECORD : START);
    if (lane && !open_file())
        part = OTHER;
}

/* As many bytes as were wanted have come. */
static void step(void)
{
    int has_body = part == XL_HEADER || part == LIBXL_RECORD || part == RECORD;

    if (part == START || part == QUESTION) {
        (part == START ? begin : question)();
        return;
    }
    if (has_body && got == head_size[part])
        measure();
    else if (part == RECORD && word(0) == PAGE_DATA && got == 16)
        measure_list();
    if (part != TAIL && got == need && !skip)
        end_unit();
}

static void follow(const unsigned char *data, size_t n)
{
    while (n && part != OTHER) {
        size_t use = got < need ? need - got : skip < n ? (size_t)skip : n;

        if (part == TAIL) {
            fwrite(data, 1, n, file);
            return;
        }
        use = use < n ? use : n;
        if (got < need) {
            memcpy(unit + got, data, use);
            got += use;
        } else {
            skip -= use;
        }
        data += use;
        n -= use;
        if (got == need)
            step();
    }
}

static int write_all(int fd, const unsigned char *data, size_t n)
{
    while (n) {
        ssize_t done = write(fd, data, n);

        if (done < 0 && errno != EINTR)
            return 0;
        data += done > 0 ? done : 0;
        n -= done > 0 ? (size_t)done : 0;
    }
    return 1;
}

static void pass(int to)
{
    static unsigned char data[65536];
    ssize_t n;

    while ((n = read(0, data, sizeof(data))) > 0 || (n < 0 && errno == EINTR)) {
        if (n > 0 && !write_all(to, data, (size_t)n))
            break;
        if (n > 0)
            follow(data, (size_t)n);
    }
    close_file();
}

int main(int argc, char **argv)
{
    int way[2];
    pid_t child;

    if (argc < 3 || pipe(way))
        return 2;
    directory = argv[1];
    child = fork();
    if (child == 0) {
        if (fork())
            _exit(0); /* the command has no child that it does not know of */
        signal(SIGPIPE, SIG_IGN);
        close(way[0]);
        close(1); /* the other way ends with the command */
        pass(way[1]);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    dup2(way[0], 0);
    close(way[0]);
    close(way[1]);
    execvp(argv[2], argv + 2);
    perror(argv[2]);
    return 127;
}

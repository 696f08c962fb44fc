/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The live screen of `top`, and all that knows curses.
 *
 * Nothing is drawn but what top.h makes of a sample, cut to the width of the screen; curses takes care of a size that
 * changes. The terminal is as before whatever ends it: signals only leave a note, and are sent again, for what they do
 * by default, when the screen is closed.
 */
#include <curses.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/top.h"

#define HEAD   4   /* lines above the first domain */
#define KEY_MS 200 /* for a signal to be seen, whatever curses does with it */

struct view {
    const struct top_screen *how;
    struct top_sample sample;
    enum top_order order;
    int first; /* row at the top */
    bool end;
};

static volatile sig_atomic_t received;

static void note_signal(int sig)
{
    received = sig;
}

static const int ending[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
#define N_ENDING ((int)(sizeof(ending) / sizeof(ending[0])))

/* Without SA_RESTART: the wait for a key ends. */
static void take_signals(struct sigaction before[N_ENDING])
{
    struct sigaction action = {.sa_handler = note_signal};

    received = 0;
    for (int i = 0; i < N_ENDING; i++)
        sigaction(ending[i], &action, &before[i]);
}

static void give_signals(const struct sigaction before[N_ENDING])
{
    for (int i = 0; i < N_ENDING; i++)
        sigaction(ending[i], &before[i], NULL);
}

static void put_line(int y, const char *text, attr_t attributes)
{
    if (y >= LINES)
        return;
    attron(attributes);
    mvaddnstr(y, 0, text, COLS);
    attroff(attributes);
}

static void draw_title(const struct view *v)
{
    char text[TOP_LINE], clock[16];
    time_t now = time(NULL);
    struct tm tm;

    strftime(clock, sizeof(clock), "%H:%M:%S", localtime_r(&now, &tm));
    snprintf(text, sizeof(text), "umbra top - %s   Xen ABI %u.%u   by %s   q quits, s sorts", clock,
             v->sample.host.major, v->sample.host.minor, top_order_name(v->order));
    put_line(0, text, A_BOLD);
}

static void draw(struct view *v)
{
    char line[TOP_LINE];

    erase();
    draw_title(v);
    top_summary(line, &v->sample);
    put_line(1, line, A_NORMAL);
    top_host(line, &v->sample);
    put_line(2, line, A_NORMAL);
    top_header(line);
    put_line(3, line, A_REVERSE);
    if (v->first >= v->sample.n)
        v->first = v->sample.n ? v->sample.n - 1 : 0;
    for (int i = v->first; i < v->sample.n && HEAD + i - v->first < LINES; i++) {
        top_row(line, &v->sample, &v->sample.rows[i], v->how->full);
        put_line(HEAD + i - v->first, line, A_NORMAL);
    }
    refresh();
}

static int take(struct view *v, struct ctl_error *err)
{
    struct top_sample now;
    int rc = top_take(v->how->ctl, &now, v->sample.rows ? &v->sample : NULL, err);

    if (rc < 0)
        return rc;
    free(v->sample.rows);
    v->sample = now;
    top_sort(&v->sample, v->order);
    return 0;
}

/* Does the key ask for another look at once? */
static bool on_key(struct view *v, int key)
{
    if (key == 'q' || key == 'Q') {
        v->end = true;
    } else if (key == 's' || key == 'S') {
        v->order = (v->order + 1) % TOP_ORDERS;
        top_sort(&v->sample, v->order);
    } else if (key == KEY_DOWN && v->first + 1 < v->sample.n) {
        v->first++;
    } else if (key == KEY_UP && v->first > 0) {
        v->first--;
    }
    return key == ' ';
}

static unsigned now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (unsigned)((uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000);
}

/* Keys, until it is time for the next look. A terminal that is gone gives neither keys nor time. */
static void wait_for_keys(struct view *v)
{
    unsigned begin = now_ms(), passed = 0;

    while (!v->end && !received && passed < v->how->delay_ms) {
        int key;

        timeout((int)(v->how->delay_ms - passed < KEY_MS ? v->how->delay_ms - passed : KEY_MS));
        key = getch();
        if (key == ERR && !isatty(STDIN_FILENO))
            v->end = true;
        if (key != ERR && on_key(v, key))
            return;
        if (key != ERR)
            draw(v);
        passed = now_ms() - begin;
    }
}

static int show(struct view *v, struct ctl_error *err)
{
    int rc = take(v, err);

    for (long i = 1; rc >= 0 && !v->end && !received; i++) {
        draw(v);
        if (v->how->iterations >= 0 && i > v->how->iterations)
            break;
        wait_for_keys(v);
        if (!v->end && !received)
            rc = take(v, err);
    }
    return rc;
}

int top_screen(const struct top_screen *how, struct ctl_error *err)
{
    struct view v = {.how = how};
    struct sigaction before[N_ENDING];
    SCREEN *screen;
    int rc;

    take_signals(before); /* first: curses takes those that nobody has, and ends the program itself */
    screen = newterm(NULL, stdout, stdin);
    if (!screen) {
        const char *term = getenv("TERM");

        give_signals(before);
        return ctl_error_set(err, -ENOTTY, "open the screen", term ? term : "TERM is not set",
                             "use -b, or set TERM to the name of a terminal that is known here",
                             "the terminal cannot be used");
    }
    cbreak();
    noecho();
    nonl();
    keypad(stdscr, TRUE);
    curs_set(0);
    rc = show(&v, err);
    endwin();
    delscreen(screen);
    free(v.sample.rows);
    give_signals(before);
    return rc < 0 ? rc : received;
}

// SPDX-License-Identifier: BSD-2-Clause
/*
 * What somebody else's program said last, for an error's message: from a pipe, or from the log that it writes to.
 *
 * Place: below hotplug.c and qemu.c. Invariant: bounded and printable, whatever the program writes.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libctl/device.h"

#define MOST_READS 128 /* until the caller looks at the time again */

void words_keep(struct words *w, const char *bytes, size_t n)
{
    size_t have = strlen(w->text);

    for (size_t i = 0; i < n; i++) {
        char c = (unsigned char)bytes[i] < ' ' || bytes[i] == 127 ? ' ' : bytes[i];

        if (have == WORDS) {
            memmove(w->text, w->text + 1, --have);
        }
        w->text[have++] = c;
    }
    w->text[have] = '\0';
    while (have && w->text[have - 1] == ' ') {
        w->text[--have] = '\0';
    }
}

bool words_hear(struct words *w, int fd)
{
    char bytes[512];
    ssize_t n = 1;

    for (int i = 0; i < MOST_READS && n > 0; i++) {
        n = read(fd, bytes, sizeof(bytes));
        words_keep(w, bytes, n > 0 ? (size_t)n : 0);
    }
    return n != 0;
}

off_t words_log_end(const char *path)
{
    struct stat st;

    return stat(path, &st) ? 0 : st.st_size;
}

void words_of_log(struct words *w, const char *path, off_t from)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    off_t end = words_log_end(path);

    if (fd < 0) {
        return;
    }
    lseek(fd, end - from > WORDS ? end - WORDS : from, SEEK_SET);
    words_hear(w, fd);
    close(fd);
}

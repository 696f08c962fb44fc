/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A key file: 64 hexadecimal digits and the end of a line, of a file that nobody but its owner may read or write. The
 * owner is whoever we are, or root. It is asked of the open file, so it is the one that is read.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tls/key.h"

#define DIGITS (2 * TLS_KEY_SIZE)
#define MAKE   "make one: (umask 077; openssl rand -hex 32 >FILE)"

struct complaint {
    char *why;
    size_t size;
};

static __attribute__((format(printf, 3, 4))) int complain(const struct complaint *c, int error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(c->why, c->size, format, args);
    va_end(args);
    return error;
}

static int check_file(int fd, const struct complaint *c)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return complain(c, -errno, "cannot be looked at: %s", strerror(errno));
    if (!S_ISREG(st.st_mode))
        return complain(c, -EINVAL, "is not a file");
    if (st.st_uid != 0 && st.st_uid != geteuid())
        return complain(c, -EPERM, "belongs to user %u", (unsigned)st.st_uid);
    if (st.st_mode & 077)
        return complain(c, -EPERM, "others than its owner may use it (mode %03o): chmod 600", st.st_mode & 0777);
    return 0;
}

static int value_of(char digit)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = digit ? strchr(digits, digit >= 'A' && digit <= 'F' ? digit + ('a' - 'A') : digit) : NULL;

    return at ? (int)(at - digits) : -1;
}

static int parse(const char *text, size_t length, uint8_t key[TLS_KEY_SIZE], const struct complaint *c)
{
    if (length && text[length - 1] == '\n')
        length--;
    if (length == 0)
        return complain(c, -EINVAL, "is empty; %s", MAKE);
    for (size_t i = 0; i < length; i++) {
        if (value_of(text[i]) < 0)
            return complain(c, -EINVAL, "has something other than hexadecimal digits, at %zu; %s", i + 1, MAKE);
    }
    if (length != DIGITS)
        return complain(c, -EINVAL, "does not have %d digits but %s%zu; %s", DIGITS, length > DIGITS ? "at least " : "",
                        length, MAKE);
    for (size_t i = 0; i < TLS_KEY_SIZE; i++)
        key[i] = (uint8_t)(value_of(text[2 * i]) << 4 | value_of(text[2 * i + 1]));
    return 0;
}

int key_read(const char *path, uint8_t key[TLS_KEY_SIZE], char *why, size_t size)
{
    const struct complaint c = {why, size};
    char text[DIGITS + 2];
    size_t length = 0;
    ssize_t n = 1;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), rc;

    if (fd < 0)
        return complain(&c, -errno, "cannot be opened: %s", strerror(errno));
    rc = check_file(fd, &c);
    while (rc == 0 && n > 0 && length < sizeof(text)) {
        n = read(fd, text + length, sizeof(text) - length);
        length += n > 0 ? (size_t)n : 0;
    }
    if (rc == 0 && n < 0)
        rc = complain(&c, -errno, "cannot be read: %s", strerror(errno));
    if (rc == 0)
        rc = parse(text, length, key, &c);
    explicit_bzero(text, sizeof(text));
    close(fd);
    return rc;
}

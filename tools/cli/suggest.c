/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * "Did you mean": the nearest candidate by edit distance, where a swap of neighbours counts as one edit.
 */
#include <string.h>

#include "cli/config.h"

#define LONGEST 32

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Three rows are enough: a swap looks back two. */
static size_t edit_distance(const char *a, size_t na, const char *b, size_t nb)
{
    size_t rows[3][LONGEST + 1], *two_up = rows[0], *up = rows[1], *row = rows[2], *spare;

    for (size_t j = 0; j <= nb; j++)
        up[j] = j;
    for (size_t i = 1; i <= na; i++) {
        row[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            row[j] = least(least(up[j], row[j - 1]) + 1, up[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], two_up[j - 2] + 1);
        }
        spare = two_up;
        two_up = up;
        up = row;
        row = spare;
    }
    return up[nb];
}

const char *suggest(const char *word, const char *(*next)(const void *ctx, size_t i), const void *ctx)
{
    size_t n = strlen(word), best = n <= 3 ? 2 : n / 3 + 2; /* this far or farther is no suggestion */
    const char *candidate, *found = NULL;

    if (n == 0 || n > LONGEST)
        return NULL;
    for (size_t i = 0; (candidate = next(ctx, i)) != NULL; i++) {
        size_t m = strlen(candidate), d;

        if (m > LONGEST || candidate[m - 1] == '*')
            continue;
        d = edit_distance(word, n, candidate, m);
        if (d < best && d < m) {
            best = d;
            found = candidate;
        }
    }
    return found;
}

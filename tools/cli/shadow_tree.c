/* SPDX-License-Identifier: BSD-2-Clause */
/* See shadow_tree.h. Neighbours that map neighbours with the same rights are shown as one. */
#include <inttypes.h>
#include <stdlib.h>

#include "cli/shadow_tree.h"

#define ADDRESS  UINT64_C(0x000ffffffffff000)
#define WRITE    2u
#define USER     4u
#define LARGE    0x80u
#define NOEXEC   (1ull << 63)
#define BORROWED (1ull << 52) /* another domain's memory, or a device's */
#define DEEPEST  5u

bool shadow_tree_make(struct shadow_tree *t, const struct ctl_shadow *list, size_t n)
{
    *t = (struct shadow_tree){.list = list, .n = n};
    for (size_t i = 0; i < n; i++)
        if (list[i].shadow >= t->numbers)
            t->numbers = list[i].shadow + 1;
    t->place = calloc((size_t)t->numbers + 1, sizeof(*t->place));
    t->shown = calloc((size_t)t->numbers + 1, sizeof(*t->shown));
    if (!t->place || !t->shown) {
        shadow_tree_free(t);
        return false;
    }
    for (size_t i = 0; i < n; i++)
        if (!list[i].is_entry)
            t->place[list[i].shadow] = i + 1;
    return true;
}

void shadow_tree_free(struct shadow_tree *t)
{
    free(t->place);
    free(t->shown);
    t->place = NULL;
    t->shown = NULL;
}

/* Entries follow their shadow: the end of those of the one at list[i]. */
static size_t end_of(const struct shadow_tree *t, size_t i)
{
    size_t end = i + 1;

    while (end < t->n && t->list[end].is_entry && t->list[end].shadow == t->list[i].shadow)
        end++;
    return end;
}

/* How many entries from list[i] on, up to end, are one mapping. */
static size_t run_length(const struct shadow_tree *t, size_t i, size_t end)
{
    const struct ctl_shadow *e = &t->list[i];
    uint64_t step = e->entry & LARGE && e->level > 1 ? 512 : 1;
    size_t n = 1;

    if (e->child)
        return 1;
    for (; i + n < end; n++) {
        const struct ctl_shadow *next = &e[n];

        if (next->child || next->index != e->index + n || next->has_gfn != e->has_gfn ||
            ((next->entry ^ e->entry) & ~ADDRESS) || (e->has_gfn && next->gfn != e->gfn + n * step) ||
            (!e->has_gfn && next->entry != e->entry + n * step * 4096))
            break;
    }
    return n;
}

/* The shadow that an entry names, as a place in the list plus one; 0: it is not there, or not of the level below. */
static size_t child_of(const struct shadow_tree *t, const struct ctl_shadow *e)
{
    size_t at = e->child < t->numbers ? t->place[e->child] : 0;

    return at && t->list[at - 1].level + 1u == e->level ? at : 0;
}

/* ---- text ---- */

static void print_shadow(const struct ctl_shadow *s, FILE *f)
{
    fprintf(f, "shadow %" PRIu32 ": level %u, ", s->shadow, s->level);
    if (s->format)
        fprintf(f, "guest of %u levels, ", s->format);
    else
        fputs("guest without paging, ", f);
    if (s->is_part)
        fprintf(f, "from guest frame %" PRIx64 " on", s->gfn);
    else if (s->has_gfn)
        fprintf(f, "table in guest frame %" PRIx64, s->gfn);
    else
        fputs("a vCPU's own root", f);
    if (s->format == 2 && s->level < 3 && !s->is_part)
        fprintf(f, ", part %u", s->quadrant);
    fprintf(f, ", %u entries", s->used);
    if (s->vcpus)
        fprintf(f, ", %u vCPUs run on it", s->vcpus);
    fputc('\n', f);
}

static void print_rights(const struct ctl_shadow *e, FILE *f)
{
    fprintf(f, " %s%s%s%s\n", e->entry & WRITE ? "rw" : "r-", e->entry & NOEXEC ? "-" : "x",
            e->entry & USER ? " user" : "", e->entry & BORROWED ? " borrowed" : "");
}

static void print_leaves(const struct ctl_shadow *e, size_t n, FILE *f)
{
    bool large = e->level > 1;

    fprintf(f, "[%03x", e->index);
    if (n > 1)
        fprintf(f, "-%03x", e->index + (unsigned)n - 1);
    if (e->has_gfn)
        fprintf(f, "] guest frame %" PRIx64, e->gfn);
    else
        fprintf(f, "] machine frame %" PRIx64, (e->entry & ADDRESS) >> 12);
    if (n > 1 || large)
        fprintf(f, " and on, %zu%s", n, large ? " of 2 MiB" : "");
    print_rights(e, f);
}

static void print_from(struct shadow_tree *t, size_t i, unsigned depth, FILE *f)
{
    size_t end = end_of(t, i), n;

    print_shadow(&t->list[i], f);
    t->shown[t->list[i].shadow] = true;
    for (size_t at = i + 1; at < end; at += n) {
        const struct ctl_shadow *e = &t->list[at];
        size_t child = child_of(t, e);

        n = run_length(t, at, end);
        fprintf(f, "%*s", 2 * (int)depth + 2, "");
        if (!e->child) {
            print_leaves(e, n, f);
            continue;
        }
        fprintf(f, "[%03x] ", e->index);
        if (child && !t->shown[e->child] && depth < DEEPEST)
            print_from(t, child - 1, depth + 1, f);
        else
            fprintf(f, "shadow %" PRIu32 "%s\n", e->child, child ? ", see above" : ", changed meanwhile");
    }
}

void shadow_tree_print(struct shadow_tree *t, FILE *f)
{
    for (size_t i = 0; i < t->n; i++)
        if (!t->list[i].is_entry && t->list[i].vcpus && !t->shown[t->list[i].shadow])
            print_from(t, i, 0, f);
    for (unsigned level = 4; level; level--)
        for (size_t i = 0; i < t->n; i++)
            if (!t->list[i].is_entry && t->list[i].level == level && !t->shown[t->list[i].shadow])
                print_from(t, i, 0, f);
}

/* ---- Graphviz ---- */

void shadow_tree_dot(struct shadow_tree *t, FILE *f)
{
    fputs("digraph shadows {\n  rankdir=LR;\n  node [shape=box, fontname=monospace];\n", f);
    for (size_t i = 0; i < t->n; i = end_of(t, i)) {
        const struct ctl_shadow *s = &t->list[i];
        unsigned leaves = 0;

        for (size_t at = i + 1; at < end_of(t, i); at++) {
            leaves += !t->list[at].child;
            if (child_of(t, &t->list[at]))
                fprintf(f, "  s%" PRIu32 " -> s%" PRIu32 " [label=\"%03x\"];\n", s->shadow, t->list[at].child,
                        t->list[at].index);
        }
        fprintf(f, "  s%" PRIu32 " [label=\"level %u of %u\\n", s->shadow, s->level, s->format);
        if (s->has_gfn)
            fprintf(f, "%s %" PRIx64 "\\n", s->is_part ? "from" : "table", s->gfn);
        fprintf(f, "%u leaves\"%s];\n", leaves, s->vcpus ? ", penwidth=3" : "");
    }
    fputs("}\n", f);
}

/* ---- JSON ---- */

static void json_entries(const struct shadow_tree *t, size_t i, struct json_out *o)
{
    size_t end = end_of(t, i), n;

    json_out_array(o, "entries");
    for (size_t at = i + 1; at < end; at += n) {
        const struct ctl_shadow *e = &t->list[at];

        n = run_length(t, at, end);
        json_out_object(o, NULL);
        json_out_uint(o, "index", e->index);
        if (e->child) {
            json_out_uint(o, "shadow", e->child);
        } else {
            json_out_uint(o, "count", n);
            json_out_uint(o, "frames", e->level > 1 ? 512 : 1);
            if (e->has_gfn)
                json_out_uint(o, "gfn", e->gfn);
            json_out_bool(o, "borrowed", e->entry & BORROWED);
        }
        json_out_bool(o, "write", e->entry & WRITE);
        json_out_bool(o, "user", e->entry & USER);
        json_out_bool(o, "execute", !(e->entry & NOEXEC));
        json_out_close(o);
    }
    json_out_close(o);
}

struct json_out *shadow_tree_json(const struct shadow_tree *t, uint32_t domid)
{
    struct json_out *o = json_out_new(true);

    json_out_object(o, NULL);
    json_out_str(o, "schema", "umbra.shadow-dump/1");
    json_out_uint(o, "domid", domid);
    json_out_array(o, "shadows");
    for (size_t i = 0; i < t->n; i = end_of(t, i)) {
        const struct ctl_shadow *s = &t->list[i];

        json_out_object(o, NULL);
        json_out_uint(o, "shadow", s->shadow);
        json_out_uint(o, "level", s->level);
        json_out_uint(o, "format", s->format);
        json_out_bool(o, "part", s->is_part);
        if (s->has_gfn)
            json_out_uint(o, "gfn", s->gfn);
        json_out_uint(o, "frame", s->entry);
        json_out_uint(o, "quadrant", s->quadrant);
        json_out_uint(o, "vcpus", s->vcpus);
        json_entries(t, i, o);
        json_out_close(o);
    }
    json_out_close(o);
    json_out_close(o);
    return o;
}

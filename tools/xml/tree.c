/* SPDX-License-Identifier: BSD-2-Clause */
/* Making, and looking at, the trees of xml.h. Knows nothing of the parser library. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "xml/xml.h"

struct xml_element *xml_element_new(const char *name, struct json_span span)
{
    struct xml_element *e = calloc(1, sizeof(*e));

    if (!e)
        return NULL;
    e->name = strdup(name);
    e->text = strdup("");
    e->span = span;
    if (e->name && e->text)
        return e;
    xml_free(e);
    return NULL;
}

/* Room for one more: capacity is the power of two at or above the count, so it need not be stored. */
static void *grown(void *list, size_t n, size_t size)
{
    return (n & (n - 1)) == 0 ? realloc(list, (n ? 2 * n : 1) * size) : list;
}

int xml_append(struct xml_element *to, struct xml_element *e)
{
    struct xml_element **bigger = grown(to->child, to->n_children, sizeof(struct xml_element *));

    if (!bigger)
        return -ENOMEM;
    to->child = bigger;
    to->child[to->n_children++] = e;
    e->parent = to;
    return 0;
}

int xml_add_attr(struct xml_element *e, const struct xml_attr *a)
{
    struct xml_attr *bigger = grown(e->attr, e->n_attrs, sizeof(struct xml_attr));

    if (!bigger)
        return -ENOMEM;
    e->attr = bigger;
    e->attr[e->n_attrs++] = *a;
    return 0;
}

int xml_add_text(struct xml_element *e, const char *text, size_t len)
{
    char *longer = realloc(e->text, e->text_len + len + 1);

    if (!longer)
        return -ENOMEM;
    memcpy(longer + e->text_len, text, len);
    e->text = longer;
    e->text_len += len;
    longer[e->text_len] = '\0';
    return 0;
}

void xml_free(struct xml_element *root)
{
    if (!root)
        return;
    for (size_t i = 0; i < root->n_children; i++)
        xml_free(root->child[i]); /* as deep as XML_MAX_DEPTH */
    for (size_t i = 0; i < root->n_attrs; i++) {
        free(root->attr[i].name);
        free(root->attr[i].value);
    }
    free(root->child);
    free(root->attr);
    free(root->name);
    free(root->text);
    free(root);
}

static struct xml_element *find(const struct xml_element *e, size_t from, const char *name)
{
    for (size_t i = from; i < e->n_children; i++) {
        if (strcmp(e->child[i]->name, name) == 0)
            return e->child[i];
    }
    return NULL;
}

struct xml_element *xml_child(const struct xml_element *e, const char *name)
{
    return e ? find(e, 0, name) : NULL;
}

struct xml_element *xml_next(const struct xml_element *e)
{
    size_t i = 0;

    while (e->parent->child[i] != e)
        i++;
    return find(e->parent, i + 1, e->name);
}

struct xml_attr *xml_attr(const struct xml_element *e, const char *name)
{
    for (size_t i = 0; e && i < e->n_attrs; i++) {
        if (strcmp(e->attr[i].name, name) == 0)
            return &e->attr[i];
    }
    return NULL;
}

const char *xml_take(struct xml_element *e, const char *name)
{
    struct xml_attr *a = xml_attr(e, name);

    if (!a)
        return NULL;
    a->taken = true;
    return a->value;
}

bool xml_take_if(struct xml_element *e, const char *name, const char *value, const char *or_value)
{
    struct xml_attr *a = xml_attr(e, name);

    if (!a || (strcmp(a->value, value) != 0 && (!or_value || strcmp(a->value, or_value) != 0)))
        return false;
    a->taken = true;
    return true;
}

void xml_take_all(struct xml_element *e)
{
    e->taken = e->text_taken = true;
    for (size_t i = 0; i < e->n_attrs; i++)
        e->attr[i].taken = true;
    for (size_t i = 0; i < e->n_children; i++)
        xml_take_all(e->child[i]);
}

bool xml_blank(const char *text, size_t len)
{
    return strspn(text, " \t\r\n") == len;
}

size_t xml_count(const struct xml_element *e)
{
    size_t n = e->n_children;

    for (size_t i = 0; i < e->n_children; i++)
        n += xml_count(e->child[i]);
    return n;
}

/* 0: there is no other of the name; else which it is, from 1. */
static size_t number_of(const struct xml_element *e)
{
    size_t n = 0, mine = 0;

    for (size_t i = 0; e->parent && i < e->parent->n_children; i++) {
        n += strcmp(e->parent->child[i]->name, e->name) == 0;
        if (e->parent->child[i] == e)
            mine = n;
    }
    return n > 1 ? mine : 0;
}

static void print_path(FILE *f, const struct xml_element *e)
{
    size_t n = number_of(e);

    if (e->parent) {
        print_path(f, e->parent);
        fputc('/', f);
    }
    fputs(e->name, f);
    if (n)
        fprintf(f, "[%zu]", n);
}

char *xml_path(const struct xml_element *e, const char *attr)
{
    char *s = NULL;
    size_t n;
    FILE *f = open_memstream(&s, &n);

    if (!f)
        return NULL;
    print_path(f, e);
    if (attr)
        fprintf(f, "/@%s", attr);
    if (fclose(f) == 0)
        return s;
    free(s);
    return NULL;
}

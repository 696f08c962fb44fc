/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * XML by libxml2 (see xml.h). It is used as a SAX parser, so that an excess or a document type ends the reading where
 * it stands: entities are declared in document types, and none is ever expanded. Prefixes of namespaces stay in names.
 *
 * Positions: libxml2 tells how many bytes it has consumed. Of a start tag that is its end, before `>`; what is before
 * it back to `<` is well-formed, so that names and values of attributes are found in it by their quotes.
 */
#include <libxml/parser.h>
#include <libxml/xmlwriter.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "xml/xml.h"

struct reader {
    const char *text;
    size_t len;
    xmlParserCtxtPtr parser;
    struct xml_element *root, *open; /* open: the innermost element whose end has not come */
    unsigned depth, items;
    struct xml_problem *bad; /* the first that is wrong */
    bool failed;
};

/* The first thing that is wrong ends the reading. */
static void fail(struct reader *r, const char *code, struct json_span span, const char *message)
{
    if (r->failed)
        return;
    r->failed = true;
    r->bad->code = code;
    r->bad->span = span;
    snprintf(r->bad->message, sizeof(r->bad->message), "%s", message);
    if (r->parser)
        xmlStopParser(r->parser);
}

static void no_memory(struct reader *r)
{
    fail(r, "E_MEMORY", (struct json_span){0, 0}, "out of memory");
}

/* --- where --- */

static size_t here(const struct reader *r)
{
    long at = xmlByteConsumed(r->parser);

    return at < 0 || (size_t)at > r->len ? r->len : (size_t)at;
}

/* The last `<` before a place; 0 if there is none. */
static size_t back_to_tag(const struct reader *r, size_t at)
{
    while (at > 0 && r->text[at - 1] != '<')
        at--;
    return at ? at - 1 : 0;
}

/* The bytes from the last `<` up to the first that cannot be in a name. */
static struct json_span tag_here(const struct reader *r)
{
    size_t off = back_to_tag(r, here(r)), end = off;

    while (end < r->len && !strchr(" \t\r\n/>", r->text[end]))
        end++;
    return (struct json_span){off, end - off};
}

/* Where an attribute and its value stand: behind the attributes that e has already, and the tag's name. */
static void place_attr(const struct reader *r, const struct xml_element *e, const char *name, struct xml_attr *a)
{
    const struct json_span *before = e->n_attrs ? &e->attr[e->n_attrs - 1].value_span : NULL;
    size_t at = before && before->off ? before->off + before->len + 1 : e->span.off + e->span.len;

    while (at < r->len) {
        size_t end, quote;

        at += strspn(r->text + at, " \t\r\n");
        end = at + strcspn(r->text + at, " \t\r\n=");
        quote = end + strcspn(r->text + end, "\"'");
        if (quote >= r->len)
            return;
        a->span = (struct json_span){at, end - at};
        a->value_span.off = quote + 1;
        a->value_span.len = strcspn(r->text + quote + 1, r->text[quote] == '"' ? "\"" : "'");
        if (end - at == strlen(name) && memcmp(r->text + at, name, end - at) == 0)
            return;
        at = a->value_span.off + a->value_span.len + 1;
    }
}

/* --- what libxml2 tells --- */

/* The parser leaves each ampersand in an attribute's value as a reference, to be resolved when the tree is built. */
static char *value_of(const char *from)
{
    static const char ampersand[] = "&#38;";
    size_t n = 0, step = sizeof(ampersand) - 1;
    char *value = malloc(strlen(from) + 1);

    while (value && *from) {
        value[n++] = *from;
        from += strncmp(from, ampersand, step) == 0 ? step : 1;
    }
    if (value)
        value[n] = '\0';
    return value;
}

/* Declarations of namespaces say nothing themselves. */
static void add_attr(struct reader *r, struct xml_element *e, const char *name, const char *value)
{
    struct xml_attr a = {.name = strdup(name), .value = value_of(value)};

    a.taken = strcmp(name, "xmlns") == 0 || strncmp(name, "xmlns:", 6) == 0;
    if (a.name)
        place_attr(r, e, name, &a);
    if (a.name && a.value && xml_add_attr(e, &a) == 0)
        return;
    free(a.name);
    free(a.value);
    no_memory(r);
}

/* False: there are too many of them, or they go too deep. */
static bool within_limits(struct reader *r, struct json_span span, unsigned n_attrs)
{
    if (r->depth == XML_MAX_DEPTH)
        fail(r, "E_DEPTH", span, "nested too deeply");
    else if (n_attrs + 1 > XML_MAX_ITEMS - r->items)
        fail(r, "E_SIZE", span, "more than 4096 elements and attributes");
    else
        return true;
    return false;
}

/* Takes e over; on failure as well. */
static void enter(struct reader *r, struct xml_element *e)
{
    size_t at = here(r);

    if (r->open && xml_append(r->open, e)) {
        xml_free(e);
        no_memory(r);
        return;
    }
    if (!r->open)
        r->root = e;
    r->open = e;
    r->depth++;
    at += strcspn(r->text + at, ">");
    e->text_span.off = at < r->len ? at + 1 : r->len;
}

/* attrs: names and values in turn, ended by NULL. */
static void on_start(void *ctx, const xmlChar *name, const xmlChar **attrs)
{
    struct reader *r = ctx;
    struct json_span span = tag_here(r);
    struct xml_element *e;
    unsigned n = 0;

    while (attrs && attrs[2 * n])
        n++;
    if (r->failed || !within_limits(r, span, n))
        return;
    r->items += n + 1;
    e = xml_element_new((const char *)name, span);
    for (unsigned i = 0; e && i < n; i++)
        add_attr(r, e, (const char *)attrs[2 * i], (const char *)attrs[2 * i + 1]);
    if (e)
        enter(r, e);
    else
        no_memory(r);
}

static void on_end(void *ctx, const xmlChar *name)
{
    struct reader *r = ctx;
    size_t tag = back_to_tag(r, here(r));

    if (r->failed || !r->open)
        return;
    if (tag > r->open->text_span.off)
        r->open->text_span.len = tag - r->open->text_span.off;
    r->open = r->open->parent;
    r->depth--;
}

static void on_text(void *ctx, const xmlChar *text, int len)
{
    struct reader *r = ctx;

    if (!r->failed && r->open && xml_add_text(r->open, (const char *)text, (size_t)len))
        no_memory(r);
}

static void on_doctype(void *ctx, const xmlChar *name, const xmlChar *public, const xmlChar *system)
{
    struct reader *r = ctx;

    fail(r, "E_SYNTAX", tag_here(r), "a document type is not read: it could declare entities, and name other files");
}

/* Which encoding it is said to be in is known by now. Otherwise places would not be those of the text. */
static void on_document(void *ctx)
{
    struct reader *r = ctx;
    const xmlChar *said = r->parser->encoding ? r->parser->encoding : r->parser->input->encoding;

    if (said && xmlStrcasecmp(said, BAD_CAST "UTF-8") != 0 && xmlStrcasecmp(said, BAD_CAST "US-ASCII") != 0)
        fail(r, "E_UTF8", (struct json_span){0, 5}, "its encoding is not UTF-8");
}

/* The byte that is meant by a line and a column, both from 1. */
static struct json_span place_of(const struct reader *r, int line, int col)
{
    size_t at = 0;

    for (; line > 1 && at < r->len; line--) {
        const char *end = memchr(r->text + at, '\n', r->len - at);

        at = end ? (size_t)(end - r->text) + 1 : r->len;
    }
    for (; col > 1 && at < r->len && r->text[at] != '\n'; col--)
        at++;
    return (struct json_span){at, 1};
}

static void on_error(void *ctx, xmlErrorPtr e)
{
    struct reader *r = ctx;
    char message[160];

    if (e->level < XML_ERR_ERROR)
        return;
    if (e->code == XML_ERR_NO_MEMORY) {
        no_memory(r);
        return;
    }
    snprintf(message, sizeof(message), "not well-formed XML: %.*s", (int)strcspn(e->message ? e->message : "", "\n"),
             e->message ? e->message : "");
    fail(r, "E_SYNTAX", place_of(r, e->line, e->int2), message);
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

/* Nothing else than the text is ever opened. */
static xmlParserInputPtr no_entity(const char *url, const char *id, xmlParserCtxtPtr parser)
{
    return NULL;
}

static void run(struct reader *r)
{
    xmlSAXHandler *sax = r->parser->sax;

    memset(sax, 0, sizeof(*sax));
    sax->initialized = 1; /* not XML_SAX2_MAGIC: elements come by their names with prefixes */
    sax->startDocument = on_document;
    sax->internalSubset = on_doctype;
    sax->startElement = on_start;
    sax->endElement = on_end;
    sax->characters = on_text;
    sax->ignorableWhitespace = on_text;
    r->parser->userData = r;
    xmlSetExternalEntityLoader(no_entity);
    xmlSetStructuredErrorFunc(r, on_error);
    xmlCtxtReadMemory(r->parser, r->text, (int)r->len, NULL, NULL, XML_PARSE_NONET);
    xmlSetStructuredErrorFunc(NULL, NULL);
    if (!r->parser->wellFormed || !r->root)
        fail(r, "E_SYNTAX", (struct json_span){0, 0}, "not well-formed XML");
}

static bool check_bytes(struct reader *r)
{
    struct json_problem bad;
    const char *nul = memchr(r->text, '\0', r->len);

    if (r->len > XML_MAX_SIZE)
        fail(r, "E_SIZE", (struct json_span){0, 0}, "larger than 256 KiB");
    else if (!json_check_bytes(r->text, r->len, &bad))
        fail(r, bad.code, bad.span, bad.message);
    else if (nul) /* where libxml2 would see the end */
        fail(r, "E_SYNTAX", (struct json_span){(size_t)(nul - r->text), 1}, "contains a NUL character");
    return !r->failed;
}

struct xml_element *xml_parse(const char *text, size_t len, struct xml_problem *bad)
{
    struct reader r = {.text = text, .len = len, .bad = bad};

    *bad = (struct xml_problem){0};
    if (!check_bytes(&r))
        return NULL;
    r.parser = xmlNewParserCtxt();
    if (r.parser)
        run(&r);
    else
        no_memory(&r);
    xmlFreeParserCtxt(r.parser);
    if (!r.failed)
        return r.root;
    xml_free(r.root);
    return NULL;
}

/* --- writing ------------------------------------------------------------------------------------------------------ */

struct xml_out {
    xmlBufferPtr buffer;
    xmlTextWriterPtr writer;
    bool failed;
};

struct xml_out *xml_out_new(void)
{
    struct xml_out *o = calloc(1, sizeof(*o));

    if (!o)
        return NULL;
    o->buffer = xmlBufferCreate();
    o->writer = o->buffer ? xmlNewTextWriterMemory(o->buffer, 0) : NULL;
    o->failed = !o->writer || xmlTextWriterSetIndent(o->writer, 1) < 0 ||
                xmlTextWriterSetIndentString(o->writer, BAD_CAST "  ") < 0;
    return o;
}

void xml_out_open(struct xml_out *o, const char *name)
{
    if (o && !o->failed)
        o->failed = xmlTextWriterStartElement(o->writer, BAD_CAST name) < 0;
}

void xml_out_attr(struct xml_out *o, const char *name, const char *value)
{
    if (o && !o->failed)
        o->failed = xmlTextWriterWriteAttribute(o->writer, BAD_CAST name, BAD_CAST value) < 0;
}

void xml_out_string(struct xml_out *o, const char *text)
{
    if (o && !o->failed)
        o->failed = xmlTextWriterWriteString(o->writer, BAD_CAST text) < 0;
}

void xml_out_text(struct xml_out *o, const char *name, const char *text)
{
    if (o && !o->failed)
        o->failed = xmlTextWriterWriteElement(o->writer, BAD_CAST name, BAD_CAST text) < 0;
}

void xml_out_close(struct xml_out *o)
{
    if (o && !o->failed)
        o->failed = xmlTextWriterEndElement(o->writer) < 0;
}

char *xml_out_end(struct xml_out *o)
{
    char *text = NULL;

    if (!o)
        return NULL;
    if (o->writer && xmlTextWriterEndDocument(o->writer) < 0)
        o->failed = true;
    xmlFreeTextWriter(o->writer);
    if (!o->failed)
        text = strdup((const char *)xmlBufferContent(o->buffer));
    xmlBufferFree(o->buffer);
    free(o);
    return text;
}

/* Char of XML 1.0: no control characters but three, and neither U+FFFE nor U+FFFF. */
bool xml_sayable(const char *text)
{
    const unsigned char *s = (const unsigned char *)text;

    for (size_t i = 0; s[i]; i++) {
        if (s[i] < ' ' && s[i] != '\t' && s[i] != '\n' && s[i] != '\r')
            return false;
        if (s[i] == 0xef && s[i + 1] == 0xbf && s[i + 2] >= 0xbe)
            return false;
    }
    return true;
}

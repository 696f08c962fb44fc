// SPDX-License-Identifier: BSD-2-Clause
/*
 * A program of the control domain that holds a frame of a guest, as a back end or a dump tool does, until a file is
 * removed; and one that says who holds a domain.
 *
 *   holder foreign DOMID MFN FILE    maps the frame by number
 *   holder grant DOMID REF FILE      maps the frame that a grant names
 *   holder churn DOMID REF FILE      maps and unmaps such a frame all the time, until the file is removed
 *   holder exchange DOMID REF TEXT   maps such a frame, prints its text, writes TEXT into its second half
 *   holder show DOMID                prints one line of sums and one per holder
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xenforeignmemory.h>
#include <xengnttab.h>

#include "libctl/ctl.h"

static int hold(const char *file)
{
    printf("held\n");
    fflush(stdout);
    while (access(file, F_OK) == 0) {
        usleep(50000);
    }
    return 0;
}

static int failed(const char *what)
{
    perror(what);
    return 1;
}

static int foreign(uint32_t domid, unsigned long mfn, const char *file)
{
    xenforeignmemory_handle *memory = xenforeignmemory_open(NULL, 0);
    xen_pfn_t frame = mfn;
    void *page = memory ? xenforeignmemory_map(memory, domid, PROT_READ, 1, &frame, NULL) : NULL;

    if (!page) {
        return failed("map");
    }
    hold(file);
    xenforeignmemory_unmap(memory, page, 1);
    return xenforeignmemory_close(memory);
}

static int granted(uint32_t domid, unsigned long ref, const char *file)
{
    xengnttab_handle *grants = xengnttab_open(NULL, 0);
    void *page = grants ? xengnttab_map_grant_ref(grants, domid, ref, PROT_READ | PROT_WRITE) : NULL;

    if (!page) {
        return failed("map");
    }
    hold(file);
    xengnttab_unmap(grants, page, 1);
    return xengnttab_close(grants);
}

static int churn(uint32_t domid, unsigned long ref, const char *file)
{
    xengnttab_handle *grants = xengnttab_open(NULL, 0);

    for (unsigned long n = 0; n == 0 || access(file, F_OK) == 0; n++) {
        void *page = grants ? xengnttab_map_grant_ref(grants, domid, ref, PROT_READ) : NULL;

        if (!page) {
            return failed("map");
        }
        xengnttab_unmap(grants, page, 1);
        if (n == 0) {
            printf("held\n");
            fflush(stdout);
        }
    }
    return xengnttab_close(grants);
}

static int exchange(uint32_t domid, unsigned long ref, const char *text)
{
    xengnttab_handle *grants = xengnttab_open(NULL, 0);
    char *page = grants ? xengnttab_map_grant_ref(grants, domid, ref, PROT_READ | PROT_WRITE) : NULL;

    if (!page) {
        return failed("map");
    }
    printf("%.100s\n", page);
    /* The reader waits for the first byte. */
    strcpy(page + 2049, text + 1);
    *(volatile char *)(page + 2048) = text[0];
    xengnttab_unmap(grants, page, 1);
    return xengnttab_close(grants);
}

static int show(uint32_t domid)
{
    struct ctl_error err = {0};
    struct ctl_holders sums;
    struct ctl_holder *list;
    struct ctl *ctl = ctl_open(&err);
    int count = ctl ? ctl_domain_holders(ctl, domid, &sums, &list, &err) : err.code;

    if (count < 0) {
        char text[1024];

        ctl_error_format(&err, text, sizeof(text));
        fprintf(stderr, "%s\n", text);
        ctl_close(ctl);
        return 1;
    }
    printf("frames %lu shared %lu other %lu\n", sums.frames, sums.shared_frames, sums.other);
    for (int i = 0; i < count; i++) {
        printf("holder %u grants %lu foreign %lu\n", list[i].domid, list[i].grants, list[i].foreign);
    }
    free(list);
    ctl_close(ctl);
    return 0;
}

int main(int argc, char **argv)
{
    uint32_t domid = argc > 2 ? (uint32_t)atol(argv[2]) : 0;

    if (argc == 5 && !strcmp(argv[1], "foreign")) {
        return foreign(domid, strtoul(argv[3], NULL, 10), argv[4]);
    }
    if (argc == 5 && !strcmp(argv[1], "grant")) {
        return granted(domid, strtoul(argv[3], NULL, 10), argv[4]);
    }
    if (argc == 5 && !strcmp(argv[1], "churn")) {
        return churn(domid, strtoul(argv[3], NULL, 10), argv[4]);
    }
    if (argc == 5 && !strcmp(argv[1], "exchange")) {
        return exchange(domid, strtoul(argv[3], NULL, 10), argv[4]);
    }
    if (argc == 3 && !strcmp(argv[1], "show")) {
        return show(domid);
    }
    fprintf(stderr, "usage: holder foreign|grant DOMID NUMBER FILE | exchange DOMID REF TEXT | show DOMID\n");
    return 2;
}

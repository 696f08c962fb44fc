// SPDX-License-Identifier: BSD-2-Clause
/*
 * The checks of a configuration that need no hypervisor.
 *
 * Place: `config validate`, dry runs, and the first step of every build. Reports every fault that it can find in one
 * run, each with the configuration key at fault. Loading is part of the check, so a build starts from what was checked,
 * not from a file that may have changed since.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "libctl/image.h"

#define MEMORY_MAX_KIB (4ull << 30) /* 4 TiB */
#define VCPUS_MAX      512u
#define CMDLINE_MAX    1023u
#define RAMDISK_MAX    (64ull << 30)

struct faults {
    struct ctl_error *errors;
    unsigned max, count;
};

/* Slot for the next fault; when all are used, what is found further is dropped. */
static struct ctl_error *next_slot(struct faults *f)
{
    return f->count < f->max ? &f->errors[f->count] : NULL;
}

static void fault_at(struct faults *f, const char *field)
{
    ctl_error_field(next_slot(f), field);
    f->count += f->count < f->max;
}

#define FAULT(f, field, hint, ...)                                                                 \
    do {                                                                                           \
        ctl_error_set(next_slot(f), -EINVAL, "check the configuration", field, hint, __VA_ARGS__); \
        fault_at(f, field);                                                                        \
    } while (0)

static void check_name(struct faults *f, const char *name)
{
    static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-+:@";
    size_t length = strnlen(name, CTL_NAME_MAX);

    if (length == 0 || length == CTL_NAME_MAX) {
        FAULT(f, "name", NULL, "a name has 1 to %d characters", CTL_NAME_MAX - 1);
    } else if (strspn(name, good) != length) {
        FAULT(f, "name", NULL, "a name is made of letters, digits and . _ - + : @");
    } else if (strspn(name, "0123456789") == length) {
        FAULT(f, "name", "add a letter", "a name of digits alone would read as a domain id");
    }
}

uint64_t ctl_shadow_default_kib(uint64_t memory_kib, uint32_t vcpus)
{
    return (uint64_t)vcpus * 1024 + memory_kib / 1024 * 8;
}

/*
 * The P2M takes up to 2 KiB of the pool for each MiB, and as much stays for shadows. Such a guest has all its memory
 * from the start: its kernel would take a larger maxmem for memory that it has.
 */
static void check_pvh(struct faults *f, const struct ctl_domain_config *config, uint32_t vcpus)
{
    uint64_t least = ctl_shadow_default_kib(config->memory_kib, vcpus) / 2;

    if (vcpus > CTL_ACPI_VCPUS) {
        FAULT(f, config->maxvcpus == vcpus ? "maxvcpus" : "vcpus", NULL, "a PVH domain has at most %u vCPUs",
              CTL_ACPI_VCPUS);
    }
    if (config->maxmem_kib > config->memory_kib) {
        FAULT(f, "maxmem", "leave maxmem out", "a PVH domain cannot start with less memory than maxmem");
    }
    if (config->shadow_kib && config->shadow_kib < least) {
        FAULT(f, "shadow_memory", "leave it out for the usual size", "%llu MiB is too little, %llu MiB is the least",
              (unsigned long long)config->shadow_kib >> 10, (unsigned long long)(least + 1023) >> 10);
    }
}

static void check_numbers(struct faults *f, const struct ctl_domain_config *config)
{
    uint32_t vcpus = config->vcpus ? config->vcpus : 1;

    if (config->memory_kib == 0 || config->memory_kib > MEMORY_MAX_KIB) {
        FAULT(f, "memory", NULL, "memory is more than 0 and at most %llu MiB", MEMORY_MAX_KIB >> 10);
    }
    if (config->maxmem_kib > MEMORY_MAX_KIB) {
        FAULT(f, "maxmem", NULL, "maxmem is at most %llu MiB", MEMORY_MAX_KIB >> 10);
    } else if (config->maxmem_kib && config->maxmem_kib < config->memory_kib) {
        FAULT(f, "maxmem", "raise maxmem or lower memory", "maxmem (%llu MiB) is less than memory (%llu MiB)",
              (unsigned long long)config->maxmem_kib >> 10, (unsigned long long)config->memory_kib >> 10);
    }
    if (vcpus > VCPUS_MAX) {
        FAULT(f, "vcpus", NULL, "a domain has at most %u vCPUs", VCPUS_MAX);
    }
    if (config->maxvcpus > VCPUS_MAX) {
        FAULT(f, "maxvcpus", NULL, "a domain has at most %u vCPUs", VCPUS_MAX);
    } else if (config->maxvcpus && config->maxvcpus < vcpus) {
        FAULT(f, "maxvcpus", "raise maxvcpus or lower vcpus", "maxvcpus (%u) is less than vcpus (%u)", config->maxvcpus,
              vcpus);
    }
    if (config->type == CTL_PVH) {
        check_pvh(f, config, config->maxvcpus > vcpus ? config->maxvcpus : vcpus);
    }
    if (config->cmdline && strlen(config->cmdline) > CMDLINE_MAX) {
        FAULT(f, "cmdline", NULL, "a kernel command line has at most %u characters, this one %zu", CMDLINE_MAX,
              strlen(config->cmdline));
    }
}

/* Size of the ramdisk, 0 when there is none or it is at fault. */
static uint64_t check_ramdisk(struct faults *f, const char *path)
{
    uint64_t size = 0;
    int fd;

    if (!path) {
        return 0;
    }
    fd = ctl_file_open(path, &size, next_slot(f));
    if (fd < 0) {
        fault_at(f, "ramdisk");
        return 0;
    }
    close(fd);
    if (size == 0 || size > RAMDISK_MAX) {
        FAULT(f, "ramdisk", NULL, "%s is %s", path, size ? "too large" : "empty");
        return 0;
    }
    return size;
}

int ctl_check_load(const struct ctl_domain_config *config, struct ctl_image *image, struct ctl_layout *layout,
                   struct ctl_pvh_layout *pvh, struct ctl_error *errors, unsigned max)
{
    struct faults f = {errors, max, 0};
    uint64_t ramdisk;

    memset(image, 0, sizeof(*image));
    memset(layout, 0, sizeof(*layout));
    memset(pvh, 0, sizeof(*pvh));
    check_name(&f, config->name);
    check_numbers(&f, config);
    ramdisk = check_ramdisk(&f, config->ramdisk);
    if (!config->kernel || !*config->kernel) {
        FAULT(&f, "kernel", "name a kernel file", "no kernel is named");
    } else if (ctl_image_load(image, config->type, config->kernel, next_slot(&f)) < 0) {
        fault_at(&f, "kernel");
    } else if (config->memory_kib && config->memory_kib <= MEMORY_MAX_KIB) {
        int rc = config->type == CTL_PVH
                     ? ctl_pvh_plan(pvh, image, ramdisk, config->memory_kib << 10, config->kernel, next_slot(&f))
                     : ctl_layout_plan(layout, image, ramdisk, config->memory_kib / 4, config->kernel, next_slot(&f));

        if (rc < 0) {
            fault_at(&f, rc == -ENOSPC ? "memory" : "kernel");
        }
    }
    return f.count;
}

int ctl_build_check(const struct ctl_domain_config *config, struct ctl_build_facts *facts, struct ctl_error *errors,
                    unsigned max)
{
    struct ctl_image image;
    struct ctl_layout layout;
    struct ctl_pvh_layout pvh;
    int faults = ctl_check_load(config, &image, &layout, &pvh, errors, max);

    if (facts) {
        memset(facts, 0, sizeof(*facts));
        snprintf(facts->format, sizeof(facts->format), "%s", image.format);
        snprintf(facts->compression, sizeof(facts->compression), "%s", image.compression);
        snprintf(facts->guest_os, sizeof(facts->guest_os), "%s", image.notes.guest_os);
        snprintf(facts->guest_version, sizeof(facts->guest_version), "%s", image.notes.guest_version);
        facts->kernel_bytes = image.elf.data ? image.end - image.start : 0;
        facts->ramdisk_bytes = config->type == CTL_PVH ? pvh.ramdisk_bytes : layout.ramdisk_bytes;
        facts->least_memory_kib = config->type == CTL_PVH ? pvh.end >> 10 : layout.needed_pages * 4;
    }
    ctl_image_free(&image);
    return faults;
}

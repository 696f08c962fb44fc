/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reads a core file as a debugger would: core FILE ADDRESS. Says how many vCPUs and pages it has, and the text at a
 * linear address, found through vCPU 0's page tables, which are pages of the file as well.
 */
#include <elf.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xen/xen.h>

static const uint8_t *file;

static const Elf64_Shdr *section(const char *name)
{
    const Elf64_Ehdr *h = (const void *)file;
    const Elf64_Shdr *s = (const void *)(file + h->e_shoff);
    const char *names = (const char *)file + s[h->e_shstrndx].sh_offset;

    for (int i = 1; i < h->e_shnum; i++) {
        if (strcmp(names + s[i].sh_name, name) == 0)
            return &s[i];
    }
    return NULL;
}

/* A page by the number that page tables have for it. */
static const uint8_t *page(uint64_t frame)
{
    const Elf64_Shdr *p2m = section(".xen_p2m"), *table = p2m ? p2m : section(".xen_pfn");
    const uint64_t *entry = (const void *)(file + table->sh_offset);
    unsigned words = p2m ? 2 : 1;

    for (uint64_t i = 0; i < table->sh_size / 8 / words; i++) {
        if (entry[i * words + words - 1] == frame)
            return file + section(".xen_pages")->sh_offset + i * 4096;
    }
    printf("frame %llx is not in the file\n", (unsigned long long)frame);
    exit(1);
}

static const char *at(uint64_t cr3, uint64_t address)
{
    uint64_t entry = cr3;

    for (int level = 3; level >= 0; level--) {
        unsigned shift = 12 + 9 * (unsigned)level;

        entry = ((const uint64_t *)(const void *)page(entry >> 12 & 0xffffffffffull))[address >> shift & 511];
        if (!(entry & 1)) {
            printf("not mapped at level %d\n", level);
            exit(1);
        }
        if (level && (entry & 0x80)) {
            uint64_t low = (1ull << shift) - 1;

            return (const char *)page(((entry & 0xffffffffff000ull & ~low) | (address & low)) >> 12) + address % 4096;
        }
    }
    return (const char *)page(entry >> 12 & 0xffffffffffull) + address % 4096;
}

int main(int argc, char **argv)
{
    int fd = argc == 3 ? open(argv[1], O_RDONLY) : -1;
    const struct vcpu_guest_context *vcpu;
    struct stat st;

    if (fd < 0 || fstat(fd, &st))
        return 2;
    file = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (file == MAP_FAILED)
        return 2;
    vcpu = (const void *)(file + section(".xen_prstatus")->sh_offset);
    printf("%llu vcpus, %llu pages\n", (unsigned long long)(section(".xen_prstatus")->sh_size / sizeof(*vcpu)),
           (unsigned long long)(section(".xen_pages")->sh_size / 4096));
    printf("%.60s\n", at(vcpu->ctrlreg[3], strtoull(argv[2], NULL, 16)));
    return 0;
}

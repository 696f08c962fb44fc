/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where the boot loader enters: Multiboot2 header, 32-bit entry with paging off, first page tables, long mode, and the
 * jump to hv_main(magic, info) at the linked address on CPU 0's stack. The same from a BIOS and from UEFI, whose boot
 * services the loader has ended. The Multiboot2 specification gives the machine
 * state at entry; AMD64 manual volume 2, section 14, the way to long mode.
 *
 * The first page tables map with 2 MiB pages, all read-write:
 *   0                 the first 4 GiB, identity
 *   DIRECTMAP_VIRT    the same: the beginning of the direct map
 *   XEN_VIRT_START    the first 32 MiB of the image
 * They serve until map_init_early() has built the real ones, and again for the first steps of the other CPUs.
 *
 * All of this file but the jump is linked at its physical address (section .boot).
 */
#include <hv/layout.h>
#include <asm-offsets.h>

#define MB2_MAGIC        0xe85250d6
#define MB2_LOADER_MAGIC 0x36d76289
#define MB2_ARCH_I386    0

#define TABLE_FLAGS 0x023 /* P, RW, A */
#define PAGE_FLAGS  0x0e3 /* P, RW, A, D, PSE */
#define IMAGE_PAGES 16    /* 2 MiB pages of image: umbra.lds asserts the size */

#define BOOT_CS32 0x08
#define BOOT_DS   0x10
#define BOOT_CS64 0x18

#define L4_SLOT(va) (((va) >> 39) & 511)
#define L3_SLOT(va) (((va) >> 30) & 511)

    .section .boot.header, "a", @progbits
    .balign 8
multiboot2_header:
    .long MB2_MAGIC
    .long MB2_ARCH_I386
    .long multiboot2_header_end - multiboot2_header
    .long -(MB2_MAGIC + MB2_ARCH_I386 + (multiboot2_header_end - multiboot2_header))

    .balign 8 /* information that the loader must give: command line, memory map */
1:  .short 1, 0
    .long 2f - 1b
    .long 1, 6
2:
    .balign 8 /* and what is welcome: loader name, modules, ACPI 1 and 2 root pointers; UEFI's system table and map */
1:  .short 1, 1
    .long 2f - 1b
    .long 2, 3, 14, 15, 12, 17
2:
    .balign 8 /* modules start on page boundaries */
    .short 6, 0
    .long 8
    .balign 8
    .short 0, 0
    .long 8
multiboot2_header_end:

    .section .boot.text, "ax", @progbits
    .code32
    .globl start32
start32:
    cli
    cld
    mov     %eax, %ebp /* loader magic */
    mov     %ebx, %esi /* information structure */
    mov     $boot_stack_top, %esp
    lgdt    boot_gdtr
    ljmp    $BOOT_CS32, $1f
1:  mov     $BOOT_DS, %eax
    mov     %eax, %ds
    mov     %eax, %es
    mov     %eax, %ss
    xor     %eax, %eax
    mov     %eax, %fs
    mov     %eax, %gs

    /* Long mode and NX are needed, and asked for before they are used. */
    mov     $0x80000000, %eax
    cpuid
    cmp     $0x80000001, %eax
    jb      no_long_mode
    mov     $0x80000001, %eax
    cpuid
    and     $(1 << 29 | 1 << 20), %edx
    cmp     $(1 << 29 | 1 << 20), %edx
    jne     no_long_mode

    /* First 4 GiB: 2,048 pages, four tables. */
    mov     $boot_l2_low, %edi
    mov     $PAGE_FLAGS, %eax
    mov     $2048, %ecx
1:  mov     %eax, (%edi)
    add     $8, %edi
    add     $0x200000, %eax
    loop    1b
    mov     $boot_l2_low + TABLE_FLAGS, %eax
    mov     $boot_l3_low, %edi
    mov     $4, %ecx
1:  mov     %eax, (%edi)
    add     $8, %edi
    add     $0x1000, %eax
    loop    1b
    /* The image. */
    mov     $boot_l2_image, %edi
    mov     $IMAGE_PHYS_START + PAGE_FLAGS, %eax
    mov     $IMAGE_PAGES, %ecx
1:  mov     %eax, (%edi)
    add     $8, %edi
    add     $0x200000, %eax
    loop    1b
    movl    $boot_l2_image + TABLE_FLAGS, boot_l3_image + 8 * L3_SLOT(XEN_VIRT_START)
    movl    $boot_l3_low + TABLE_FLAGS, boot_l4
    movl    $boot_l3_low + TABLE_FLAGS, boot_l4 + 8 * L4_SLOT(DIRECTMAP_VIRT)
    movl    $boot_l3_image + TABLE_FLAGS, boot_l4 + 8 * L4_SLOT(XEN_VIRT_START)

    mov     %cr4, %eax
    or      $(1 << 5), %eax /* PAE */
    mov     %eax, %cr4
    mov     $boot_l4, %eax
    mov     %eax, %cr3
    mov     $0xc0000080, %ecx /* EFER: LME, NXE */
    rdmsr
    or      $(1 << 8 | 1 << 11), %eax
    wrmsr
    mov     $0x80010033, %eax /* PG, WP, NE, ET, MP, PE */
    mov     %eax, %cr0
    ljmp    $BOOT_CS64, $start64

    .code64
start64:
    mov     $BOOT_DS, %eax
    mov     %eax, %ss
    mov     %eax, %ds
    mov     %eax, %es
    movabs  $cpu0_stack + STACK_SIZE - CPUINFO_sizeof, %rsp
    and     $-16, %rsp
    mov     %ebp, %edi
    mov     %esi, %esi
    xor     %ebp, %ebp
    movabs  $hv_main, %rax
    call    *%rax
    ud2

    /* Neither console nor interrupts yet: the text goes to the first serial port and to the VGA screen. */
    .code32
no_long_mode:
    mov     $no_long_mode_text, %esi
    mov     $0xb8000, %edi
1:  lodsb
    test    %al, %al
    jz      3f
    mov     $0x0f, %ah
    stosw
    mov     %al, %bl
    mov     $0x3fd, %edx
    mov     $0x10000, %ecx
2:  in      (%dx), %al
    test    $0x20, %al
    loopz   2b
    mov     $0x3f8, %edx
    mov     %bl, %al
    out     %al, (%dx)
    jmp     1b
3:  hlt
    jmp     3b

    .section .boot.data, "aw", @progbits
no_long_mode_text:
    .asciz "Umbra needs a processor with 64-bit mode and NX. Enable NX in the firmware if it is switched off there.\r\n"
    .balign 8
boot_gdt:
    .quad 0
    .quad 0x00cf9b000000ffff /* BOOT_CS32 */
    .quad 0x00cf93000000ffff /* BOOT_DS */
    .quad 0x00af9b000000ffff /* BOOT_CS64 */
boot_gdtr:
    .short . - boot_gdt - 1
    .long boot_gdt
    .long 0

    .section .boot.bss, "aw", @nobits
    .balign 4096
    .globl boot_l4, boot_l3_low
boot_l4:       .skip 4096
boot_l3_low:   .skip 4096
boot_l2_low:   .skip 4 * 4096
boot_l3_image: .skip 4096
boot_l2_image: .skip 4096
boot_stack:    .skip 256
boot_stack_top:

    .section .bss.stack, "aw", @nobits
    .balign STACK_SIZE
    .globl cpu0_stack
cpu0_stack:
    .skip STACK_SIZE

    .section .note.GNU-stack, "", @progbits

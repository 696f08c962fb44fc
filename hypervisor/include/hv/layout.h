/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The hypervisor's part of the linear address space: L4 slots 256-271, given by the 64-bit PV ABI. Everything else
 * belongs to the guest. There is no recursive slot; tables are walked through the direct map.
 *
 *   slot 256  0xffff8000_00000000  M2P, readable by guests at its ABI address (256 GiB)
 *   slot 260  0xffff8200_00000000  per-domain area: GDT and LDT windows of each vCPU
 *   slot 261  0xffff8280_00000000  M2P, hypervisor's writable view
 *             0xffff82c0_00000000  ioremap and temporary mappings
 *             0xffff82d0_40000000  text, data, symbols; SYSCALL stubs from 0xffff82d0_60000000
 *             0xffff82e0_00000000  frame table
 *   slot 262- 0xffff8300_00000000  direct map of all RAM (5 TiB)
 *
 * umbra.lds repeats XEN_VIRT_START and IMAGE_PHYS_START and checks them against head.S.
 */
#ifndef HV_LAYOUT_H
#define HV_LAYOUT_H

#ifdef __ASSEMBLY__
#define UL(x) x
#else
#define UL(x) x##ul
#endif

#define HYPERVISOR_BASE     UL(0xffff800000000000)
#define HYPERVISOR_LIMIT    UL(0xffff880000000000)
#define HYPERVISOR_L4_FIRST 256
#define HYPERVISOR_L4_LAST  271

#define RO_M2P_VIRT_START  UL(0xffff800000000000)
#define RO_M2P_VIRT_END    UL(0xffff804000000000)
#define PERDOMAIN_VIRT     UL(0xffff820000000000)
#define M2P_L4_SLOT        256
#define PERDOMAIN_L4_SLOT  260
#define RW_M2P_VIRT_START  UL(0xffff828000000000)
#define IOREMAP_VIRT_START UL(0xffff82c000000000)
#define IOREMAP_VIRT_END   UL(0xffff82c040000000)
#define XEN_VIRT_START     UL(0xffff82d040000000)
#define STUBS_VIRT         UL(0xffff82d060000000) /* one page per CPU: its SYSCALL stub, within reach of the text */
#define IMAGE_PHYS_START   UL(0x200000)           /* where the loader puts the image */
#define FRAMETABLE_VIRT    UL(0xffff82e000000000)
#define DIRECTMAP_VIRT     UL(0xffff830000000000)
#define DIRECTMAP_SIZE     UL(0x0000050000000000)

/* Each vCPU has a window of 32 pages in the per-domain area: 16 pages of GDT, then 16 pages of LDT. */
#define GDT_LDT_VCPU_SHIFT 17
#define GDT_PAGES          16
#define LDT_PAGES          16
#define GDT_VIRT(vcpu_id)  (PERDOMAIN_VIRT + ((unsigned long)(vcpu_id) << GDT_LDT_VCPU_SHIFT))
#define LDT_VIRT(vcpu_id)  (GDT_VIRT(vcpu_id) + GDT_PAGES * UL(4096))

/*
 * The last two GDT pages are the hypervisor's (FIRST_RESERVED_GDT_PAGE of the ABI is 14): the ABI's flat guest
 * selectors 0xe023.. and our own. They are per physical CPU (the TSS descriptor differs).
 */
#define HV_CS  0xe008
#define HV_DS  0xe010
#define HV_TSS 0xe040
#define HV_LDT 0xe050

#define NR_CPUS       64
#define MAX_VIRT_CPUS 64

/* Hypervisor stack of a CPU: 64 KiB aligned to its size; four 8 KiB IST stacks, a guard page, then the main stack. */
#define STACK_ORDER 4
#define STACK_SIZE  (UL(4096) << STACK_ORDER)
#define IST_DF      1
#define IST_NMI     2
#define IST_MCE     3
#define IST_DB      4
#define IST_SIZE    UL(8192)
#define STACK_GUARD (4 * IST_SIZE) /* offset of the page that is not mapped */

#endif

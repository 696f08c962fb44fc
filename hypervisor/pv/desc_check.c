/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which descriptors a guest may have in a GDT or LDT page. Pure; called for each of the 512 entries of a page that
 * becomes SEGDESC, and for each updated entry.
 *
 * Allowed: entries that are not present; code and data segments, with DPL forced to 3; the null system type. Anything
 * else - gates, TSS and LDT descriptors - could change privilege or tables, and is refused.
 */
#include <hv/pv.h>

#define DESC_TYPE      (0xfull << 40)
#define DESC_CODE_DATA (1ull << 44)
#define DESC_DPL       (3ull << 45)
#define DESC_PRESENT   (1ull << 47)

bool pv_check_descriptor(uint64_t *desc)
{
    uint64_t d = *desc;

    if (!(d & DESC_PRESENT))
        return true;
    if (!(d & DESC_CODE_DATA))
        return (d & DESC_TYPE) == 0;
    *desc = d | DESC_DPL;
    return true;
}

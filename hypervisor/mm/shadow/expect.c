// SPDX-License-Identifier: BSD-2-Clause
/*
 * A fault of the guest's own that an entry of the last level was the cause of will be answered by stores to its table:
 * one for a page of zeros, three for a copy, sixteen and more when a file's pages are mapped around it. So the table
 * goes out of sync with the fault, and none of them is an exit; the access that is tried again is, if the entry was
 * not there.
 */
#include <hv/boot.h>
#include "internal.h"

bool opt_shadow_expect = true;
CMDLINE_RUNTIME("shadow_expect", PARAM_BOOL, opt_shadow_expect);

bool expects_stores(const struct shadow *s, mfn_t table, unsigned int level)
{
    uint32_t id = READ_ONCE(mfn_to_page(table)->shadow.tables);

    return opt_shadow_expect && level == 1 && id && !READ_ONCE(page_by_id(s, id)->unsynced);
}

// SPDX-License-Identifier: BSD-2-Clause
/* The hypervisor's own string, formatting and division functions under other names, beside the C library's. */
#include "lib_renamed.h"

#define memcpy    hv_memcpy
#define memmove   hv_memmove
#define memset    hv_memset
#define memcmp    hv_memcmp
#define strlen    hv_strlen
#define strnlen   hv_strnlen
#define strcmp    hv_strcmp
#define strncmp   hv_strncmp
#define strchr    hv_strchr
#define strstr    hv_strstr
#define vsnprintf hv_vsnprintf
#define snprintf  hv_snprintf
#define __udivti3 hv_udivti3
#define __divti3  hv_divti3

#include "../../hypervisor/lib/string.c"
#include "../../hypervisor/lib/format.c"
#include "../../hypervisor/lib/int128.c"

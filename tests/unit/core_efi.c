// SPDX-License-Identifier: BSD-2-Clause
/*
 * platform_op's parts about UEFI: what is said of the firmware's tables, and variables. The firmware is faked, with one
 * variable; it checks that what it is given is the hypervisor's memory, and no larger than it was told.
 */
#include <hv/efi.h>
#include <xen/platform.h>
#include "fake/core.h"

#define RT EFI_MEMORY_RUNTIME

static struct xen_platform_op *p;
static struct xenpf_efi_runtime_call *c;
static union xenpf_efi_info *info;

static long platform_op(unsigned int cmd)
{
    p->cmd = cmd;
    p->interface_version = XENPF_INTERFACE_VERSION;
    return CALL(platform_op, p, 0, 0);
}

static long efi_info(uint32_t index)
{
    p->u.firmware_info.type = XEN_FW_EFI_INFO;
    p->u.firmware_info.index = index;
    return platform_op(XENPF_firmware_info);
}

static long runtime(uint32_t function)
{
    c->function = function;
    return platform_op(XENPF_efi_runtime_call);
}

static void prepare(void)
{
    p = guest_new(struct xen_platform_op);
    c = &p->u.efi_runtime_call;
    info = &p->u.firmware_info.u.efi_info;
    memset(&efi, 0, sizeof(efi));
    efi.present = efi.runtime = true;
    efi.version = 0x20046;
    efi.runtime_version = 0x2003c;
    efi.vendor_version = 0x10000;
    efi.config = 0x7e000800;
    efi.config_entries = 9;
    memcpy(efi.vendor, u"EDK II", 14);
    efi.region_count = 2;
    efi.region[0] = (struct efi_region){0x7e000000, 0x100, RT | EFI_MEMORY_WB, EFI_RUNTIME_DATA};
    efi.region[1] = (struct efi_region){0x7e200000, 0x10, EFI_MEMORY_WB, 9};
}

/* ---- the firmware ---- */

static const struct xenpf_efi_guid global = {0x8be4df61, 0x93ca, 0x11d2, {0xaa, 0xd, 0, 0xe0, 0x98, 3, 0x2b, 0x8c}};
static unsigned char content[70000];
static size_t content_size;
static uint32_t content_attributes;
static unsigned int calls;

static bool is_guest_memory(unsigned long a)
{
    return a >= (unsigned long)guest_memory && a < (unsigned long)guest_memory + GUEST_SIZE;
}

static unsigned long fake_get(const unsigned long *a)
{
    unsigned long *size = (void *)a[3], room = *size;

    assert_memory_equal((void *)a[1], &global, sizeof(global));
    if (memcmp((void *)a[0], u"BootOrder", 20))
        return 1ul << 63 | 14; /* not found */
    *(uint32_t *)a[2] = 7;
    *size = content_size;
    if (room < content_size)
        return EFI_BUFFER_TOO_SMALL;
    memcpy((void *)a[4], content, content_size);
    return EFI_SUCCESS;
}

static unsigned long fake_set(const unsigned long *a)
{
    assert_memory_equal((void *)a[1], &global, sizeof(global));
    content_attributes = (uint32_t)a[2];
    content_size = a[3];
    if (a[3])
        memcpy(content, (void *)a[4], a[3]);
    return EFI_SUCCESS;
}

static unsigned long fake_next(const unsigned long *a)
{
    unsigned long *size = (void *)a[0];

    if (*(uint16_t *)a[1])
        return 1ul << 63 | 14;
    if (*size < 20) {
        *size = 20;
        return EFI_BUFFER_TOO_SMALL;
    }
    *size = 20;
    memcpy((void *)a[1], u"BootOrder", 20);
    memcpy((void *)a[2], &global, sizeof(global));
    return EFI_SUCCESS;
}

static unsigned long fake_query(const unsigned long *a)
{
    assert_int_equal(a[0], 7);
    *(uint64_t *)a[1] = 0x10000;
    *(uint64_t *)a[2] = 0x8000;
    *(uint64_t *)a[3] = 0x400;
    return EFI_SUCCESS;
}

static int fake_firmware(enum efi_service service, const unsigned long *args, unsigned long *status)
{
    calls++;
    for (unsigned int i = 0; i < 6; i++)
        assert_false(is_guest_memory(args[i]));
    switch (service) {
    case EFI_GET_VARIABLE:
        *status = fake_get(args);
        break;
    case EFI_SET_VARIABLE:
        *status = fake_set(args);
        break;
    case EFI_NEXT_VARIABLE_NAME:
        *status = fake_next(args);
        break;
    case EFI_QUERY_VARIABLE_INFO:
        *status = fake_query(args);
        break;
    default:
        *(uint32_t *)args[0] = 0x1234;
        *status = EFI_SUCCESS;
    }
    return 0;
}

static int busy_twice(enum efi_service service, const unsigned long *args, unsigned long *status)
{
    static unsigned int n;

    return n++ % 3 < 2 ? -EBUSY : fake_firmware(service, args, status);
}

/* ---- tables ---- */

static void test_efi_tables(void **state)
{
    uint16_t *name = guest_alloc(64);

    prepare();
    assert_int_equal(efi_info(XEN_FW_EFI_VERSION), 0);
    assert_int_equal(info->version, 0x20046);
    assert_int_equal(efi_info(XEN_FW_EFI_RT_VERSION), 0);
    assert_int_equal(info->version, 0x2003c);
    efi.runtime = false;
    assert_int_equal(efi_info(XEN_FW_EFI_RT_VERSION), -EOPNOTSUPP);
    assert_int_equal(efi_info(XEN_FW_EFI_CONFIG_TABLE), 0);
    assert_int_equal(info->cfg.addr, 0x7e000800);
    assert_int_equal(info->cfg.nent, 9);
    assert_int_equal(efi_info(XEN_FW_EFI_PCI_ROM), -ESRCH);
    assert_int_equal(efi_info(XEN_FW_EFI_APPLE_PROPERTIES), -ENODATA);
    assert_int_equal(efi_info(7), -EINVAL);
    assert_int_equal(efi_info(~0u), -EINVAL);
    memset(name, 0xff, 64);
    info->vendor.bufsz = 5; /* two characters and a half */
    info->vendor.name.p = name;
    assert_int_equal(efi_info(XEN_FW_EFI_VENDOR), 0);
    assert_int_equal(info->vendor.revision, 0x10000);
    assert_memory_equal(name, u"ED\xffff", 6);
    info->vendor.bufsz = 64;
    info->vendor.name.p = name;
    assert_int_equal(efi_info(XEN_FW_EFI_VENDOR), 0);
    assert_memory_equal(name, u"EDK II\0\xffff", 16);
    info->vendor.bufsz = 64;
    info->vendor.name.p = FAULT;
    assert_int_equal(efi_info(XEN_FW_EFI_VENDOR), -EFAULT);
    efi.vendor[0] = 0;
    assert_int_equal(efi_info(XEN_FW_EFI_VENDOR), -EOPNOTSUPP);
    efi.present = false;
    for (uint32_t i = 0; i < 8; i++)
        assert_int_equal(efi_info(i), -ENOSYS);
}

static void test_efi_memory(void **state)
{
    prepare();
    info->mem.addr = 0x7e0ff000;
    info->mem.size = 0x800;
    assert_int_equal(efi_info(XEN_FW_EFI_MEM_INFO), 0);
    assert_int_equal(info->mem.size, 0x800);
    assert_int_equal(info->mem.type, EFI_RUNTIME_DATA);
    assert_true(info->mem.attr == (RT | EFI_MEMORY_WB));
    info->mem.size = ~0ull; /* beyond its end */
    assert_int_equal(efi_info(XEN_FW_EFI_MEM_INFO), 0);
    assert_int_equal(info->mem.size, 0x1000);
    info->mem.addr = 0x7e100000;
    assert_int_equal(efi_info(XEN_FW_EFI_MEM_INFO), -ESRCH);
    info->mem.addr = ~0ull;
    assert_int_equal(efi_info(XEN_FW_EFI_MEM_INFO), -ESRCH);
}

/* ---- variables ---- */

static void set_name(const uint16_t *name, size_t bytes)
{
    uint16_t *g = guest_alloc(bytes);

    memcpy(g, name, bytes);
    c->misc = 0;
    c->u.get_variable.name.p = g;
    c->u.get_variable.vendor_guid = global;
}

static void test_efi_get_variable(void **state)
{
    uint8_t *data = guest_alloc(80000);

    prepare();
    core.efi = fake_firmware;
    memset(content, 'v', sizeof(content));
    content_size = 10;
    set_name(u"BootOrder", 20);
    c->u.get_variable.size = 0;
    assert_int_equal(runtime(XEN_EFI_get_variable), 0); /* how large is it? */
    assert_true(c->status == EFI_BUFFER_TOO_SMALL);
    assert_int_equal(c->u.get_variable.size, 10);
    set_name(u"BootOrder", 20);
    memset(data, 'x', 80000);
    c->u.get_variable.size = 12;
    c->u.get_variable.data.p = data;
    assert_int_equal(runtime(XEN_EFI_get_variable), 0);
    assert_int_equal(c->status, EFI_SUCCESS);
    assert_int_equal(c->misc, 7);
    assert_int_equal(c->u.get_variable.size, 10);
    assert_memory_equal(data, "vvvvvvvvvvxx", 12);
    set_name(u"BootOrder", 20);
    content_size = 65537; /* larger than any variable here, whatever room there is */
    c->u.get_variable.size = 80000;
    assert_int_equal(runtime(XEN_EFI_get_variable), 0);
    assert_true(c->status == EFI_BUFFER_TOO_SMALL);
    content_size = 65536;
    set_name(u"BootOrder", 20);
    c->u.get_variable.size = ~0ul;
    assert_int_equal(runtime(XEN_EFI_get_variable), 0);
    assert_int_equal(c->status, EFI_SUCCESS);
    assert_int_equal(data[65535], 'v');
    assert_int_equal(data[65536], 'x');
    set_name(u"Other", 12);
    assert_int_equal(runtime(XEN_EFI_get_variable), 0);
    assert_true(c->status == (1ul << 63 | 14));
}

static void test_efi_get_variable_errors(void **state)
{
    uint16_t *name;

    prepare();
    core.efi = fake_firmware;
    calls = 0;
    content_size = 10;
    set_name(u"BootOrder", 20);
    c->misc = 1;
    assert_int_equal(runtime(XEN_EFI_get_variable), -EINVAL);
    c->misc = 0;
    c->u.get_variable.name.p = FAULT;
    assert_int_equal(runtime(XEN_EFI_get_variable), -EFAULT);
    name = guest_alloc(2048);
    memset(name, 'n', 2048); /* does not end */
    c->u.get_variable.name.p = name;
    assert_int_equal(runtime(XEN_EFI_get_variable), -EINVAL);
    assert_int_equal(calls, 0);
    name[1023] = 0;
    assert_int_equal(runtime(XEN_EFI_get_variable), 0);
    /* a name at the end of all memory, at an odd address */
    name = (uint16_t *)(guest_memory + GUEST_SIZE - 19);
    memcpy(name, u"BootOrd\0", 18);
    c->misc = 0;
    c->u.get_variable.name.p = name;
    assert_int_equal(runtime(XEN_EFI_get_variable), 0);
    set_name(u"BootOrder", 20);
    c->u.get_variable.size = 10;
    c->u.get_variable.data.p = FAULT;
    assert_int_equal(runtime(XEN_EFI_get_variable), -EFAULT);
    for (core.fail_alloc = 1; core.fail_alloc <= 2; core.fail_alloc++) {
        unsigned int n = core.fail_alloc;

        assert_int_equal(runtime(XEN_EFI_get_variable), -ENOMEM);
        core.fail_alloc = n;
    }
    core.fail_alloc = 0;
}

static void test_efi_set_variable(void **state)
{
    uint8_t *data = guest_alloc(80000);

    prepare();
    core.efi = fake_firmware;
    set_name(u"BootOrder", 20);
    memset(data, 'w', 80000);
    c->misc = 7;
    c->u.set_variable.size = 65536;
    c->u.set_variable.data.p = data;
    assert_int_equal(runtime(XEN_EFI_set_variable), 0);
    assert_int_equal(c->status, EFI_SUCCESS);
    assert_int_equal(content_size, 65536);
    assert_int_equal(content_attributes, 7);
    assert_int_equal(content[65535], 'w');
    c->u.set_variable.size = 65537;
    assert_int_equal(runtime(XEN_EFI_set_variable), -ENOMEM);
    c->u.set_variable.size = ~0ul;
    assert_int_equal(runtime(XEN_EFI_set_variable), -ENOMEM);
    c->u.set_variable.size = 1;
    c->u.set_variable.data.p = FAULT;
    assert_int_equal(runtime(XEN_EFI_set_variable), -EFAULT);
    assert_int_equal(content_size, 65536);
    c->u.set_variable.size = 0; /* deletes it */
    assert_int_equal(runtime(XEN_EFI_set_variable), 0);
    assert_int_equal(content_size, 0);
}

static void test_efi_next_variable_name(void **state)
{
    uint16_t *name = guest_alloc(4096);

    prepare();
    core.efi = fake_firmware;
    memset(name, 0, 4096);
    c->u.get_next_variable_name.name.p = name;
    c->u.get_next_variable_name.size = 2;
    assert_int_equal(runtime(XEN_EFI_get_next_variable_name), 0);
    assert_true(c->status == EFI_BUFFER_TOO_SMALL);
    assert_int_equal(c->u.get_next_variable_name.size, 20);
    assert_int_equal(name[0], 0);
    c->u.get_next_variable_name.size = 4096;
    assert_int_equal(runtime(XEN_EFI_get_next_variable_name), 0);
    assert_int_equal(c->status, EFI_SUCCESS);
    assert_memory_equal(name, u"BootOrder", 20);
    assert_memory_equal(&c->u.get_next_variable_name.vendor_guid, &global, sizeof(global));
    c->u.get_next_variable_name.size = ~0ul; /* and the end */
    assert_int_equal(runtime(XEN_EFI_get_next_variable_name), 0);
    assert_true(c->status == (1ul << 63 | 14));
    c->u.get_next_variable_name.size = 0;
    assert_int_equal(runtime(XEN_EFI_get_next_variable_name), 0);
    c->misc = 1;
    assert_int_equal(runtime(XEN_EFI_get_next_variable_name), -EINVAL);
    c->misc = 0;
    c->u.get_next_variable_name.size = 64;
    c->u.get_next_variable_name.name.p = FAULT;
    assert_int_equal(runtime(XEN_EFI_get_next_variable_name), -EFAULT);
    core.fail_alloc = 1;
    assert_int_equal(runtime(XEN_EFI_get_next_variable_name), -ENOMEM);
}

static void test_efi_other_services(void **state)
{
    prepare();
    core.efi = fake_firmware;
    c->u.query_variable_info.attr = 7;
    assert_int_equal(runtime(XEN_EFI_query_variable_info), 0);
    assert_int_equal(c->u.query_variable_info.max_store_size, 0x10000);
    assert_int_equal(c->u.query_variable_info.remain_store_size, 0x8000);
    assert_int_equal(c->u.query_variable_info.max_size, 0x400);
    c->misc = XEN_EFI_VARINFO_BOOT_SNAPSHOT;
    assert_int_equal(runtime(XEN_EFI_query_variable_info), -EOPNOTSUPP);
    c->misc = 2;
    assert_int_equal(runtime(XEN_EFI_query_variable_info), -EINVAL);
    assert_int_equal(runtime(XEN_EFI_get_next_high_monotonic_count), -EINVAL);
    c->misc = 0;
    assert_int_equal(runtime(XEN_EFI_get_next_high_monotonic_count), 0);
    assert_int_equal(c->misc, 0x1234);
    for (uint32_t i = XEN_EFI_get_time; i <= XEN_EFI_set_wakeup_time; i++)
        assert_int_equal(runtime(i), -EOPNOTSUPP);
    assert_int_equal(runtime(XEN_EFI_query_capsule_capabilities), -ENOSYS);
    assert_int_equal(runtime(XEN_EFI_update_capsule), -ENOSYS);
    assert_int_equal(runtime(0), -ENOSYS);
    assert_int_equal(runtime(~0u), -ENOSYS);
    efi.present = false;
    for (uint32_t i = 0; i < 12; i++)
        assert_int_equal(runtime(i), -ENOSYS);
}

/* No services; or another CPU is in the firmware: the call is made again. */
static void test_efi_busy(void **state)
{
    prepare();
    assert_int_equal(runtime(XEN_EFI_get_next_high_monotonic_count), -EOPNOTSUPP);
    core.efi = busy_twice;
    assert_int_equal(runtime(XEN_EFI_get_next_high_monotonic_count), 0);
    assert_int_equal(core.restarts, 2);
    assert_int_equal(c->misc, 0x1234);
}

int core_efi_tests(void)
{
    static const struct CMUnitTest tests[] = {
        CORE_TEST(test_efi_tables),         CORE_TEST(test_efi_memory),
        CORE_TEST(test_efi_get_variable),   CORE_TEST(test_efi_get_variable_errors),
        CORE_TEST(test_efi_set_variable),   CORE_TEST(test_efi_next_variable_name),
        CORE_TEST(test_efi_other_services), CORE_TEST(test_efi_busy),
    };
    int failed = cmocka_run_group_tests_name("efi", tests, NULL, NULL);

    efi.present = false; /* as a BIOS leaves it, for other groups */
    return failed;
}

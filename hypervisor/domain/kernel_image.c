/* SPDX-License-Identifier: BSD-2-Clause */
/* From the kernel file that GRUB loaded to an ELF image: bzImage (Linux boot protocol 2.08 and later) with an xz or
 * zstd payload, or plain ELF. */
#include "elf.h"
#include "zstd.h"

#include <hv/heap.h>

static uint32_t le32_at(const uint8_t *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof(v));
    return v;
}

/* The bzImage's payload; false when the file is not a bzImage or lies about it. */
static bool find_payload(const uint8_t *file, size_t size, const uint8_t **payload, size_t *len)
{
    uint64_t setup, offset;

    if (size < 0x250 || memcmp(file + 0x202, "HdrS", 4) || (file[0x206] | file[0x207] << 8) < 0x208)
        return false;
    setup = ((file[0x1f1] ? file[0x1f1] : 4) + 1) * 512u;
    offset = setup + le32_at(file + 0x248);
    *len = le32_at(file + 0x24c);
    if (offset > size || *len > size - offset || *len < 16)
        return false;
    *payload = file + offset;
    return true;
}

/* What the payloads begin with. */
static const struct format {
    uint8_t magic[5], magic_size;
    int64_t (*decode)(const uint8_t *in, size_t in_size, uint8_t *out, size_t out_size);
} formats[] = {
    {{0xfd, '7', 'z', 'X', 'Z'}, 5, xz_decode},
    {{0x28, 0xb5, 0x2f, 0xfd}, 4, zstd_decode},
};

/* The payload ends with its decoded size. */
static const char *decode(const struct format *f, struct kernel_image *k, const uint8_t *payload, size_t len)
{
    size_t size = le32_at(payload + len - 4);
    int64_t got;

    k->order = get_order_bytes(size);
    k->buffer = alloc_hv_mem(k->order);
    if (!k->buffer)
        return "no memory to decode it";
    got = f->decode(payload, len - 4, k->buffer, size);
    if (got < 0) {
        kernel_image_free(k);
        return got == -ENOMEM ? "no memory to decode it" : "its payload is damaged";
    }
    k->elf = k->buffer;
    k->size = (size_t)got;
    return NULL;
}

const char *kernel_image_open(struct kernel_image *k, const void *file, size_t size)
{
    const uint8_t *payload = file;
    size_t len = size;

    memset(k, 0, sizeof(*k));
    find_payload(file, size, &payload, &len);
    if (len > 16 && !memcmp(payload,
                            "\x7f"
                            "ELF",
                            4)) {
        k->elf = payload;
        k->size = len;
        return NULL;
    }
    for (unsigned int i = 0; i < ARRAY_SIZE(formats); i++)
        if (len > 16 && !memcmp(payload, formats[i].magic, formats[i].magic_size))
            return decode(&formats[i], k, payload, len);
    return "neither ELF nor a bzImage with an ELF, xz or zstd payload";
}

void kernel_image_free(struct kernel_image *k)
{
    free_hv_mem(k->buffer, k->order);
    k->buffer = NULL;
}

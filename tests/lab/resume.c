// SPDX-License-Identifier: BSD-2-Clause
/* resume DOMID: lets a suspended guest go on where it was, by the library of Xen's own tools. */
#include <stdio.h>
#include <stdlib.h>
#include <xenctrl.h>
#include <xenguest.h>

int main(int argc, char **argv)
{
    xc_interface *xch = xc_interface_open(NULL, NULL, 0);

    if (!xch || argc != 2 || xc_domain_resume(xch, (uint32_t)atoi(argv[1]), 1)) {
        perror("resume");
        return 1;
    }
    return 0;
}

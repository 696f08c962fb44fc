# SPDX-License-Identifier: BSD-2-Clause
# tools/tls, in reading order.
tls-srcs += tools/tls/main.c
tls-srcs += tools/tls/key.c
tls-srcs += tools/tls/net.c
tls-srcs += tools/tls/relay.c
tls-srcs += tools/tls/serve.c
tls-srcs += tools/tls/tls.c
tls-libs := -lgnutls

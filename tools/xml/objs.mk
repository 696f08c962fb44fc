# SPDX-License-Identifier: BSD-2-Clause
# tools/xml, in reading order.
xml-own-srcs := $(patsubst %,tools/xml/%.c,main tree domain devices left export export_devices xml)
xml-srcs += $(xml-own-srcs) $(config-text-srcs)
xml-libs := -lxml2 -lyajl
xml-cflags := -I/usr/include/libxml2
$(BUILD)/tools/tools/xml/xml.o: TOOL_CFLAGS += $(xml-cflags)

/* SPDX-License-Identifier: BSD-2-Clause */
/* Command lines run within the test, for test_cli and test_verbs. */
#ifndef TESTS_CLI_RUN_H
#define TESTS_CLI_RUN_H

#define CLI_OUT_SIZE 16384

extern char out[CLI_OUT_SIZE], err[CLI_OUT_SIZE];
/* Runs one command line (words split at blanks; '_' stands for a blank in a word); returns the exit code. */
int umbra(const char *line);
/* A host with its control domain and one guest: 3, web1. */
int cli_fresh(void **state);

/* Of the whole program: a directory of its own. */
int cli_setup(void **state);
int cli_teardown(void **state);

/* cli_host.c */
void test_set_parameters(void **state);
void test_completion(void **state);
void test_completion_script(void **state);
void test_bug_info(void **state);
void test_autostart_links(void **state);
void test_autostart_refused(void **state);
void test_autostart_relative(void **state);
void test_autostart_renamed(void **state);
void test_autostart_forms(void **state);
void test_autostart_run(void **state);
void test_autostart_stop(void **state);

/* cli_top.c */
void test_top_batch(void **state);
void test_top_devices(void **state);
void test_top_usage(void **state);
void test_top_live(void **state);
void test_top_signals(void **state);

/* cli_config.c */
void test_config_usage(void **state);
void test_config_schema(void **state);
void test_config_validate(void **state);
void test_config_convert(void **state);
void test_config_get(void **state);
void test_config_get_failures(void **state);
void test_config_without_xml(void **state);
void test_create_from_xl(void **state);

/* cli_settings.c */
void test_settings_of_guests(void **state);
void test_settings_of_networks(void **state);
void test_settings_broken(void **state);
void test_settings_shown(void **state);

/* cli_shadow.c */
void test_shadow_verbs(void **state);
void test_shadow_dump(void **state);

/* cli_terminal.c */
void test_escape(void **state);
void test_terminal(void **state);
void test_terminal_stuck(void **state);
void test_terminal_file(void **state);
void test_terminal_hangup(void **state);
void test_console_log(void **state);
void test_console_log_refused(void **state);

/* cli_devices.c */
void test_device_verbs(void **state);

#endif

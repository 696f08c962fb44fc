/* SPDX-License-Identifier: BSD-2-Clause */
/* Tests of the grammar of hypercalls at random. */
#ifndef FUZZ_GRAMMAR_TESTS_H
#define FUZZ_GRAMMAR_TESTS_H

/* How many failed. */
int fuzz_grammar_tests(void);

#endif

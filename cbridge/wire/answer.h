/* Questions for the DHCID of a name, and their answers. pyd2/dns/question.py is the same in Python. */
#ifndef PYD2_WIRE_ANSWER_H
#define PYD2_WIRE_ANSWER_H

#include <stddef.h>
#include <stdint.h>

#include "contexts.h"
#include "tsig.h"

/*
 * Write the question for the DHCID of a name on the wire, with query ID 0 and without TSIG. Returns the message's size
 * or an enum wire_error.
 */
int wire_question_write(const uint8_t *name, size_t name_size, uint8_t *buffer, size_t buffer_size);

/*
 * Return what the answer to a question says of a name and a client's DHCID: WIRE_TRY_FREE, WIRE_TRY_WITHOUT,
 * WIRE_TRY_OURS or WIRE_TRY_OTHERWISE (tries.h). WIRE_TRY_JUDGE for all answers that are not in the usual form, good and
 * bad. With a `key` it must be signed; `question_mac` is the question's MAC, and `wall` is seconds since the epoch.
 * Whether the query ID is the question's is for the caller to check.
 */
int wire_answer_read(const uint8_t *answer, size_t size, wire_key *key, const uint8_t *question_mac,
                     size_t question_mac_size, uint64_t wall, const uint8_t *name, size_t name_size,
                     const uint8_t *dhcid, size_t dhcid_size);

/* The same for a question that a context has signed. What is for the caller to judge has not been verified yet. */
int wire_answer_read_by_context(const uint8_t *answer, size_t size, wire_context *context,
                                const uint8_t *question_mac, size_t question_mac_size, uint64_t wall,
                                const uint8_t *name, size_t name_size, const uint8_t *dhcid, size_t dhcid_size);

#endif

/* How many datagrams or messages one call deals with. */
#ifndef PYD2_WIRE_BATCH_H
#define PYD2_WIRE_BATCH_H

enum { WIRE_BATCH_MAX = 128 };

#endif

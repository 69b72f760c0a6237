/* Where a scenario begins and ends, for callgrind: only what lies between is counted. */
#ifndef GATE_MARKS_H
#define GATE_MARKS_H

void gate_begin(void);

/* End a scenario; its counts go to a file that has its name inside. */
void gate_end(const char *name);

#endif

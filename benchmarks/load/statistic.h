/* Completion by the D2's own statistics, where a DNS server that is not ours answers. */
#ifndef LOAD_STATISTIC_H
#define LOAD_STATISTIC_H

/* Return update-success, asked for over the D2's control socket; -1 when there is no answer. */
long long statistic_successes(const char *socket_path);

#endif

#include "statistic.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

static const char COMMAND[] =
    "{\"command\":\"statistic-get\",\"arguments\":{\"name\":\"update-success\"}}";

/* Exchange a command for its answer; returns the answer's size. */
static size_t ask(int connection, const struct sockaddr_un *to, char *buffer, size_t size) {
    const struct timeval limit = {20, 0};
    size_t filled = 0;
    setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (connect(connection, (const struct sockaddr *)to, sizeof *to) != 0 ||
        write(connection, COMMAND, sizeof COMMAND - 1) < 0) {
        return 0;
    }
    shutdown(connection, SHUT_WR);
    for (ssize_t more; (more = read(connection, buffer + filled, size - filled)) != 0;) {
        if (more > 0) {
            filled += (size_t)more;
        } else if (errno != EINTR) { /* with a time limit, read also ends when the process was paused */
            break;
        }
    }
    return filled;
}

long long statistic_successes(const char *socket_path) {
    /* {"arguments": {"update-success": [[N, "time"], ...]}, ...} */
    char answer[512];
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int connection = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection < 0 || strlen(socket_path) >= sizeof to.sun_path) {
        return -1;
    }
    strcpy(to.sun_path, socket_path);
    size_t size = ask(connection, &to, answer, sizeof answer - 1);
    close(connection);
    answer[size] = '\0';
    const char *value = strstr(answer, "\"update-success\"");
    value = value != NULL ? strpbrk(value, "0123456789") : NULL;
    return value != NULL ? atoll(value) : -1;
}

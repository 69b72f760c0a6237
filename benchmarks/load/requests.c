#include "requests.h"

#include <string.h>
#include <time.h>

#include "fail.h"

static char heads[2][128]; /* by whether it is a removal */
static char tail[192];
static const char DHCID[] =
    "000101A5A5A5A5C3C3C3C30F0F0F0F1E1E1E1E2D2D2D2D4B4B4B4B69696969"; /* and the host's number in hex */

bool request_removes(const load_options *options, uint32_t host) {
    return options->change == CHANGE_REMOVE || (options->change == CHANGE_MIXED && (host & 1) != 0);
}

void requests_prepare(const load_options *options) {
    for (int removes = 0; removes < 2; removes++) {
        snprintf(heads[removes], sizeof heads[removes],
                 "{\"change-type\":%d,\"forward-change\":%s,\"reverse-change\":%s,\"fqdn\":\"", removes,
                 options->forward ? "true" : "false", options->reverse ? "true" : "false");
    }
    time_t expires = time(NULL) + 3600;
    struct tm parts;
    char text[16];
    gmtime_r(&expires, &parts);
    strftime(text, sizeof text, "%Y%m%d%H%M%S", &parts);
    int size = snprintf(tail, sizeof tail,
                        "\",\"lease-expires-on\":\"%s\",\"lease-length\":3600,\"conflict-resolution-mode\":\"%s\"}",
                        text, options->mode);
    if (size >= (int)sizeof tail) {
        FAIL("no conflict resolution mode: %s", options->mode);
    }
}

static char *put(char *at, const char *text, size_t size) {
    memcpy(at, text, size);
    return at + size;
}

size_t request_write(const host_plan *plan, bool removes, uint32_t host, uint8_t buffer[REQUEST_MAX]) {
    static const char address[] = "\",\"ip-address\":\"";
    static const char dhcid[] = "\",\"dhcid\":\"";
    char *begin = (char *)buffer + 2;
    char *at = put(begin, heads[removes], strlen(heads[removes]));
    at += host_fqdn(plan, host, at);
    at = put(at, address, sizeof address - 1);
    at += host_address(plan, host, at);
    at = put(at, dhcid, sizeof dhcid - 1);
    at = put(at, DHCID, sizeof DHCID - 1);
    for (int shift = 28; shift >= 0; shift -= 4) {
        *at++ = "0123456789ABCDEF"[host >> shift & 15];
    }
    at = put(at, tail, strlen(tail));
    size_t size = (size_t)(at - begin);
    buffer[0] = (uint8_t)(size >> 8);
    buffer[1] = (uint8_t)size;
    return size + 2;
}

/* Fuzzes the decoder of requests: the input is a datagram. */
#include "harness.h"
#include "name.h"
#include "request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    input from = {data, size};
    uint8_t *datagram = next_octets(&from, &size);
    wire_request *request = malloc(sizeof *request);
    CHECK(request != NULL);
    memset(request, 0xAA, sizeof *request);
    if (wire_request_read(request, datagram, size) == 0) {
        wire_name name;
        CHECK(wire_name_set(&name, request->fqdn_wire, request->fqdn_wire_size) == 0);
        CHECK(request->fqdn_wire_size == request->fqdn_size + 2);
        CHECK(request->fqdn_at + request->fqdn_size < size && datagram[request->fqdn_at - 1] == '"');
        CHECK(request->address_at + request->address_text_size < size);
        CHECK(request->lease_expires_on_at + 14U < size);
        CHECK(request->address_size == 4 || request->address_size == 16);
        CHECK(request->dhcid_size > 0 && request->dhcid_size <= WIRE_DHCID_MAX);
        CHECK(request->kind < WIRE_REQUEST_KINDS && request->lease_length < 1000000000);
        CHECK(request->forward_change < 2 && request->reverse_change < 2);
        CHECK(request->forward_change || request->reverse_change);
    }
    free(request);
    free(datagram);
    return 0;
}

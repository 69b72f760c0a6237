#include "io.h"

#include "kea_abi.h"

#include <list>

using isc::asiolink::IOService;
using isc::asiolink::IOServiceMgr;
using isc::asiolink::IOServicePtr;

namespace {

/* A handler may cause work in any service: so poll again until none has work, but not without end. */
const int most_rounds = 8;

/* A copy: handlers may register and unregister services. */
std::list<IOServicePtr> services() {
    std::list<IOServicePtr> all = pyd2::abi::registered_services(IOServiceMgr::instance());
    all.push_back(pyd2::main_service());
    return all;
}

}  // namespace

namespace pyd2 {

IOServicePtr main_service() {
    static const IOServicePtr service(new IOService());
    return service;
}

void clear_services() {
    IOServiceMgr::instance().clearIOServices();
}

}  // namespace pyd2

int kb_io_poll(void) {
    return pyd2::guarded(-1, [] {
        size_t total = 0;
        for (int round = 0; round < most_rounds; ++round) {
            size_t ran = 0;
            for (const IOServicePtr& service : services()) {
                ran += service->poll();
            }
            if (pyd2::main_service()->stopped()) {
                pyd2::main_service()->restart();
            }
            total += ran;
            if (ran == 0) {
                break;
            }
        }
        return static_cast<int>(total);
    });
}

int kb_io_poll_registered(void) {
    return pyd2::guarded(-1, [] {
        size_t ran = 0;
        const std::list<IOServicePtr> registered = pyd2::abi::registered_services(IOServiceMgr::instance());
        for (const IOServicePtr& service : registered) {
            ran += service->poll();
        }
        return static_cast<int>(ran);
    });
}

int kb_io_descriptors(int* descriptors, size_t most) {
    return pyd2::guarded(-1, [&] {
        size_t count = 0;
        for (const IOServicePtr& service : services()) {
            if (service->stopped()) {
                continue; /* a stopped service handles nothing, so its descriptor would stay readable */
            }
            if (count < most) {
                descriptors[count] = pyd2::abi::descriptor_of(*service);
            }
            ++count;
        }
        return static_cast<int>(count);
    });
}

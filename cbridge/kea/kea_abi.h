/*
 * All that depends on the versions of Kea and Boost: when either changes, look here only.
 *
 * Written for Kea 2.6 and 3.0 (hooks versions 206xx and 300xx) and Boost 1.83, with both forms where they differ.
 * build_kea.py includes it before all other headers.
 */
#ifndef PYD2_KEA_ABI_H
#define PYD2_KEA_ABI_H

// Kea 3.0 wants its own first, and has moved the build report.
#include <config.h>
#if __has_include(<process/cfgrpt/config_report.h>)
#include <process/cfgrpt/config_report.h>
#else
#include <cfgrpt/config_report.h>
#endif
#if __has_include(<config/http_command_config.h>)
#define PYD2_KEA_HTTP  // commands over HTTP, with hook points
#endif

#include <asiolink/asio_wrapper.h>
#include <asiolink/io_service.h>
#include <asiolink/io_service_mgr.h>
#include <boost/asio/detail/epoll_reactor.hpp>
#include <boost/asio/io_context.hpp>
#include <cc/data.h>
#include <hooks/hooks.h>
#include <util/buffer.h>
#include <util/bigints.h>

#include <cstdint>
#include <list>
#include <string>

static_assert(KEA_HOOKS_VERSION / 100 == 206 || KEA_HOOKS_VERSION / 100 == 300,
              "the bridge is written for Kea 2.6 and 3.0: adapt kea_abi.h");

namespace pyd2 {
namespace abi {

/*
 * Reads two private members: no public one has the descriptors to wait for, and polling without them costs 1.7 % of a
 * CPU (100 times a second) or makes timers late. An explicit instantiation may name a private member (C++17,
 * [temp.explicit] 12).
 */

std::list<isc::asiolink::IOServicePtr>& registered_services(isc::asiolink::IOServiceMgr& manager);
int reactor_descriptor(boost::asio::detail::epoll_reactor& reactor);

template <auto Member>
struct ServicesOf {
    friend std::list<isc::asiolink::IOServicePtr>& registered_services(isc::asiolink::IOServiceMgr& manager) {
        return manager.*Member;
    }
};
template struct ServicesOf<&isc::asiolink::IOServiceMgr::io_services_>;

template <auto Member>
struct DescriptorOf {
    friend int reactor_descriptor(boost::asio::detail::epoll_reactor& reactor) {
        return reactor.*Member;
    }
};
template struct DescriptorOf<&boost::asio::detail::epoll_reactor::epoll_fd_>;

/*
 * The epoll descriptor of a service; it stays the same while the service lives. use_service() may create the
 * reactor: then init_task() registers it with the service, which otherwise never reads the descriptor.
 */
inline int descriptor_of(isc::asiolink::IOService& service) {
    namespace asio = boost::asio;
    auto& reactor = asio::use_service<asio::detail::epoll_reactor>(service.getInternalIOService());
    reactor.init_task();
    return reactor_descriptor(reactor);
}

/* Kea's integers of more than 64 bits. */
inline std::string big_integer_text(const isc::data::Element& element) {
    return element.bigIntValue().str();
}

inline isc::data::ElementPtr make_big_integer(const std::string& digits,
                                              const isc::data::Element::Position& position) {
    return isc::data::Element::create(isc::util::int128_t(digits), position);
}

/* The octets in a buffer that a DNS record was written to. */
inline const std::uint8_t* octets(const isc::util::OutputBuffer& buffer) {
    return static_cast<const std::uint8_t*>(buffer.getData());
}

}  // namespace abi
}  // namespace pyd2

#endif

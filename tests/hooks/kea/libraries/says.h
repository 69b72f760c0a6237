// What the libraries for the tests have in common: they are compiled for this version of Kea, and say in the log what
// they see. Before this is included, MESSAGE_ID is defined, which no two libraries may share, LOGGER, the name of a
// logger, and MESSAGE_TEXT if it is another than the usual one.
#pragma once

#include <hooks/hooks.h>
#include <log/logger.h>
#include <log/macros.h>
#include <log/message_initializer.h>

#include <string>

#ifndef MESSAGE_TEXT
#define MESSAGE_TEXT "%1: %2"
#endif

namespace {

const char* message[] = {MESSAGE_ID, MESSAGE_TEXT, nullptr};
const isc::log::MessageInitializer registered(message);
isc::log::Logger logger(LOGGER);

template <typename Value>
void say(const std::string& what, const Value& value) {
    LOG_INFO(logger, MESSAGE_ID).arg(what).arg(value);
}

}  // namespace

extern "C" int version() {
    return KEA_HOOKS_VERSION;
}

#include "logging.h"

#include "slots.h"

#include <log/logger_level.h>
#include <log/logger_level_impl.h>
#include <log/logger_manager.h>
#include <log/logger_specification.h>
#include <log/logger_support.h>

#include <log4cplus/appender.h>
#include <log4cplus/logger.h>
#include <log4cplus/spi/loggingevent.h>

#include <atomic>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

struct Line {
    int severity;
    std::string logger;
    std::string text;
};

std::string root_name;
std::thread::id hook_thread;
std::mutex waiting_lock;
std::deque<Line> waiting;  /* lines of other threads; guarded by waiting_lock */
int lost = 0;              /* lines of other threads that were too many; guarded by waiting_lock */
std::atomic<bool> any_waiting{false};

const size_t most_waiting = 10000;

void pass_on(const Line& line) {
    if (pyd2::callbacks().log != nullptr) {
        pyd2::callbacks().log(line.severity, line.logger.c_str(), line.text.c_str());
    }
}

void pass_waiting() {
    std::deque<Line> lines;
    {
        const std::lock_guard<std::mutex> lock(waiting_lock);
        lines.swap(waiting);
        any_waiting = false;
    }
    for (const Line& line : lines) {
        pass_on(line);
    }
}

/* The only appender, in place of Kea's files and consoles. */
class Forwarder : public log4cplus::Appender {
public:
    ~Forwarder() override { destructorImpl(); }
    void close() override { closed = true; }

protected:
    void append(const log4cplus::spi::InternalLoggingEvent& event) override {
        const isc::log::Level level = isc::log::LoggerLevelImpl::convertToBindLevel(event.getLogLevel());
        const Line line{static_cast<int>(level.severity), event.getLoggerName(), event.getMessage()};
        if (std::this_thread::get_id() == hook_thread) {
            if (any_waiting) {  // they are older
                pass_waiting();
            }
            pass_on(line);
            return;
        }
        // No Python on a thread of a library: the interpreter may be ending.
        const std::lock_guard<std::mutex> lock(waiting_lock);
        if (waiting.size() < most_waiting) {
            waiting.push_back(line);
            any_waiting = true;
        } else {
            ++lost;
        }
    }
};

void use_forwarder() {
    log4cplus::Logger root = log4cplus::Logger::getInstance(root_name);
    root.removeAllAppenders();
    root.addAppender(log4cplus::SharedAppenderPtr(new Forwarder()));
}

}  // namespace

namespace pyd2 {

void start_logging(const char* root) {
    root_name = root;
    hook_thread = std::this_thread::get_id();
    isc::log::initLogger(root_name, isc::log::INFO, 0, nullptr, true);
    use_forwarder();
}

}  // namespace pyd2

int kb_log_levels(const kb_level* levels, size_t count) {
    return pyd2::guarded(-1, [&] {
        std::vector<isc::log::LoggerSpecification> specifications;
        for (size_t index = 0; index < count; ++index) {
            const kb_level& level = levels[index];
            // No outputs, and additive: messages reach the Forwarder of the root.
            specifications.emplace_back(level.logger, static_cast<isc::log::Severity>(level.severity),
                                        level.debug_level, true);
        }
        isc::log::LoggerManager manager;
        manager.process(specifications.begin(), specifications.end());
        use_forwarder();
        return 0;
    });
}

int kb_log_collect(void) {
    pass_waiting();
    const std::lock_guard<std::mutex> lock(waiting_lock);
    return std::exchange(lost, 0);
}

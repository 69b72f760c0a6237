#include "error.h"

#include <cstdlib>
#include <cstring>
#include <new>

namespace pyd2 {

namespace {
thread_local std::string last_error;
}

void set_error(const std::string& text) noexcept {
    try {
        last_error = text;
    } catch (...) {
        last_error.clear();
    }
}

char* copy_text(const std::string& text) {
    char* copy = static_cast<char*>(std::malloc(text.size() + 1));
    if (copy == nullptr) {
        throw std::bad_alloc();
    }
    std::memcpy(copy, text.c_str(), text.size() + 1);
    return copy;
}

}  // namespace pyd2

const char* kb_error(void) {
    return pyd2::last_error.c_str();
}

void kb_free(void* block) {
    std::free(block);
}

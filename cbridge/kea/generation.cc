#include "generation.h"

#include <dlfcn.h>

#include <utility>

namespace pyd2 {

namespace {
GenerationPtr in_force;
}

Generation::Generation(const std::vector<std::string>& libraries) {
    libraries_.reserve(libraries.size());
    for (const std::string& library : libraries) {
        void* handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD);
        if (handle != nullptr) {
            libraries_.push_back(handle);
        }
    }
}

Generation::~Generation() {
    for (void* library : libraries_) {
        dlclose(library);
    }
}

GenerationPtr current_generation() {
    return in_force;
}

void set_generation(GenerationPtr generation) {
    in_force = std::move(generation);
}

}  // namespace pyd2

/*
 * Generations keep compiled libraries mapped while an object that one of them made is in use.
 *
 * Kea closes libraries at each reconfiguration. A transaction in flight may hold a key or a signing context whose
 * code is in one of them; Kea's server crashes then. Here each handle on such an object holds the generation of
 * libraries that were loaded when it was made, and releases it after the object.
 *
 * Only the hook thread uses it.
 */
#ifndef PYD2_KEA_GENERATION_H
#define PYD2_KEA_GENERATION_H

#include <memory>
#include <string>
#include <vector>

namespace pyd2 {

class Generation {
public:
    /* Hold each library that is mapped; ignore others. */
    explicit Generation(const std::vector<std::string>& libraries);
    ~Generation();
    Generation(const Generation&) = delete;
    Generation& operator=(const Generation&) = delete;

private:
    std::vector<void*> libraries_;
};

using GenerationPtr = std::shared_ptr<const Generation>;

/* Return the generation in force; a null pointer when no compiled library is loaded. */
GenerationPtr current_generation();

/* Put one in force, or none; objects hold the earlier one as long as they need it. */
void set_generation(GenerationPtr generation);

}  // namespace pyd2

#endif

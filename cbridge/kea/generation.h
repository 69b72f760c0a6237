/*
 * Generations: what keeps a compiled library mapped while something that it made is still in use.
 *
 * Kea closes libraries at each reconfiguration. A transaction under way may hold a key, or a signing context,
 * whose code is in one of them; the real server crashes then. Here each handle on such an object holds the
 * generation that was loaded when it was made, and gives it up after the object.
 *
 * Used by the loop's thread only.
 */
#ifndef PYD2_KEA_GENERATION_H
#define PYD2_KEA_GENERATION_H

#include <memory>
#include <string>
#include <vector>

namespace pyd2 {

class Generation {
public:
    /* Take a reference on each of the libraries that are mapped; others are passed over. */
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

/* Put one in force, or none; objects hold on to the former while they need it. */
void set_generation(GenerationPtr generation);

}  // namespace pyd2

#endif

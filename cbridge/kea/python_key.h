/*
 * A key whose signing is written in Python, as compiled libraries see it: a D2TsigKey whose createContext()
 * returns a TSIGContext that asks Python through the callbacks of slots.h. C++ only; see keys.h for the face.
 */
#ifndef PYD2_KEA_PYTHON_KEY_H
#define PYD2_KEA_PYTHON_KEY_H

#include <d2srv/d2_tsig_key.h>

#include <cstdint>
#include <string>

namespace pyd2 {

/* Make one; the key gives `reference` back to Python when it ends. Throws when a name is none. */
isc::d2::D2TsigKeyPtr make_python_key(const std::string& name, const std::string& algorithm,
                                      std::int64_t reference);

}  // namespace pyd2

#endif

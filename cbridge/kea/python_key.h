/*
 * A key that signs in Python, as compiled libraries see it: a D2TsigKey whose createContext() returns a TSIGContext
 * that uses the callbacks of slots.h. C++ only; keys.h has the C interface.
 */
#ifndef PYD2_KEA_PYTHON_KEY_H
#define PYD2_KEA_PYTHON_KEY_H

#include <d2srv/d2_tsig_key.h>

#include <cstdint>
#include <string>

namespace pyd2 {

/* Make a key; it releases `reference` when it ends. Throws if a name is no domain name. */
isc::d2::D2TsigKeyPtr make_python_key(const std::string& name, const std::string& algorithm,
                                      std::int64_t reference);

}  // namespace pyd2

#endif

/*
 * Errors of the bridge: no C++ exception crosses its C interface.
 *
 * A function that fails returns a negative number or NULL, and leaves a text.
 */
#ifndef PYD2_KEA_ERROR_H
#define PYD2_KEA_ERROR_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
/* C interface */

/* Return the text of the last failure on this thread, valid until the next one. */
const char* kb_error(void);

/* Free a text or a block that a function of the C interface returned; NULL is allowed. */
void kb_free(void* block);

/* end of the C interface */
#ifdef __cplusplus
}

#include <exception>
#include <string>
#include <utility>

namespace pyd2 {

/* Remember the text of a failure for kb_error(). */
void set_error(const std::string& text) noexcept;

/* Return a copy of a text, for a caller in C to free with kb_free(). Throws std::bad_alloc. */
char* copy_text(const std::string& text);

/* Run a function of the C interface; when it throws, remember the text and return `failed`. */
template <typename Result, typename Body>
Result guarded(Result failed, Body&& body) noexcept {
    try {
        return std::forward<Body>(body)();
    } catch (const std::exception& error) {
        set_error(error.what());
    } catch (...) {
        set_error("an exception of an unknown type");
    }
    return failed;
}

}  // namespace pyd2
#endif
#endif

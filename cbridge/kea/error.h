/*
 * Errors of the bridge: no C++ exception crosses its face.
 *
 * A function that can fail says so by its return value (a negative number, or NULL) and leaves a text.
 */
#ifndef PYD2_KEA_ERROR_H
#define PYD2_KEA_ERROR_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
/* C face */

/* Return the text of the last failure on this thread; it is the bridge's and stays until the next one. */
const char* kb_error(void);

/* Free a text or a block that a function of this face returned; NULL is allowed. */
void kb_free(void* block);

/* end of the C face */
#ifdef __cplusplus
}

#include <exception>
#include <string>
#include <utility>

namespace pyd2 {

/* Remember the text of a failure for kb_error(). */
void set_error(const std::string& text) noexcept;

/* Return a copy of a text for the face's caller, who frees it with kb_free(). Throws std::bad_alloc. */
char* copy_text(const std::string& text);

/* Run a function of the face; when it throws, remember why and return `failed`. */
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

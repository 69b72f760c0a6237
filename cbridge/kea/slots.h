/*
 * Slots: libraries in Python and plain C in Kea's chain.
 *
 * Kea's HooksManager loads shared objects only, so the extension module is a hook library itself: it exports
 * `version`, `load`, `unload` and `multi_threading_compatible`, and is in Kea's list once for each such library, its
 * slot. Kea opens the same object each time. It loads in the order of the list and unloads in reverse, which tells
 * the slots apart; a callout's handle has the index of its library.
 *
 * Only the hook thread uses it. No Python exception leaves a
 * callback: it calls kb_raise() with the text and returns KB_RAISED.
 */
#ifndef PYD2_KEA_SLOTS_H
#define PYD2_KEA_SLOTS_H

#include "configuration.h"
#include "elements.h"
#include "keys.h"

#ifdef __cplusplus
extern "C" {
#endif
/* C interface */

/* A library that is being loaded (LibraryHandle); valid during the `load` callback only. */
typedef struct kb_library kb_library;

/* A callout's handle (CalloutHandle); valid during the callback only. */
typedef struct kb_handle kb_handle;

enum {
    KB_RAISED = -1,         /* a Python exception; kb_raise() got its text */
    KB_MOST_CALLOUTS = 64   /* of one library on one hook point */
};

/* The functions of Python. `slot` is the index of the library in the list, from 1. Each may return KB_RAISED. */
typedef struct kb_callbacks {
    /* Open the library and return its version, 0 if it is bad. */
    int (*version)(int slot);
    /* Load it: 0, or its error. */
    int (*load)(int slot, kb_library* library);
    /* Unload it: 0, or its error. Called once for each load, whatever that returned. */
    int (*unload)(int slot);
    /* Run the callout that was registered with `number`: 0, or 1 for its error. */
    int (*callout)(int slot, int hook, int number, kb_handle* handle);
    /* A reference of Python is not used any more. May come at any time. */
    void (*released)(int64_t reference);
    /* Begin to sign with a Python key; return a new reference. */
    int64_t (*signing_begin)(int64_t key);
    /* Return how many octets signing adds. */
    int64_t (*signing_length)(int64_t signing);
    /* Sign: set *record to the TSIG record, valid until the next call, and return its size. */
    int64_t (*signing_sign)(int64_t signing, int query_id, const uint8_t* message, size_t length,
                            const uint8_t** record);
    /* Verify: return the TSIG error, 0 for none. */
    int (*signing_verify)(int64_t signing, const uint8_t* reply, size_t length);
    /* Run one of the server's own commands; `arguments` may be NULL. C++ frees *answer. */
    int (*command)(const char* name, const kb_element* arguments, kb_element** answer);
    /* Write a message of a Kea logger (kea-dhcp-ddns.NAME); `severity` as in logging.h. Returns nothing. */
    void (*log)(int severity, const char* logger, const char* text);
} kb_callbacks;

/* Set the text of an exception; the callback then returns KB_RAISED. */
void kb_raise(const char* text);

/* Register a callout with a number below KB_MOST_CALLOUTS; -1 on failure. */
int kb_library_register(kb_library* library, const char* hook, int number);

/* The same for the callout of a command. */
int kb_library_register_command(kb_library* library, const char* command, int number);

/* Remove a callout: 1 if it was registered, else 0; -1 on failure. */
int kb_library_deregister(kb_library* library, const char* hook, int number);

/* Remove all callouts of the library from a hook point: 1 if there were any, else 0; -1 on failure. */
int kb_library_deregister_all(kb_library* library, const char* hook);

/* Return the address that Kea's messages show for callouts with a number. */
uintptr_t kb_callout_address(int number);

/* Return the number of a hook point, as the callback `callout` gets it; -1 if there is none. */
int kb_hook_number(const char* name);

/* Return the names of all hook points, sorted, each followed by a newline; kb_free() frees it. NULL on failure. */
char* kb_hook_names(void);

/* The kinds of arguments. */
enum {
    KB_ANY = 0,      /* in a call that reads: any kind */
    KB_NOTHING = 1,  /* a null pointer */
    KB_TEXT = 2,
    KB_JSON = 3,
    KB_KEY = 4,
    KB_SERVER = 5,
    KB_CONFIG = 6,
    KB_SERVICE = 7,  /* an IOService */
    KB_PYTHON = 8,   /* a reference of Python */
    KB_NUMBER = 9,
    KB_FOREIGN = 10,      /* a C++ value of another type */
    KB_HTTP_REQUEST = 11, /* a request or a response over HTTP: it is read as KB_JSON, a map (http.h) */
    KB_HTTP_RESPONSE = 12
};

/* The value of an argument. The caller frees the text by kb_free(), the element by kb_element_free(). */
typedef struct kb_value {
    int kind;
    int64_t number;      /* KB_NUMBER; the reference of KB_PYTHON; the identity of KB_KEY, KB_SERVER, KB_CONFIG */
    char* text;
    size_t size;
    kb_element* element;
} kb_value;

/* Read an argument of a kind, or KB_ANY. -1 if there is none, or it has another type: the error is Kea's text. */
int kb_handle_get(kb_handle* handle, const char* name, int kind, kb_value* value);

/* Return a new handle on an argument that is a key; NULL if it is none. */
kb_key* kb_handle_key(kb_handle* handle, const char* name);

/* Set an argument to a text, a JSON value or key (NULL: a null pointer), or a reference. -1 on failure. */
int kb_handle_set_text(kb_handle* handle, const char* name, const char* text, size_t size);
int kb_handle_set_element(kb_handle* handle, const char* name, const kb_element* element);
int kb_handle_set_key(kb_handle* handle, const char* name, const kb_key* key);
int kb_handle_set_python(kb_handle* handle, const char* name, int64_t reference);

/* Set an argument to a request, or to a response (NULL: a null pointer), made of a map. -1 on failure. */
int kb_handle_set_http(kb_handle* handle, const char* name, int kind, const kb_element* map);

/* Return the names of the arguments, each followed by a newline; kb_free() frees it. NULL on failure. */
char* kb_handle_names(kb_handle* handle);

/* Read and set the status: 0 CONTINUE, 1 SKIP, 2 DROP, 3 PARK. */
int kb_handle_status(const kb_handle* handle);
void kb_handle_set_status(kb_handle* handle, int status);

/* Return the reference that the library keeps in its context of this use of hooks; 0 if it keeps none. */
int64_t kb_handle_context(kb_handle* handle);

/* Keep a reference there; `released` is called when the use ends. -1 on failure. */
int kb_handle_set_context(kb_handle* handle, int64_t reference);

/* end of the C interface */
#ifdef __cplusplus
}

#include <stdexcept>
#include <vector>

namespace pyd2 {

/* The callbacks; all of them are set from kb_start() to kb_stop(). */
const kb_callbacks& callbacks();
void set_callbacks(const kb_callbacks& callbacks);

/* Set the slots of the list to load: their indexes from 1, in order. */
void set_slots(std::vector<int> slots);

/* The exception of a callback that returned KB_RAISED, with the text of kb_raise(). */
class Raised : public std::runtime_error {
public:
    Raised();
};

/* A reference to an object of Python; it is released when this ends. */
class Reference {
public:
    explicit Reference(int64_t id) : id_(id) {}
    ~Reference();
    Reference(const Reference&) = delete;
    Reference& operator=(const Reference&) = delete;
    int64_t id() const { return id_; }

private:
    const int64_t id_;
};

}  // namespace pyd2
#endif
#endif

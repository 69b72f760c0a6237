/*
 * Slots: libraries that are not Kea's own (Python, plain C) in Kea's chain.
 *
 * Kea's HooksManager loads nothing but shared objects, so the extension module is one: it exports `version`,
 * `load`, `unload` and `multi_threading_compatible`, and stands in Kea's list once for each such library. Kea
 * opens the same object each time; whose turn it is, is told by the order, in which Kea loads strictly and
 * unloads strictly backwards. Callouts are told apart by the library's index, which Kea keeps in the handle.
 *
 * All of it is used by the loop's thread only. Every callback returns to C++; a Python exception is kept by
 * the Python side, and its text comes through kb_raise().
 */
#ifndef PYD2_KEA_SLOTS_H
#define PYD2_KEA_SLOTS_H

#include "configuration.h"
#include "elements.h"
#include "keys.h"

#ifdef __cplusplus
extern "C" {
#endif
/* C face */

/* A library that is being loaded (LibraryHandle); valid during the `load` callback only. */
typedef struct kb_library kb_library;

/* A callout's handle (CalloutHandle); valid during the callback only. */
typedef struct kb_handle kb_handle;

enum {
    KB_RAISED = -1,         /* Python raised; kb_raise() has the text */
    KB_REFUSED = -2,        /* the same with HookError: to Kea one of its own exceptions */
    KB_MOST_CALLOUTS = 64   /* of one library on one hook point */
};

/* What C++ asks of Python. `slot` is the index of the library in the list, from 1. */
typedef struct kb_callbacks {
    /* Open the library and return its version; KB_RAISED. */
    int (*version)(int slot);
    /* Load it: 0, its error, KB_RAISED or KB_REFUSED. */
    int (*load)(int slot, kb_library* library);
    /* Unload it; the same. Called once for each load, whatever that returned. */
    int (*unload)(int slot);
    /* Run a callout: the number is the one it was registered with; 0, 1 for its error, or KB_RAISED. */
    int (*callout)(int slot, int hook, int number, kb_handle* handle);
    /* A reference that Python gave is used no more. May come at any time, also after the callout. */
    void (*released)(int64_t reference);
    /* Begin to sign with a Python key: a new reference, KB_RAISED. */
    int64_t (*signing_begin)(int64_t key);
    /* Octets that signing adds; KB_RAISED. */
    int64_t (*signing_length)(int64_t signing);
    /* Sign: the size of the TSIG record, which stays until the next call; KB_RAISED. */
    int64_t (*signing_sign)(int64_t signing, int query_id, const uint8_t* message, size_t length,
                            const uint8_t** record);
    /* Verify: the TSIG error, 0 for none; KB_RAISED. */
    int (*signing_verify)(int64_t signing, const uint8_t* reply, size_t length);
    /* Carry out one of the server's own commands; `arguments` is NULL for none. *answer is C++'s. KB_RAISED. */
    int (*command)(const char* name, const kb_element* arguments, kb_element** answer);
    /* Write a message of a Kea logger: kea-dhcp-ddns.NAME; `severity` as in logging.h. */
    void (*log)(int severity, const char* logger, const char* text);
} kb_callbacks;

/* Give the text of an exception that a callback is about to return KB_RAISED or KB_REFUSED for. */
void kb_raise(const char* text);

/* Register a callout of the library that is being loaded under a number below KB_MOST_CALLOUTS; -1. */
int kb_library_register(kb_library* library, const char* hook, int number);

/* The same for the callout of a command. */
int kb_library_register_command(kb_library* library, const char* command, int number);

/* Remove it again: 1 when it was there, 0, -1. */
int kb_library_deregister(kb_library* library, const char* hook, int number);

/* Remove all of the library's callouts from a hook point: 1 when there were any, 0, -1. */
int kb_library_deregister_all(kb_library* library, const char* hook);

/* Return the address that Kea's messages show for the callouts of a number. */
uintptr_t kb_callout_address(int number);

/* Return the number of a hook point, as the callback `callout` gets it; -1 when there is none. */
int kb_hook_number(const char* name);

/* Return the names of all hook points, sorted, each followed by a newline; kb_free() frees it. NULL on failure. */
char* kb_hook_names(void);

/* The kinds of arguments. */
enum {
    KB_ANY = 0,      /* in a question: whatever it is */
    KB_NOTHING = 1,  /* a null pointer */
    KB_TEXT = 2,
    KB_JSON = 3,
    KB_KEY = 4,
    KB_SERVER = 5,
    KB_CONFIG = 6,
    KB_SERVICE = 7,  /* an IOService */
    KB_PYTHON = 8,   /* a reference that Python gave */
    KB_NUMBER = 9,
    KB_FOREIGN = 10  /* a C++ value of another type */
};

/* The value of an argument. What the pointers hold belongs to the caller and is freed by its kind's function;
 * a text by kb_free(). */
typedef struct kb_value {
    int kind;
    int64_t number;      /* KB_NUMBER; the reference of KB_PYTHON; the identity of KB_KEY, KB_SERVER, KB_CONFIG */
    char* text;
    size_t size;
    kb_element* element;
} kb_value;

/* Read an argument. `kind` is what is expected, or KB_ANY. -1 when there is no such argument, or it has another
 * type: the text is Kea's. */
int kb_handle_get(kb_handle* handle, const char* name, int kind, kb_value* value);

/* Return a new handle on the key that is an argument; NULL when it is none. */
kb_key* kb_handle_key(kb_handle* handle, const char* name);

/* Set an argument: to a text; to a JSON value or a key, NULL for a null pointer; to a reference. -1. */
int kb_handle_set_text(kb_handle* handle, const char* name, const char* text, size_t size);
int kb_handle_set_element(kb_handle* handle, const char* name, const kb_element* element);
int kb_handle_set_key(kb_handle* handle, const char* name, const kb_key* key);
int kb_handle_set_python(kb_handle* handle, const char* name, int64_t reference);

/* Return the names of the arguments, each followed by a newline; kb_free() frees it. NULL on failure. */
char* kb_handle_names(kb_handle* handle);

/* Read and set the status: 0 CONTINUE, 1 SKIP, 2 DROP, 3 PARK. */
int kb_handle_status(const kb_handle* handle);
void kb_handle_set_status(kb_handle* handle, int status);

/* Return the reference that the library keeps in its own context of this use; 0 when it keeps none. */
int64_t kb_handle_context(kb_handle* handle);

/* Keep a reference, not 0, there; `released` follows when the use ends. -1 on failure. */
int kb_handle_set_context(kb_handle* handle, int64_t reference);

/* end of the C face */
#ifdef __cplusplus
}

#include <stdexcept>
#include <vector>

namespace pyd2 {

/* The callbacks; all of them are set from kb_start() to kb_stop(). */
const kb_callbacks& callbacks();
void set_callbacks(const kb_callbacks& callbacks);

/* Say which libraries of the list to be loaded are slots: their indexes from 1, in order. */
void set_slots(std::vector<int> slots);

/* The exception of a callback that returned KB_RAISED; its text is the one given to kb_raise(). */
class Raised : public std::runtime_error {
public:
    Raised();
};

/* A reference to an object of Python's, given back when this ends. */
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

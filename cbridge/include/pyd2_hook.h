/*
 * pyd2_hook.h: hook libraries for pyd2 in C, or in any language that can be called from C.
 *
 * A hook library is a shared object that "hooks-libraries" names and pyd2 loads. It needs this header to compile and
 * links with nothing of pyd2 or Kea. docs/hooks.md is the guide; it lists the hook points and their arguments.
 *
 * THE LIBRARY exports two functions, and a third if it needs it:
 *
 *     PYD2_HOOK_DEFINE_VERSION
 *     int pyd2_hook_load(const pyd2_hook_api *api, pyd2_hook_library *library, void **state);
 *     int pyd2_hook_unload(void *state);
 *
 * PYD2 passes a table of functions, pyd2_hook_api. These rules hold for all of them:
 *
 * Errors.  A function returns PYD2_HOOK_OK (0) or a negative PYD2_HOOK_E_ code. A call that fails changes nothing;
 *     last_error() says why it failed. Every function can return E_INVALID (a null pointer or a malformed value),
 *     E_HANDLE, E_THREAD and E_INTERNAL; its comment names the other codes. No function ends the process, throws or
 *     jumps.
 *
 * Out parameters come last. They are set on success only, and must not be null unless the comment allows it.
 *
 * Calls.  A call is the time in which pyd2 runs one function of the library: load, unload, a callout, or the function
 *     of a timer, a signer or a value. What pyd2 lends (a text, a JSON value, a server, a key) lives until that call
 *     returns: copy what you need for longer. If calls nest (replacing a value runs the function that destroys the old
 *     one), it lives until the outermost one returns.
 *
 * Handles.  Pointers to pyd2_hook_library, _callout, _json, _server, _key and _timer are names, not addresses. Passing
 *     one after its end, or of another kind, is safe and returns E_HANDLE. No handle is used twice. A const handle can
 *     be read and passed on, but not changed or released.
 *
 * Threads.  All code of all libraries runs on one thread, the hook thread, one call at a time. DNS updates continue on
 *     another thread meanwhile; commands, signals and reconfigurations wait. On other threads the functions of the
 *     table do nothing and return E_THREAD; only last_error() works everywhere. A library may have threads of its own:
 *     let a timer or the next callout fetch their results, and join them in pyd2_hook_unload().
 *
 * Exceptions.  No exception and no longjmp() may leave a function of the library: it would end the process. In C++
 *     catch everything; in Rust catch panics.
 *
 * Texts have lengths and may hold any octet. pyd2 puts a NUL behind a text that it lends; a text of the library needs
 *     none. pyd2 copies the texts that it keeps.
 *
 * Memory.  The library frees nothing of pyd2's. pyd2 frees nothing of the library's, except through a function that
 *     the library gave for that.
 *
 * Compatibility.  A compiled library runs on a newer pyd2, and on an older one that has what the library uses:
 *     structures grow at their end only, and each that can grow carries its size.
 *     - pyd2_hook_api: pyd2 sets size. PYD2_HOOK_DEFINE_VERSION states how much of the table the library needs;
 *       PYD2_HOOK_HAS() asks for the rest.
 *     - pyd2_hook_signer: the library sets size. Members that it does not have count as zero; members that pyd2 does
 *       not know must be zero.
 *     - pyd2_hook_text is passed by value and never changes.
 */
#ifndef PYD2_HOOK_H
#define PYD2_HOOK_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * The version of this interface. New functions at the end of the table do not change it. It changes if an existing
 * part gets another meaning; libraries must then be compiled again.
 */
#define PYD2_HOOK_VERSION 1

/* The size of a structure up to the end of a member. */
#ifdef __cplusplus
#define PYD2_HOOK_SIZE_TO(type, member) (offsetof(type, member) + sizeof(type::member))
#else
#define PYD2_HOOK_SIZE_TO(type, member) (offsetof(type, member) + sizeof(((type *)0)->member))
#endif

/* Whether a table has a member: check this before using a member that the library does not require. */
#define PYD2_HOOK_HAS(api, member) ((api)->size >= PYD2_HOOK_SIZE_TO(pyd2_hook_api, member))

#if defined(__GNUC__)
#define PYD2_HOOK_EXPORT __attribute__((visibility("default")))
#else
#define PYD2_HOOK_EXPORT
#endif

/* What the functions of the table return. */
enum {
    PYD2_HOOK_OK = 0,
    PYD2_HOOK_E_INVALID = -1,   /* malformed argument: a null pointer, no JSON, no domain name ... */
    PYD2_HOOK_E_HANDLE = -2,    /* the handle has ended, or never was one of this kind */
    PYD2_HOOK_E_THREAD = -3,    /* not called on the hook thread */
    PYD2_HOOK_E_NOT_FOUND = -4, /* nothing has that name */
    PYD2_HOOK_E_TYPE = -5,      /* the value has another type, or does not fit the argument */
    PYD2_HOOK_E_STATE = -6,     /* not possible now */
    PYD2_HOOK_E_INTERNAL = -7   /* a fault in pyd2; its log has the details */
};

/* The status of a hook point, which decides what the server does next; docs/hooks.md has its effects. */
enum {
    PYD2_HOOK_CONTINUE = 0,
    PYD2_HOOK_SKIP = 1,
    PYD2_HOOK_DROP = 2,
    PYD2_HOOK_PARK = 3
};

/* The severity of a message. */
enum {
    PYD2_HOOK_DEBUG = 1,
    PYD2_HOOK_INFO = 2,
    PYD2_HOOK_WARN = 3,
    PYD2_HOOK_ERROR = 4
};

/* The type of a JSON value. */
enum {
    PYD2_HOOK_JSON_NULL = 0,
    PYD2_HOOK_JSON_BOOLEAN = 1,
    PYD2_HOOK_JSON_INTEGER = 2,
    PYD2_HOOK_JSON_REAL = 3,
    PYD2_HOOK_JSON_TEXT = 4,
    PYD2_HOOK_JSON_LIST = 5,
    PYD2_HOOK_JSON_MAP = 6
};

/* Octets, usually UTF-8. length does not count the NUL behind a text that pyd2 lends. */
typedef struct pyd2_hook_text {
    const char *data; /* may be null when length is 0 */
    size_t length;
} pyd2_hook_text;

typedef struct pyd2_hook_library pyd2_hook_library; /* this entry of hooks-libraries: until unload returns */
typedef struct pyd2_hook_callout pyd2_hook_callout; /* one run of a callout: until it returns */
typedef struct pyd2_hook_json pyd2_hook_json;       /* a JSON value: lent, and always const */
typedef struct pyd2_hook_server pyd2_hook_server;   /* a DNS server: lent, and always const */
typedef struct pyd2_hook_key pyd2_hook_key;         /* a key: lent if const, else made by this library */
typedef struct pyd2_hook_timer pyd2_hook_timer;     /* a timer: until its function returns for the last time */

/* Return the meaning of a PYD2_HOOK_ code in words. The text lives as long as the library. */
static inline const char *pyd2_hook_error_text(int code)
{
    switch (code) {
    case PYD2_HOOK_OK:
        return "success";
    case PYD2_HOOK_E_INVALID:
        return "malformed argument";
    case PYD2_HOOK_E_HANDLE:
        return "no such handle, or it has ended";
    case PYD2_HOOK_E_THREAD:
        return "not called on the hook thread";
    case PYD2_HOOK_E_NOT_FOUND:
        return "not found";
    case PYD2_HOOK_E_TYPE:
        return "wrong type";
    case PYD2_HOOK_E_STATE:
        return "not possible now";
    case PYD2_HOOK_E_INTERNAL:
        return "fault in pyd2";
    default:
        return "unknown error";
    }
}

/* Return a string that ends with NUL as a text; it lives as long as the string. A null pointer is "". */
static inline pyd2_hook_text pyd2_hook_string(const char *string)
{
    pyd2_hook_text text;
    text.data = string;
    text.length = string == NULL ? 0 : strlen(string);
    return text;
}

/* Return 1 if a text equals a string that ends with NUL, 0 if not. */
static inline int pyd2_hook_equal(pyd2_hook_text text, const char *string)
{
    return text.length == strlen(string) && (text.length == 0 || memcmp(text.data, string, text.length) == 0);
}

/* A callout. user is as registered. Returns 0; anything else is only logged, as HOOKS_CALLOUT_ERROR. */
typedef int pyd2_hook_callout_function(pyd2_hook_callout *callout, void *user);

/* The function of a timer. user is as passed to timer_start. A timer without a period ends when it returns. */
typedef void pyd2_hook_timer_function(pyd2_hook_timer *timer, void *user);

/* Destroys a value that the library gave to pyd2. It runs once, on the hook thread. */
typedef void pyd2_hook_destroy_function(void *value);

/*
 * The functions of a key that signs in the library's own way; see signer_new. Use designated initialisers, or set the
 * whole structure to zero first: members that a later header adds are then zero, and pyd2 behaves as before.
 *
 * The functions may run after pyd2_hook_unload(): requests in flight keep their key, and the key keeps the library in
 * memory. So everything that sign and verify need belongs in user, which release destroys.
 */
typedef struct pyd2_hook_signer {
    size_t size;     /* sizeof(pyd2_hook_signer) */
    size_t mac_size; /* octets of the longest MAC that sign makes: 1 to 4096 */

    /*
     * Begin one message: set *context, null at first, which pyd2 passes to sign and verify. Returns 0; anything else
     * fails the update. The member may be null: then the context is null.
     */
    int (*begin)(void *user, void **context);

    /*
     * Write to mac the MAC of data: the message and the TSIG variables (RFC 8945, section 4.3). *mac_length is
     * mac_size; set it to the length of the MAC. Returns 0; anything else fails the update. Runs once per context.
     */
    int (*sign)(void *user, void *context, const uint8_t *data, size_t length, uint8_t *mac,
                size_t *mac_length);

    /*
     * Check the MAC of data: the MAC of the request, the reply and its TSIG variables (RFC 8945, section 5.3). pyd2
     * has checked the names of key and algorithm, and the time. Returns 0 if the MAC is right, else the TSIG error
     * (RFC 8945, section 3), usually 16 (BADSIG). Runs after sign, any number of times: a forged reply does not end
     * the context.
     */
    int (*verify)(void *user, void *context, const uint8_t *data, size_t length, const uint8_t *mac,
                  size_t mac_length);

    /* End a context, if begin returned 0. The member may be null. */
    void (*end)(void *user, void *context);

    /* Destroy user: no function of the key runs again. The member may be null. */
    pyd2_hook_destroy_function *release;
} pyd2_hook_signer;

/* The functions of pyd2. The table lives as long as the process and does not change. */
typedef struct pyd2_hook_api {
    uint32_t version; /* PYD2_HOOK_VERSION of pyd2 */
    uint32_t size;    /* sizeof(pyd2_hook_api) of pyd2; see PYD2_HOOK_HAS */

    /*
     * Return in words why the last call on this thread that failed did so, "" if none has. The string lives until the
     * next failure on this thread. It is for people: do not compare it.
     */
    const char *(*last_error)(void);

    /* ---- The library ---- */

    /*
     * Attach a callout to a hook point, behind those attached before. It stays until the library is unloaded.
     * E_NOT_FOUND: there is no such hook point. E_STATE: load has returned.
     */
    int (*register_callout)(pyd2_hook_library *library, pyd2_hook_text hook,
                            pyd2_hook_callout_function *function, void *user);

    /*
     * Attach a callout to a new command of the control channel, or in place of the server's own of that name (except
     * list-commands). "-" and "_" are the same in names. E_INVALID: the name is empty. E_STATE: load has returned.
     */
    int (*register_command)(pyd2_hook_library *library, pyd2_hook_text command,
                            pyd2_hook_callout_function *function, void *user);

    /* Lend the "parameters" of the entry, until unload returns: a map, or JSON's null if there are none. */
    int (*parameters)(const pyd2_hook_library *library, const pyd2_hook_json **parameters);

    /* Lend the "library" of the entry: the full path. */
    int (*library_name)(const pyd2_hook_library *library, pyd2_hook_text *name);

    /* Get the place of the entry in "hooks-libraries", from 1. */
    int (*library_index)(const pyd2_hook_library *library, uint32_t *index);

    /* Log a message with the library's name, by the logger kea-dhcp-ddns.hooks. */
    int (*log)(const pyd2_hook_library *library, int severity, pyd2_hook_text text);

    /* ---- JSON ----
     *
     * pointer is a JSON pointer (RFC 6901): "" is the value itself, "/servers/0" the first item of its member
     * "servers". In names write "~1" for "/" and "~0" for "~".
     * E_NOT_FOUND: it leads nowhere. E_INVALID: it is no JSON pointer. E_TYPE: the value has another type.
     */

    /* Get the type of a value: PYD2_HOOK_JSON_... */
    int (*json_type)(const pyd2_hook_json *json, pyd2_hook_text pointer, int *type);

    /* Lend the text of a string. */
    int (*json_text)(const pyd2_hook_json *json, pyd2_hook_text pointer, pyd2_hook_text *text);

    /* Get an integer. E_TYPE also: it does not fit. */
    int (*json_integer)(const pyd2_hook_json *json, pyd2_hook_text pointer, int64_t *number);

    /* Get a real number, or an integer as a real. */
    int (*json_real)(const pyd2_hook_json *json, pyd2_hook_text pointer, double *number);

    /* Get 1 for true, 0 for false. */
    int (*json_boolean)(const pyd2_hook_json *json, pyd2_hook_text pointer, int *flag);

    /* Get the number of items of a list, or of members of a map. */
    int (*json_count)(const pyd2_hook_json *json, pyd2_hook_text pointer, size_t *count);

    /* Lend the name of a map's member: the index-th, from 0, in byte order. E_NOT_FOUND also: there are fewer. */
    int (*json_name)(const pyd2_hook_json *json, pyd2_hook_text pointer, size_t index, pyd2_hook_text *name);

    /* Lend a value as JSON text. */
    int (*json_print)(const pyd2_hook_json *json, pyd2_hook_text pointer, pyd2_hook_text *text);

    /* Lend a text as a JSON string: in quotes, and escaped. */
    int (*json_quote)(pyd2_hook_text text, pyd2_hook_text *quoted);

    /* ---- A callout ---- */

    /* Lend the name of the hook point: "select_key", or "$my_command" for a command. */
    int (*hook_name)(const pyd2_hook_callout *callout, pyd2_hook_text *name);

    /* Get the status that the callouts before this one left; CONTINUE at first. */
    int (*status)(const pyd2_hook_callout *callout, int *status);

    /* Set the status. */
    int (*set_status)(pyd2_hook_callout *callout, int status);

    /*
     * Lend an argument that is a JSON value (None in docs/hooks.md is JSON's null) or a text. Arguments that callouts
     * made up, in Python too, have the form in which they were set.
     * E_NOT_FOUND: there is no such argument. E_TYPE: it has another form.
     */
    int (*argument_json)(const pyd2_hook_callout *callout, pyd2_hook_text name, const pyd2_hook_json **json);
    int (*argument_text)(const pyd2_hook_callout *callout, pyd2_hook_text name, pyd2_hook_text *text);

    /*
     * Set an argument for the next callouts and, if the hook point reads it again, for the server. The callouts of one
     * use share names that the hook point does not have.
     * json is the text of a JSON value. E_INVALID: it is not. E_TYPE: the argument has another form.
     * A callout of http_auth refuses the request by
     *     api->set_argument_json(callout, pyd2_hook_string("response"),
     *                            pyd2_hook_string("{\"status\": 403, \"body\": {\"text\": \"Forbidden\"}}"));
     * and one of http_response sets the response to send in the same form. docs/hooks-compiled.md has such a library.
     */
    int (*set_argument_json)(pyd2_hook_callout *callout, pyd2_hook_text name, pyd2_hook_text json);
    int (*set_argument_text)(pyd2_hook_callout *callout, pyd2_hook_text name, pyd2_hook_text text);

    /* Lend the argument current_server of select_key. E_NOT_FOUND: this is another hook point. */
    int (*current_server)(const pyd2_hook_callout *callout, const pyd2_hook_server **server);

    /*
     * Lend the argument tsig_key of select_key: the key of the configuration, or of an earlier callout. Null: the
     * update is not signed. E_NOT_FOUND: this is another hook point.
     */
    int (*tsig_key)(const pyd2_hook_callout *callout, const pyd2_hook_key **key);

    /*
     * Set the argument tsig_key of select_key; null: the update is not signed. The library may release the key at
     * once: updates keep the keys that they use. E_NOT_FOUND: this is another hook point.
     */
    int (*set_tsig_key)(pyd2_hook_callout *callout, const pyd2_hook_key *key);

    /*
     * Keep a value for this library's other callouts in the same use of hooks, from context_create to
     * context_destroy. destroy, unless it is null, runs when the value is replaced or deleted, or when the use ends.
     * If set_context fails, destroy does not run.
     */
    int (*set_context)(pyd2_hook_callout *callout, pyd2_hook_text name, void *value,
                       pyd2_hook_destroy_function *destroy);

    /* Get a value of set_context. E_NOT_FOUND: there is none of that name. */
    int (*context)(const pyd2_hook_callout *callout, pyd2_hook_text name, void **value);

    /* Destroy a value of set_context. E_NOT_FOUND: there is none of that name. */
    int (*delete_context)(pyd2_hook_callout *callout, pyd2_hook_text name);

    /* ---- DNS servers ---- */

    /* Lend the address as text, such as "192.0.2.1" or "2001:db8::1". */
    int (*server_address)(const pyd2_hook_server *server, pyd2_hook_text *address);

    /* Get the port. */
    int (*server_port)(const pyd2_hook_server *server, uint16_t *port);

    /* Lend the name of the server's key in the configuration; "" if it has none. */
    int (*server_key_name)(const pyd2_hook_server *server, pyd2_hook_text *name);

    /* ---- Keys ---- */

    /*
     * Make a key from the values of a "tsig-keys" entry: a domain name, an algorithm such as "HMAC-SHA256" in any
     * case, and the secret in base64. digest_bits is the length to which MACs are cut; 0: they are not. Make a key
     * once, for example in load: making one costs more than using it. *key ends with key_release(), or when unload
     * returns.
     */
    int (*key_new)(pyd2_hook_library *library, pyd2_hook_text name, pyd2_hook_text algorithm,
                   pyd2_hook_text secret, uint32_t digest_bits, pyd2_hook_key **key);

    /*
     * Make a key that signs with the library's own functions. name and algorithm are the domain names in the TSIG
     * record, such as "gss-tsig". pyd2 copies *signer and passes user to its functions. *key ends with key_release(),
     * or when unload returns; signer->release runs when the last update with the key has ended, too. If signer_new
     * fails, release does not run. E_INVALID also: signer uses a member that this pyd2 does not know.
     */
    int (*signer_new)(pyd2_hook_library *library, pyd2_hook_text name, pyd2_hook_text algorithm,
                      const pyd2_hook_signer *signer, void *user, pyd2_hook_key **key);

    /* Lend the name of the key: in lower case, with its final dot. */
    int (*key_name)(const pyd2_hook_key *key, pyd2_hook_text *name);

    /* Lend the name of the algorithm in the TSIG record: in lower case, with its final dot. */
    int (*key_algorithm)(const pyd2_hook_key *key, pyd2_hook_text *algorithm);

    /* End the handle of a key that this library made. Updates keep the keys that they use. */
    int (*key_release)(pyd2_hook_library *library, pyd2_hook_key *key);

    /* ---- Timers ---- */

    /*
     * Call a function after delay milliseconds and then, unless period is 0, period milliseconds after each return.
     * Time starts when the configuration with the library takes effect, or now if it has. *timer ends with
     * timer_cancel(), when unload returns or, without a period, when the function returns; timer may be null. The
     * function may start and cancel timers, its own too. Keep it short: commands, signals and all other library code
     * wait for it.
     */
    int (*timer_start)(pyd2_hook_library *library, uint32_t delay, uint32_t period,
                       pyd2_hook_timer_function *function, void *user, pyd2_hook_timer **timer);

    /* Cancel a timer that this library started: its function does not run again. */
    int (*timer_cancel)(pyd2_hook_library *library, pyd2_hook_timer *timer);
} pyd2_hook_api;

/*
 * Set the PYD2_HOOK_VERSION that the library was compiled for, and the octets of the table that it needs. pyd2 calls
 * this first, also when it only checks a configuration. Without this function loading fails with HOOKS_NO_VERSION; if
 * the version differs, or pyd2's table is smaller, with HOOKS_INCORRECT_VERSION. In C and C++ use a macro below.
 */
PYD2_HOOK_EXPORT void pyd2_hook_requires(uint32_t *version, uint32_t *api_size);

/* The same for a pyd2 of before 1.0: the macros define both. It will not change. */
typedef struct pyd2_hook_requirement {
    uint32_t version;
    uint32_t api_size;
} pyd2_hook_requirement;
PYD2_HOOK_EXPORT pyd2_hook_requirement pyd2_hook_version(void);

/*
 * Define both, for a library that needs the table up to last_member and checks later members by PYD2_HOOK_HAS().
 * PYD2_HOOK_DEFINE_VERSION requires the table of interface 1.0, whatever this header has in addition.
 */
#define PYD2_HOOK_DEFINE_VERSION_FOR(last_member) \
    PYD2_HOOK_C_LINKAGE void pyd2_hook_requires(uint32_t *version, uint32_t *api_size) \
    { \
        *version = PYD2_HOOK_VERSION; \
        *api_size = PYD2_HOOK_SIZE_TO(pyd2_hook_api, last_member); \
    } \
    PYD2_HOOK_C_LINKAGE pyd2_hook_requirement pyd2_hook_version(void) \
    { \
        pyd2_hook_requirement requirement; \
        requirement.version = PYD2_HOOK_VERSION; \
        requirement.api_size = PYD2_HOOK_SIZE_TO(pyd2_hook_api, last_member); \
        return requirement; \
    }
#define PYD2_HOOK_DEFINE_VERSION PYD2_HOOK_DEFINE_VERSION_FOR(timer_cancel)
#ifdef __cplusplus
#define PYD2_HOOK_C_LINKAGE extern "C"
#else
#define PYD2_HOOK_C_LINKAGE
#endif

/*
 * Start: read the parameters, attach callouts and commands. It runs for each entry that names the library, and again
 * at each reconfiguration, with another handle each time. Keep data in *state, null at first, which pyd2 passes to
 * unload: all entries of one file share its static variables, which may or may not outlive an unload.
 *
 * Returns 0. Anything else refuses the configuration (HOOKS_LOAD_ERROR shows the number; log the reason before), and
 * pyd2 runs unload.
 */
PYD2_HOOK_EXPORT int pyd2_hook_load(const pyd2_hook_api *api, pyd2_hook_library *library, void **state);

/*
 * End: free what load made. A library may leave this function out. Callouts and timers do not run any more; pyd2 then
 * releases the keys that the library did not. Returns 0; anything else is only logged, as HOOKS_UNLOAD_ERROR.
 */
PYD2_HOOK_EXPORT int pyd2_hook_unload(void *state);

/* Return 1 if a table has all of interface 1.0, 0 if not. pyd2 checks the same before it calls load. */
static inline int pyd2_hook_fits(const pyd2_hook_api *api)
{
    return api->version == PYD2_HOOK_VERSION && PYD2_HOOK_HAS(api, timer_cancel);
}

#ifdef __cplusplus
}
#endif

#endif

/*
 * pyd2_hook.h: hook libraries for pyd2 in C, or in any language that can be called from C.
 *
 * A hook library is a shared object that pyd2 loads because it stands in "hooks-libraries". This header
 * alone is what it needs: it links with nothing of pyd2's and nothing of Kea's. docs/hooks.md is the
 * guide, with the hook points and their arguments.
 *
 * THE LIBRARY exports two functions, and a third if it needs it:
 *
 *     PYD2_HOOK_DEFINE_VERSION
 *     int pyd2_hook_load(const pyd2_hook_api *api, pyd2_hook_library *library, void **state);
 *     int pyd2_hook_unload(void *state);
 *
 * PYD2 gives it a table of functions, pyd2_hook_api. What holds for all of them:
 *
 * Errors.  They return PYD2_HOOK_OK, which is 0, or one of the negative PYD2_HOOK_E_ codes. After an error
 *     nothing has changed, what the out parameters point to included, and last_error() says what was
 *     wrong. None of them ends the process, throws, or jumps.
 *
 * Calls.  A "call" is the time in which pyd2 runs one function of the library: load, unload, a callout, a
 *     timer's function, a signer's. Texts and JSON values, and the servers and keys of arguments, are lent:
 *     they live until the call ends in which the library asked for them. If such calls stand in each other
 *     (pyd2 may destroy a value while it sets another), until the outermost ends. Copy what is to stay.
 *
 * Handles.  The pointers to pyd2_hook_library, _callout, _json, _server, _key and _timer are names, not
 *     addresses. Using one after its end, or as one of another kind, is safe: PYD2_HOOK_E_HANDLE. No handle
 *     is ever given twice.
 *
 * Threads.  pyd2 calls the library in one thread, the server's, and does nothing else meanwhile. The table
 *     may be used in that thread only; elsewhere its functions do nothing but return
 *     PYD2_HOOK_E_THREAD (last_error() works everywhere). A library may have threads of its own: let a
 *     timer, or the next callout, fetch what they have made ready, and join them in pyd2_hook_unload().
 *
 * Exceptions.  No exception and no longjmp() may leave a function of the library: pyd2's frames cannot be
 *     unwound, and the process ends. In C++ catch all that can be thrown, in Rust catch panics.
 *
 * Texts have lengths and may hold any octet. Those that pyd2 lends have a NUL behind them which is not
 *     counted. Those that the library passes need none, and pyd2 copies what it keeps of them.
 *
 * Memory.  Nothing that pyd2 lends or gives is to be freed by the library; nothing that the library passes
 *     is freed by pyd2, save through a function that the library gave for it.
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
 * The version of this interface. It changes only when something that is there changes its meaning; then
 * libraries have to be compiled again. New functions come at the end of the table and change its size.
 */
#define PYD2_HOOK_VERSION 1

#if defined(__GNUC__)
#define PYD2_HOOK_EXPORT __attribute__((visibility("default")))
#else
#define PYD2_HOOK_EXPORT
#endif

/* What the functions of the table return. */
enum {
    PYD2_HOOK_OK = 0,
    PYD2_HOOK_E_INVALID = -1,   /* a value cannot be: a null pointer, no JSON, no domain name ... */
    PYD2_HOOK_E_HANDLE = -2,    /* the handle has ended, or never was one of this kind */
    PYD2_HOOK_E_THREAD = -3,    /* this is not the server's thread */
    PYD2_HOOK_E_NOT_FOUND = -4, /* there is nothing of that name */
    PYD2_HOOK_E_TYPE = -5,      /* the value there is of another type, or does not fit the argument */
    PYD2_HOOK_E_STATE = -6,     /* this cannot be done now */
    PYD2_HOOK_E_INTERNAL = -7   /* a fault of pyd2's own; its log tells more */
};

/* What the server does after the callouts of a hook point; docs/hooks.md has its effect for each. */
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

/* Octets, in UTF-8 as a rule. length does not count the NUL behind a text that pyd2 lends. */
typedef struct pyd2_hook_text {
    const char *data; /* may be null when length is 0 */
    size_t length;
} pyd2_hook_text;

typedef struct pyd2_hook_library pyd2_hook_library; /* this entry of hooks-libraries: from load to the end
                                                       of unload */
typedef struct pyd2_hook_callout pyd2_hook_callout; /* one run of a callout: until it returns */
typedef struct pyd2_hook_json pyd2_hook_json;       /* a JSON value, lent */
typedef struct pyd2_hook_server pyd2_hook_server;   /* a DNS server, lent */
typedef struct pyd2_hook_key pyd2_hook_key;         /* a key: lent, or made by the library */
typedef struct pyd2_hook_timer pyd2_hook_timer;     /* a timer: until it fired for the last time */

/* Return the text of a string that ends with NUL; it lives as long as the string. A null pointer is "". */
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

/*
 * A callout. Returns 0; anything else is logged as HOOKS_CALLOUT_ERROR and has no other effect.
 * user is what it was registered with. callout ends when it returns.
 */
typedef int pyd2_hook_callout_function(pyd2_hook_callout *callout, void *user);

/* What a timer calls. user is what it was started with. A timer without a period has ended when it returns. */
typedef void pyd2_hook_timer_function(pyd2_hook_timer *timer, void *user);

/* What destroys a value that the library gave away. It runs once, in the server's thread. */
typedef void pyd2_hook_destroy_function(void *value);

/*
 * The functions of a key that signs in the library's own way; see signer_new.
 *
 * What they work on may be needed after pyd2_hook_unload() has run: requests on their way keep their key
 * until they end, and pyd2 keeps the library in memory for them. So everything that sign and verify need
 * must hang on user, which release destroys, and not on what unload destroys.
 */
typedef struct pyd2_hook_signer {
    size_t size;     /* sizeof(pyd2_hook_signer) */
    size_t mac_size; /* octets of the longest MAC that sign makes: 1 to 4096 */

    /*
     * Begin one message: store in *context what sign and verify will be given. It is null at first. Returns
     * 0; anything else: this update cannot be signed. May be null: then the context is null.
     */
    int (*begin)(void *user, void **context);

    /*
     * Make the MAC of the length octets at data, which are what RFC 8945, section 4.3 has signed: the
     * message and the TSIG variables. *mac_length is mac_size; set it to the length of the MAC. Returns 0;
     * anything else: this update cannot be signed. Runs once in a context.
     */
    int (*sign)(void *user, void *context, const uint8_t *data, size_t length, uint8_t *mac,
                size_t *mac_length);

    /*
     * Say whether the MAC is that of the length octets at data: those of the reply, with the MAC of the
     * request before them (RFC 8945, section 5.3). pyd2 has compared the names of key and algorithm, and the
     * time. Returns 0 when it is; else the TSIG error (RFC 8945, section 3), 16 (BADSIG) as a rule.
     * Runs after sign, perhaps never, perhaps more than once: forged replies do not end the context.
     */
    int (*verify)(void *user, void *context, const uint8_t *data, size_t length, const uint8_t *mac,
                  size_t mac_length);

    /* End a context that begin has begun without an error. May be null. */
    void (*end)(void *user, void *context);

    /* Destroy user: no function of the key will run again. May be null. */
    pyd2_hook_destroy_function *release;
} pyd2_hook_signer;

/* The functions that pyd2 gives. The table lives as long as the process and does not change. */
typedef struct pyd2_hook_api {
    uint32_t version; /* PYD2_HOOK_VERSION of pyd2 */
    uint32_t size;    /* sizeof(pyd2_hook_api) of pyd2 */

    /*
     * Say in words what was wrong with the call of this table, in this thread, that failed last. Returns a
     * string, "" if there is none; it lives until the next failure in this thread. For people: it is not
     * fit to be compared.
     */
    const char *(*last_error)(void);

    /* ---- The library ---- */

    /*
     * Attach a callout to a hook point, behind those attached before; user is passed to it. Only in load.
     * It stays until the library is unloaded.
     * E_NOT_FOUND: there is no such hook point. E_STATE: load has ended.
     */
    int (*register_callout)(pyd2_hook_library *library, pyd2_hook_text hook,
                            pyd2_hook_callout_function *function, void *user);

    /*
     * Attach a callout to a command of the control channel, which need not exist yet. It replaces a
     * command of the server's of that name (not list-commands). "-" and "_" are the same in names.
     * Only in load. E_INVALID: the name is empty. E_STATE: load has ended.
     */
    int (*register_command)(pyd2_hook_library *library, pyd2_hook_text command,
                            pyd2_hook_callout_function *function, void *user);

    /* Lend the entry's "parameters": a map, or JSON's null when the entry has none. Until unload ends. */
    int (*parameters)(pyd2_hook_library *library, pyd2_hook_json **parameters);

    /* Return in *name the entry's "library": the full path. */
    int (*library_name)(pyd2_hook_library *library, pyd2_hook_text *name);

    /* Return in *index the place of the entry in hooks-libraries, from 1. */
    int (*library_index)(pyd2_hook_library *library, uint32_t *index);

    /*
     * Write a message into the server's log, with the library's name, if its severity is switched on for the
     * logger kea-dhcp-ddns.hooks. Not after unload. E_INVALID: severity is none of the four.
     */
    int (*log)(pyd2_hook_library *library, int severity, pyd2_hook_text text);

    /* ---- JSON ----
     *
     * pointer is a JSON pointer (RFC 6901): "" is the value itself, "/servers/0" the first item of the list
     * that is its member "servers"; in names "~1" stands for "/" and "~0" for "~".
     * All of these: E_NOT_FOUND when it leads nowhere, E_INVALID when it is no JSON pointer.
     */

    /* Return in *type the type of a value, PYD2_HOOK_JSON_... */
    int (*json_type)(pyd2_hook_json *json, pyd2_hook_text pointer, int *type);

    /* Return in *text a string's text. E_TYPE: the value is no string. */
    int (*json_text)(pyd2_hook_json *json, pyd2_hook_text pointer, pyd2_hook_text *text);

    /* Return in *number an integer. E_TYPE: it is none, or one that does not fit. */
    int (*json_integer)(pyd2_hook_json *json, pyd2_hook_text pointer, int64_t *number);

    /* Return in *number a real number, or an integer as a real. E_TYPE: it is neither. */
    int (*json_real)(pyd2_hook_json *json, pyd2_hook_text pointer, double *number);

    /* Return in *flag 1 for true and 0 for false. E_TYPE: the value is no boolean. */
    int (*json_boolean)(pyd2_hook_json *json, pyd2_hook_text pointer, int *flag);

    /* Return in *count how many items a list has, or members a map. E_TYPE: it is neither. */
    int (*json_count)(pyd2_hook_json *json, pyd2_hook_text pointer, size_t *count);

    /*
     * Return in *name the name of a map's member; index counts from 0 in byte order of the names.
     * E_TYPE: the value is no map. E_NOT_FOUND also: it has no so many members.
     */
    int (*json_name)(pyd2_hook_json *json, pyd2_hook_text pointer, size_t index, pyd2_hook_text *name);

    /* Return in *text the JSON text of a value, as the server would print it. */
    int (*json_print)(pyd2_hook_json *json, pyd2_hook_text pointer, pyd2_hook_text *text);

    /* Return in *quoted the JSON text of a string: in quotes, with what needs it escaped. */
    int (*json_quote)(pyd2_hook_text text, pyd2_hook_text *quoted);

    /* ---- A callout ---- */

    /* Return in *name the hook point that runs: "select_key", or "$my_command" for a command. */
    int (*hook_name)(pyd2_hook_callout *callout, pyd2_hook_text *name);

    /* Return in *status the status that the callouts before have left; CONTINUE at first. */
    int (*status)(pyd2_hook_callout *callout, int *status);

    /* Set the status. E_INVALID: it is none of the four. */
    int (*set_status)(pyd2_hook_callout *callout, int status);

    /*
     * Read an argument: those that are JSON values (None in docs/hooks.md is JSON's null), or those
     * of text. Arguments that callouts made up can be read in the form in which they were set, also those set
     * in Python. E_NOT_FOUND: the use has no such argument. E_TYPE: it has another form.
     */
    int (*argument_json)(pyd2_hook_callout *callout, pyd2_hook_text name, pyd2_hook_json **json);
    int (*argument_text)(pyd2_hook_callout *callout, pyd2_hook_text name, pyd2_hook_text *text);

    /*
     * Set an argument, for the callouts that follow and, where the hook point reads it again, for the
     * server. A name that the hook point does not have is shared by the callouts of this use.
     * json is the text of a JSON value. E_INVALID: it is not. E_TYPE: the argument is of another form.
     */
    int (*set_argument_json)(pyd2_hook_callout *callout, pyd2_hook_text name, pyd2_hook_text json);
    int (*set_argument_text)(pyd2_hook_callout *callout, pyd2_hook_text name, pyd2_hook_text text);

    /* Lend the argument current_server of select_key. E_NOT_FOUND: this is another hook point. */
    int (*current_server)(pyd2_hook_callout *callout, pyd2_hook_server **server);

    /*
     * Lend the argument tsig_key of select_key: the key that the configuration or an earlier callout has
     * chosen. *key becomes null when there is none: the update would go out unsigned.
     * E_NOT_FOUND: this is another hook point.
     */
    int (*tsig_key)(pyd2_hook_callout *callout, pyd2_hook_key **key);

    /*
     * Set the argument tsig_key of select_key. A null key means that the update goes out unsigned. The key may
     * be released then: it lives as long as an update uses it. E_NOT_FOUND: this is another hook point.
     */
    int (*set_tsig_key)(pyd2_hook_callout *callout, pyd2_hook_key *key);

    /*
     * Keep a value for this library's other callouts of the same use of hooks, from context_create to
     * context_destroy. destroy, unless it is null, runs when the value is replaced or deleted, or the use
     * ends. On an error it does not run, and the value stays the library's. No other library sees it.
     */
    int (*set_context)(pyd2_hook_callout *callout, pyd2_hook_text name, void *value,
                       pyd2_hook_destroy_function *destroy);

    /* Return in *value a value that was kept. E_NOT_FOUND: there is none of that name. */
    int (*context)(pyd2_hook_callout *callout, pyd2_hook_text name, void **value);

    /* Destroy a value that was kept. E_NOT_FOUND: there is none of that name. */
    int (*delete_context)(pyd2_hook_callout *callout, pyd2_hook_text name);

    /* ---- DNS servers ---- */

    /* Return in *address the address as text, such as "192.0.2.1" or "2001:db8::1". */
    int (*server_address)(pyd2_hook_server *server, pyd2_hook_text *address);

    /* Return in *port the port. */
    int (*server_port)(pyd2_hook_server *server, uint16_t *port);

    /* Return in *name the name of the key that the configuration has for the server; "" for none. */
    int (*server_key_name)(pyd2_hook_server *server, pyd2_hook_text *name);

    /* ---- Keys ---- */

    /*
     * Make a key from the values of a "tsig-keys" entry: the text of a domain name, an algorithm such as
     * "HMAC-SHA256" in any case, and the secret in base64. digest_bits is the length that MACs are cut to, 0
     * for the whole. Make it once, in load say: making costs more than using. *key is valid until
     * key_release() or the end of unload. E_INVALID: one of the values is wrong.
     */
    int (*key_new)(pyd2_hook_library *library, pyd2_hook_text name, pyd2_hook_text algorithm,
                   pyd2_hook_text secret, uint32_t digest_bits, pyd2_hook_key **key);

    /*
     * Make a key that signs with the library's own functions. name and algorithm are texts of domain names:
     * what the TSIG record says, such as "gss-tsig". pyd2 copies *signer; user is passed to its functions.
     * *key is valid until key_release() or the end of unload; signer->release runs some time after that,
     * with the last update that uses the key. E_INVALID: one of the values is wrong, and release does not run.
     */
    int (*signer_new)(pyd2_hook_library *library, pyd2_hook_text name, pyd2_hook_text algorithm,
                      const pyd2_hook_signer *signer, void *user, pyd2_hook_key **key);

    /* Return in *name the key's name: in lower case, with its final dot. */
    int (*key_name)(pyd2_hook_key *key, pyd2_hook_text *name);

    /* Return in *algorithm the algorithm's name as in the TSIG record: lower case, with its final dot. */
    int (*key_algorithm)(pyd2_hook_key *key, pyd2_hook_text *algorithm);

    /*
     * Give up a key that the library made: its handle ends. Updates that use it go on with it.
     * E_HANDLE also: this library has not made it.
     */
    int (*key_release)(pyd2_hook_library *library, pyd2_hook_key *key);

    /* ---- Timers ---- */

    /*
     * Have a function called after delay milliseconds, and then, unless period is 0, every period
     * milliseconds, counted from the end of a call to the next. Time begins to count when the configuration
     * of the library takes effect, or now if it has. *timer is valid until timer_cancel(), the end of unload
     * or, without a period, the return of its function. The function may start and cancel timers, also its
     * own. It must be quick, as callouts: the server waits. timer may be null when nobody will cancel it.
     */
    int (*timer_start)(pyd2_hook_library *library, uint32_t delay, uint32_t period,
                       pyd2_hook_timer_function *function, void *user, pyd2_hook_timer **timer);

    /* End a timer: its function will not be called again. E_HANDLE also: another library started it. */
    int (*timer_cancel)(pyd2_hook_library *library, pyd2_hook_timer *timer);
} pyd2_hook_api;

/* What a library was compiled for. */
typedef struct pyd2_hook_requirement {
    uint32_t version;  /* PYD2_HOOK_VERSION */
    uint32_t api_size; /* octets of the table that it uses: sizeof(pyd2_hook_api), or less */
} pyd2_hook_requirement;

/*
 * Say what the library was compiled for. pyd2 asks this before anything else, also when a configuration is
 * only checked. Without this function loading fails with HOOKS_NO_VERSION; with another version than pyd2's,
 * or a larger table, with HOOKS_INCORRECT_VERSION.
 */
PYD2_HOOK_EXPORT pyd2_hook_requirement pyd2_hook_version(void);

/* Defines pyd2_hook_version() for a library that uses the whole table of this header. */
#ifdef __cplusplus
#define PYD2_HOOK_DEFINE_VERSION \
    extern "C" pyd2_hook_requirement pyd2_hook_version(void) PYD2_HOOK_VERSION_BODY
#else
#define PYD2_HOOK_DEFINE_VERSION pyd2_hook_requirement pyd2_hook_version(void) PYD2_HOOK_VERSION_BODY
#endif
#define PYD2_HOOK_VERSION_BODY \
    { \
        pyd2_hook_requirement requirement; \
        requirement.version = PYD2_HOOK_VERSION; \
        requirement.api_size = (uint32_t)sizeof(pyd2_hook_api); \
        return requirement; \
    }

/*
 * Start work: read the parameters, attach callouts and commands. It runs for each entry that names the
 * library, and again after each reconfiguration; library differs each time. Static variables are common to
 * all entries of one file, and may or may not keep their values from an unload to the next load: use *state,
 * which is null at first and is passed to unload.
 *
 * Returns 0. Anything else refuses the configuration: HOOKS_LOAD_ERROR shows the number, and log() is the
 * way to say why. Then unload runs as well, with what *state holds by then.
 */
PYD2_HOOK_EXPORT int pyd2_hook_load(const pyd2_hook_api *api, pyd2_hook_library *library, void **state);

/*
 * End work, give back what load took. It may be absent. Callouts and timers will not run any more. Keys that
 * the library has not released are released after it. Returns 0; anything else is logged as
 * HOOKS_UNLOAD_ERROR.
 */
PYD2_HOOK_EXPORT int pyd2_hook_unload(void *state);

/*
 * Return 1 if pyd2's table has all that this header describes, 0 if not. pyd2 has compared as well before it
 * calls load; a library that must be sure calls this first in load and returns an error if it is 0.
 */
static inline int pyd2_hook_fits(const pyd2_hook_api *api)
{
    return api->version == PYD2_HOOK_VERSION && api->size >= sizeof(pyd2_hook_api);
}

#ifdef __cplusplus
}
#endif

#endif

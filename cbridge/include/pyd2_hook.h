/*
 * pyd2_hook.h: hook libraries for pyd2 in C, or in any language that can be called from C.
 *
 * A hook library is a shared object that "hooks-libraries" names and pyd2 loads. It needs this header to compile and
 * links with nothing of pyd2's or Kea's. docs/hooks.md is the guide; it lists the hook points and their arguments.
 *
 * THE LIBRARY exports two functions, and a third if it needs it:
 *
 *     PYD2_HOOK_DEFINE_VERSION
 *     int pyd2_hook_load(const pyd2_hook_api *api, pyd2_hook_library *library, void **state);
 *     int pyd2_hook_unload(void *state);
 *
 * PYD2 passes a table of functions, pyd2_hook_api. These rules hold for all of them:
 *
 * Errors.  A function returns PYD2_HOOK_OK, which is 0, or a negative PYD2_HOOK_E_ code.
 *     pyd2_hook_error_text() has the meaning of a code, last_error() says what was wrong with the call. A call that
 *     fails changes nothing. Every function can return E_INVALID (a null pointer or a malformed value), E_HANDLE,
 *     E_THREAD and E_INTERNAL; its comment names the other codes, and what is special about these. No function ends
 *     the process, throws, or jumps.
 *
 * Out parameters come last. A function sets them when it succeeds and leaves them alone when it fails. They must
 *     not be null unless the comment allows it.
 *
 * Calls.  A call is the time in which pyd2 runs one function of the library: load, unload, a callout, or the function
 *     of a timer, of a signer or of a value. Whatever a function of the table lends (a text, a JSON value, a server, a
 *     key) lives until the call returns in which the library asked for it. Calls can nest: when a callout replaces
 *     a value, pyd2 runs the function that destroys the old one. Then what is lent lives until the outermost call
 *     returns. Copy what you need for longer.
 *
 * Handles.  The pointers to pyd2_hook_library, _callout, _json, _server, _key and _timer are names and not addresses.
 *     Passing one after its end, or one of another kind, is safe and returns E_HANDLE. pyd2 never gives a handle
 *     twice. A handle that is const can be read and passed on, but not changed or released.
 *
 * Threads.  All code of all libraries runs on one thread, the libraries' thread, one call at a time. DNS updates
 *     continue on another thread meanwhile; commands, signals and reconfigurations wait. The functions of the table
 *     work on the libraries' thread only. On any other they do nothing and return E_THREAD (last_error() works
 *     everywhere). A library may have threads of its own: let a timer or the next callout fetch their results, and
 *     join them in pyd2_hook_unload().
 *
 * Exceptions.  No exception and no longjmp() may leave a function of the library: pyd2's frames cannot be unwound, and
 *     the process would end. In C++ catch everything; in Rust catch panics.
 *
 * Texts have lengths and may hold any octet. A text that pyd2 lends is followed by a NUL that its length does not
 *     count. A text that the library passes needs no NUL; pyd2 copies what it keeps of it.
 *
 * Memory.  The library frees nothing that pyd2 lends or gives. pyd2 frees nothing that the library passes, except
 *     through a function that the library gave for that.
 *
 * Compatibility.  Structures grow at their end only, and a size goes with each that can grow, so a compiled library
 *     runs on a newer pyd2, and on an older one that has what the library uses:
 *     - pyd2_hook_api: pyd2 fills in size. The library states how much of the table it needs
 *       (PYD2_HOOK_DEFINE_VERSION, PYD2_HOOK_DEFINE_VERSION_FOR), and asks for what it can do without by
 *       PYD2_HOOK_HAS().
 *     - pyd2_hook_signer: the library fills in size. pyd2 reads no more than that and takes the members behind it for
 *       zero; members that pyd2 does not know must be zero.
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
 * The version of this interface. It changes only if something that exists changes its meaning; then libraries must be
 * compiled again. New functions come at the end of the table and change its size, not this.
 */
#define PYD2_HOOK_VERSION 1

/* How many octets a structure has up to the end of a member. */
#ifdef __cplusplus
#define PYD2_HOOK_SIZE_TO(type, member) (offsetof(type, member) + sizeof(type::member))
#else
#define PYD2_HOOK_SIZE_TO(type, member) (offsetof(type, member) + sizeof(((type *)0)->member))
#endif

/* Tell whether a table has a member: ask before the use of a member that the library does not require. */
#define PYD2_HOOK_HAS(api, member) ((api)->size >= PYD2_HOOK_SIZE_TO(pyd2_hook_api, member))

#if defined(__GNUC__)
#define PYD2_HOOK_EXPORT __attribute__((visibility("default")))
#else
#define PYD2_HOOK_EXPORT
#endif

/* What the functions of the table return. */
enum {
    PYD2_HOOK_OK = 0,
    PYD2_HOOK_E_INVALID = -1,   /* an argument is malformed: a null pointer, no JSON, no domain name ... */
    PYD2_HOOK_E_HANDLE = -2,    /* the handle has ended, or never was one of this kind */
    PYD2_HOOK_E_THREAD = -3,    /* this is not the libraries' thread */
    PYD2_HOOK_E_NOT_FOUND = -4, /* there is nothing of that name */
    PYD2_HOOK_E_TYPE = -5,      /* the value has another type, or does not fit the argument */
    PYD2_HOOK_E_STATE = -6,     /* this cannot be done now */
    PYD2_HOOK_E_INTERNAL = -7   /* a fault in pyd2; its log has the details */
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

typedef struct pyd2_hook_library pyd2_hook_library; /* this entry of hooks-libraries: until unload returns */
typedef struct pyd2_hook_callout pyd2_hook_callout; /* one run of a callout: until it returns */
typedef struct pyd2_hook_json pyd2_hook_json;       /* a JSON value: lent, and always const */
typedef struct pyd2_hook_server pyd2_hook_server;   /* a DNS server: lent, and always const */
typedef struct pyd2_hook_key pyd2_hook_key;         /* a key: lent if const, else made by the library */
typedef struct pyd2_hook_timer pyd2_hook_timer;     /* a timer: until it fires for the last time */

/* Return the meaning of a PYD2_HOOK_ code, in words for people. The text lives as long as the library. */
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
        return "called outside of the libraries' thread";
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

/* What a timer calls. user is what it was started with. A timer without a period ends when it returns. */
typedef void pyd2_hook_timer_function(pyd2_hook_timer *timer, void *user);

/* What destroys a value that the library gave away. It runs once, on the libraries' thread. */
typedef void pyd2_hook_destroy_function(void *value);

/*
 * The functions of a key that signs in the library's own way; see signer_new. Use designated initialisers, or set the
 * whole structure to zero first: a member that a later header adds is then zero, which stands for what pyd2 did before.
 *
 * The functions may run after pyd2_hook_unload() has returned: requests in flight keep their key, and pyd2 keeps the
 * library in memory for them. So keep everything that sign and verify need in user, which release destroys, and not
 * in what unload destroys.
 */
typedef struct pyd2_hook_signer {
    size_t size;     /* sizeof(pyd2_hook_signer) */
    size_t mac_size; /* octets of the longest MAC that sign makes: 1 to 4096 */

    /*
     * Begin one message: store in *context, which is null at first, what pyd2 is to pass to sign and verify. Returns
     * 0; anything else: this update cannot be signed. May be null: then the context is null.
     */
    int (*begin)(void *user, void **context);

    /*
     * Write to mac the MAC of the length octets at data: the message and the TSIG variables (RFC 8945, section 4.3).
     * *mac_length is mac_size; set it to the length of the MAC. Returns 0; anything else: this update cannot be
     * signed. Runs once in a context.
     */
    int (*sign)(void *user, void *context, const uint8_t *data, size_t length, uint8_t *mac,
                size_t *mac_length);

    /*
     * Say whether the MAC is that of the length octets at data: those of the reply, with the MAC of the
     * request before them (RFC 8945, section 5.3). pyd2 has compared the names of key and algorithm, and the
     * time. Returns 0 if it is; else the TSIG error (RFC 8945, section 3), usually 16 (BADSIG).
     * Runs after sign, never or more than once: forged replies do not end the context.
     */
    int (*verify)(void *user, void *context, const uint8_t *data, size_t length, const uint8_t *mac,
                  size_t mac_length);

    /* End a context that begin began without an error. May be null. */
    void (*end)(void *user, void *context);

    /* Destroy user: no function of the key will run again. May be null. */
    pyd2_hook_destroy_function *release;
} pyd2_hook_signer;

/* The functions that pyd2 gives. The table lives as long as the process and does not change. */
typedef struct pyd2_hook_api {
    uint32_t version; /* PYD2_HOOK_VERSION of pyd2 */
    uint32_t size;    /* sizeof(pyd2_hook_api) of pyd2; see PYD2_HOOK_HAS */

    /*
     * Say in words why the last call that failed on this thread did so. Returns a string, "" if no call has failed;
     * it lives until the next failure on this thread. It is for people: do not compare it.
     */
    const char *(*last_error)(void);

    /* ---- The library ---- */

    /*
     * Attach a callout to a hook point, behind those attached before; pyd2 passes user to it. It stays attached until
     * the library is unloaded. E_NOT_FOUND: there is no such hook point. E_STATE: load has ended.
     */
    int (*register_callout)(pyd2_hook_library *library, pyd2_hook_text hook,
                            pyd2_hook_callout_function *function, void *user);

    /*
     * Attach a callout to a command of the control channel, which need not exist yet. It replaces the server's own
     * command of that name, except list-commands. "-" and "_" are the same in names.
     * E_INVALID: the name is empty. E_STATE: load has ended.
     */
    int (*register_command)(pyd2_hook_library *library, pyd2_hook_text command,
                            pyd2_hook_callout_function *function, void *user);

    /* Lend in *parameters the entry's "parameters": a map, or JSON's null if it has none. Until unload returns. */
    int (*parameters)(const pyd2_hook_library *library, const pyd2_hook_json **parameters);

    /* Lend in *name the entry's "library": the full path. */
    int (*library_name)(const pyd2_hook_library *library, pyd2_hook_text *name);

    /* Return in *index the place of the entry in hooks-libraries, from 1. */
    int (*library_index)(const pyd2_hook_library *library, uint32_t *index);

    /*
     * Write a message with the library's name into the server's log, if the logger kea-dhcp-ddns.hooks logs that
     * severity. E_INVALID: severity is none of the four.
     */
    int (*log)(const pyd2_hook_library *library, int severity, pyd2_hook_text text);

    /* ---- JSON ----
     *
     * pointer is a JSON pointer (RFC 6901): "" is the value itself, "/servers/0" the first item of its member
     * "servers". In names "~1" stands for "/" and "~0" for "~".
     * All of these: E_NOT_FOUND if it leads nowhere, E_INVALID if it is no JSON pointer.
     */

    /* Return in *type the type of a value, PYD2_HOOK_JSON_... */
    int (*json_type)(const pyd2_hook_json *json, pyd2_hook_text pointer, int *type);

    /* Lend in *text a string's text. E_TYPE: the value is no string. */
    int (*json_text)(const pyd2_hook_json *json, pyd2_hook_text pointer, pyd2_hook_text *text);

    /* Return in *number an integer. E_TYPE: it is none, or one that does not fit. */
    int (*json_integer)(const pyd2_hook_json *json, pyd2_hook_text pointer, int64_t *number);

    /* Return in *number a real number, or an integer as a real. E_TYPE: it is neither. */
    int (*json_real)(const pyd2_hook_json *json, pyd2_hook_text pointer, double *number);

    /* Return in *flag 1 for true and 0 for false. E_TYPE: the value is no boolean. */
    int (*json_boolean)(const pyd2_hook_json *json, pyd2_hook_text pointer, int *flag);

    /* Return in *count how many items a list has, or members a map. E_TYPE: it is neither. */
    int (*json_count)(const pyd2_hook_json *json, pyd2_hook_text pointer, size_t *count);

    /*
     * Lend in *name the name of a map's member; index counts from 0 in the byte order of the names.
     * E_TYPE: the value is no map. E_NOT_FOUND also: index is not below the number of members.
     */
    int (*json_name)(const pyd2_hook_json *json, pyd2_hook_text pointer, size_t index, pyd2_hook_text *name);

    /* Lend in *text the JSON text of a value, as the server would print it. */
    int (*json_print)(const pyd2_hook_json *json, pyd2_hook_text pointer, pyd2_hook_text *text);

    /* Lend in *quoted the JSON text of a string: in quotes, and escaped. */
    int (*json_quote)(pyd2_hook_text text, pyd2_hook_text *quoted);

    /* ---- A callout ---- */

    /* Lend in *name the hook point that runs: "select_key", or "$my_command" for a command. */
    int (*hook_name)(const pyd2_hook_callout *callout, pyd2_hook_text *name);

    /* Return in *status the status that the callouts before this one left; CONTINUE at first. */
    int (*status)(const pyd2_hook_callout *callout, int *status);

    /* Set the status. E_INVALID: it is none of the four. */
    int (*set_status)(pyd2_hook_callout *callout, int status);

    /*
     * Lend an argument in *json or *text: one that is a JSON value (None in docs/hooks.md is JSON's null), or one
     * that is a text. Arguments that callouts added, in Python too, have the form in which they were set.
     * E_NOT_FOUND: the hook point has no such argument. E_TYPE: it has another form.
     */
    int (*argument_json)(const pyd2_hook_callout *callout, pyd2_hook_text name, const pyd2_hook_json **json);
    int (*argument_text)(const pyd2_hook_callout *callout, pyd2_hook_text name, pyd2_hook_text *text);

    /*
     * Set an argument for the callouts that follow and, if the hook point reads it again, for the server. A name
     * that the hook point does not have is shared by the callouts of this use of it.
     * json is the text of a JSON value. E_INVALID: it is not. E_TYPE: the argument has another form.
     */
    int (*set_argument_json)(pyd2_hook_callout *callout, pyd2_hook_text name, pyd2_hook_text json);
    int (*set_argument_text)(pyd2_hook_callout *callout, pyd2_hook_text name, pyd2_hook_text text);

    /* Lend in *server the argument current_server of select_key. E_NOT_FOUND: this is another hook point. */
    int (*current_server)(const pyd2_hook_callout *callout, const pyd2_hook_server **server);

    /*
     * Lend in *key the argument tsig_key of select_key: the key that the configuration or an earlier callout chose.
     * Null means that the update goes out unsigned. E_NOT_FOUND: this is another hook point.
     */
    int (*tsig_key)(const pyd2_hook_callout *callout, const pyd2_hook_key **key);

    /*
     * Set the argument tsig_key of select_key. A null key means that the update goes out unsigned. The library may
     * release the key at once: updates that use it keep it alive. E_NOT_FOUND: this is another hook point.
     */
    int (*set_tsig_key)(pyd2_hook_callout *callout, const pyd2_hook_key *key);

    /*
     * Keep a value for this library's other callouts in the same use of hooks, from context_create to
     * context_destroy. No other library sees it. destroy, unless it is null, runs when the value is replaced or
     * deleted, or when the use ends. If set_context fails, destroy does not run and the value stays the library's.
     */
    int (*set_context)(pyd2_hook_callout *callout, pyd2_hook_text name, void *value,
                       pyd2_hook_destroy_function *destroy);

    /* Return in *value a value that set_context keeps. E_NOT_FOUND: there is none of that name. */
    int (*context)(const pyd2_hook_callout *callout, pyd2_hook_text name, void **value);

    /* Destroy a value that set_context keeps. E_NOT_FOUND: there is none of that name. */
    int (*delete_context)(pyd2_hook_callout *callout, pyd2_hook_text name);

    /* ---- DNS servers ---- */

    /* Lend in *address the address as text, such as "192.0.2.1" or "2001:db8::1". */
    int (*server_address)(const pyd2_hook_server *server, pyd2_hook_text *address);

    /* Return in *port the port. */
    int (*server_port)(const pyd2_hook_server *server, uint16_t *port);

    /* Lend in *name the name of the key that the configuration has for the server; "" for none. */
    int (*server_key_name)(const pyd2_hook_server *server, pyd2_hook_text *name);

    /* ---- Keys ---- */

    /*
     * Make a key from the values of a "tsig-keys" entry: the text of a domain name, an algorithm such as
     * "HMAC-SHA256" in any case, and the secret in base64. digest_bits is the length that MACs are cut to; 0 cuts
     * nothing. Make a key once, for example in load: making costs more than using. *key is valid until
     * key_release() or until unload returns. E_INVALID: one of the values is wrong.
     */
    int (*key_new)(pyd2_hook_library *library, pyd2_hook_text name, pyd2_hook_text algorithm,
                   pyd2_hook_text secret, uint32_t digest_bits, pyd2_hook_key **key);

    /*
     * Make a key that signs with the library's own functions. name and algorithm are the texts of the domain names
     * in the TSIG record, such as "gss-tsig". pyd2 copies *signer and passes user to its functions. *key is valid
     * until key_release() or until unload returns; signer->release runs after that, when the last update that uses
     * the key has ended. E_INVALID: one of the values is wrong, or signer uses a member that this pyd2 does not know;
     * then release does not run.
     */
    int (*signer_new)(pyd2_hook_library *library, pyd2_hook_text name, pyd2_hook_text algorithm,
                      const pyd2_hook_signer *signer, void *user, pyd2_hook_key **key);

    /* Lend in *name the key's name: in lower case, with its final dot. */
    int (*key_name)(const pyd2_hook_key *key, pyd2_hook_text *name);

    /* Lend in *algorithm the algorithm's name in the TSIG record: in lower case, with its final dot. */
    int (*key_algorithm)(const pyd2_hook_key *key, pyd2_hook_text *algorithm);

    /*
     * Release a key that this library made: its handle ends. Updates that use the key keep it.
     * E_HANDLE also: this library did not make it.
     */
    int (*key_release)(pyd2_hook_library *library, pyd2_hook_key *key);

    /* ---- Timers ---- */

    /*
     * Call a function after delay milliseconds and then, unless period is 0, every period milliseconds, counted from
     * the return of one call to the next. Time counts from the moment the library's configuration takes effect, or
     * from now if it has. *timer is valid until timer_cancel(), until unload returns or, without a period, until the
     * function returns. timer may be null if nobody will cancel it. The function may start and cancel timers, its own
     * too. Keep it short: commands, signals and all other library code wait for it.
     */
    int (*timer_start)(pyd2_hook_library *library, uint32_t delay, uint32_t period,
                       pyd2_hook_timer_function *function, void *user, pyd2_hook_timer **timer);

    /* Cancel a timer: its function does not run again. E_HANDLE also: another library started it. */
    int (*timer_cancel)(pyd2_hook_library *library, pyd2_hook_timer *timer);
} pyd2_hook_api;

/*
 * Set *version to the PYD2_HOOK_VERSION that the library was compiled for, and *api_size to how many octets of the
 * table it needs. pyd2 asks this before anything else, also when a configuration is only checked. Loading fails with
 * HOOKS_NO_VERSION without this function, and with HOOKS_INCORRECT_VERSION if the version is not pyd2's or the table
 * is larger than pyd2's. Use one of the macros below to define it in C and C++; other languages define it alone.
 */
PYD2_HOOK_EXPORT void pyd2_hook_requires(uint32_t *version, uint32_t *api_size);

/*
 * The same as a structure, which pyd2 asked for before 1.0. The macros define it as well, so that a library runs
 * there too; pyd2 asks it if a library has no pyd2_hook_requires(). It will not change.
 */
typedef struct pyd2_hook_requirement {
    uint32_t version;
    uint32_t api_size;
} pyd2_hook_requirement;
PYD2_HOOK_EXPORT pyd2_hook_requirement pyd2_hook_version(void);

/*
 * Define both for a library that needs the table up to a member, the last one that it uses without asking
 * PYD2_HOOK_HAS(). PYD2_HOOK_DEFINE_VERSION is for libraries that need no more than interface 1.0, whatever this
 * header has in addition.
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
 * Start work: read the parameters, attach callouts and commands. It runs for each entry that names the library, and
 * again at each reconfiguration; library differs each time. All entries of one file share its static variables, which
 * may or may not keep their values from an unload to the next load. Use *state instead: it is null at first, and pyd2
 * passes it to unload.
 *
 * Returns 0. Anything else refuses the configuration: HOOKS_LOAD_ERROR shows the number; call log() to say why. pyd2
 * then runs unload with what *state holds.
 */
PYD2_HOOK_EXPORT int pyd2_hook_load(const pyd2_hook_api *api, pyd2_hook_library *library, void **state);

/*
 * End work: give back what load took. A library may leave this function out. Its callouts and timers do not run any
 * more. pyd2 then releases the keys that the library has not released. Returns 0; anything else is logged as
 * HOOKS_UNLOAD_ERROR.
 */
PYD2_HOOK_EXPORT int pyd2_hook_unload(void *state);

/*
 * Return 1 if a table has all of interface 1.0, 0 if not. pyd2 compares version and size before it calls load; a
 * library that must be sure calls this first in load and returns an error if it is 0.
 */
static inline int pyd2_hook_fits(const pyd2_hook_api *api)
{
    return api->version == PYD2_HOOK_VERSION && PYD2_HOOK_HAS(api, timer_cancel);
}

#ifdef __cplusplus
}
#endif

#endif

/* A layer between a process and its files, for LD_PRELOAD: it numbers each system call that changes a file below
 * some folders, and can end the process before or after one of them, let them fail, wait, or write a part only.
 *
 * It does nothing until the process calls faults_use with the path of a control page (struct page below; faults.py
 * knows the same layout). Memory that is mapped and written without a system call is not seen. */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { PATH_SIZE = 256, ROOTS = 4, RECORDS = 16384, DESCRIPTORS = 65536 };

/* The order is that of KINDS in faults.py. */
enum kind {
    CREATE, TRUNCATE_OPEN, WRITE, FTRUNCATE, RENAME, UNLINK, LINK, MKDIR, RMDIR, FSYNC, FCHOWN, FCHMOD, FLOCK,
    ALLOCATE, MSYNC, COPY, READ, OPEN
};

/* The order is that of Act in faults.py. */
enum act { NOTHING, KILL_BEFORE, KILL_AFTER, KILL_TORN, FAIL, SHORT };

struct record {
    uint32_t kind;
    uint32_t size;
    char path[PATH_SIZE - 8];
};

struct page {
    _Atomic uint64_t count; /* operations so far */
    _Atomic uint64_t at;    /* the operation that is to be acted at, counted from 1 */
    _Atomic uint32_t act;
    _Atomic uint32_t error; /* of FAIL */
    _Atomic uint32_t state; /* what all operations fail with, until it is 0 again */
    _Atomic uint32_t hang;  /* whether operations wait until it is 0 */
    _Atomic uint32_t hung;  /* how many wait */
    _Atomic uint32_t trace; /* whether what is changed is written to the trace */
    char roots[ROOTS][PATH_SIZE];
    char trace_path[PATH_SIZE];
    struct record records[RECORDS];
};
_Static_assert(sizeof(struct record) == PATH_SIZE, "faults.py reads the records");
_Static_assert(sizeof(struct page) == 40 + (ROOTS + 1 + RECORDS) * PATH_SIZE, "faults.py knows the layout");

/* What the trace has before a path, a second path, and octets. */
struct traced {
    uint64_t number;
    uint64_t offset;
    uint32_t kind;
    uint32_t path_size;
    uint32_t other_size;
    uint32_t size;
};
_Static_assert(sizeof(struct traced) == 32, "power.py reads the trace");

static struct page *page;
static int trace_file = -1;
static pthread_mutex_t trace_lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic unsigned char ours[DESCRIPTORS];

/* ISO C has no conversion from an object's pointer to a function's. */
static void find(void *target, const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);
    memcpy(target, &found, sizeof found);
}
#define REAL(result, name, ...) \
    static result (*real)(__VA_ARGS__); \
    if (real == NULL) find(&real, #name)

int faults_use(const char *path);
int faults_use(const char *path)
{
    int file = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
    if (file < 0) return -1;
    void *at = mmap(NULL, sizeof(struct page), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    syscall(SYS_close, file);
    if (at == MAP_FAILED) return -1;
    page = at;
    if (page->trace_path[0] != '\0')
        trace_file = (int)syscall(SYS_openat, AT_FDCWD, page->trace_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    return 0;
}

static bool below(const char *path)
{
    for (int i = 0; i < ROOTS; i++) {
        size_t n = strlen(page->roots[i]);
        if (n > 0 && strncmp(path, page->roots[i], n) == 0 && (path[n] == '\0' || path[n] == '/')) return true;
    }
    return false;
}

/* Write the absolute path of a name to out; return whether it is one of ours. */
static bool resolve(int directory, const char *path, char out[PATH_MAX])
{
    out[0] = '\0';
    if (page == NULL || path == NULL) return false;
    if (path[0] == '/') {
        snprintf(out, PATH_MAX, "%s", path);
        return below(out);
    }
    ssize_t n;
    if (directory == AT_FDCWD) {
        n = getcwd(out, PATH_MAX) == NULL ? -1 : (ssize_t)strlen(out);
    } else {
        char link[64];
        snprintf(link, sizeof link, "/proc/self/fd/%d", directory);
        n = readlink(link, out, PATH_MAX - 1);
    }
    if (n < 0) return false;
    snprintf(out + n, (size_t)(PATH_MAX - n), "/%s", path);
    return below(out);
}

static bool is_ours(int file)
{
    return page != NULL && file >= 0 && file < DESCRIPTORS && ours[file] != 0;
}

static void path_of(int file, char out[PATH_MAX])
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t n = readlink(link, out, PATH_MAX - 1);
    out[n < 0 ? 0 : n] = '\0';
}

static void die(void)
{
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

static void wait_while_hanging(void)
{
    if (page->hang == 0) return;
    page->hung++;
    struct timespec a_moment = { 0, 500000 };
    while (page->hang != 0) nanosleep(&a_moment, NULL);
    page->hung--;
}

/* Whether an operation of this kind fails on a disk in this state. */
static bool fails(uint32_t state, enum kind kind, bool grows)
{
    switch (state) {
    case ENOSPC:
        return grows && (kind == CREATE || kind == WRITE || kind == FTRUNCATE || kind == MKDIR || kind == LINK ||
                         kind == ALLOCATE || kind == COPY);
    case EROFS: /* what is open for reading only stays readable */
        return kind != READ && kind != FLOCK && kind != FSYNC && kind != OPEN;
    case EACCES: /* what is open stays open */
        return kind == OPEN || kind == CREATE || kind == TRUNCATE_OPEN || kind == RENAME || kind == UNLINK ||
               kind == LINK || kind == MKDIR || kind == RMDIR;
    default:
        return state != 0 && kind != OPEN && kind != FLOCK;
    }
}

struct operation {
    enum kind kind;
    uint64_t number; /* 0: not counted */
    bool die_after;
    uint32_t part;   /* this many octets are written only; 0: all */
};

/* Begin an operation; return 0, or the error that it fails with. */
static int begin(struct operation *operation, enum kind kind, const char *path, size_t size, bool grows)
{
    *operation = (struct operation){ .kind = kind };
    wait_while_hanging();
    uint32_t state = page->state;
    if (kind == READ || kind == OPEN) return fails(state, kind, grows) ? (int)state : 0;
    uint64_t number = ++page->count;
    operation->number = number;
    if (number <= RECORDS) {
        struct record *record = &page->records[number - 1];
        record->size = (uint32_t)size;
        snprintf(record->path, sizeof record->path, "%s", path);
        record->kind = (uint32_t)kind + 1;
    }
    if (number == page->at) {
        switch (page->act) {
        case KILL_BEFORE: die(); break;
        case KILL_AFTER: operation->die_after = true; break;
        case KILL_TORN:
            if (kind != WRITE) die();
            operation->die_after = true;
            operation->part = size > 1 ? (uint32_t)size / 2 : 1;
            break;
        case FAIL: return (int)page->error;
        case SHORT: operation->part = size > 1 ? (uint32_t)size / 2 : 1; break;
        default: break;
        }
    }
    if (fails(state, kind, grows)) return (int)state;
    if (page->trace) pthread_mutex_lock(&trace_lock);
    return 0;
}

/* End an operation that was not let fail; what it has changed goes to the trace if it has succeeded. */
static void end(const struct operation *operation, bool succeeded, const char *path, const char *other,
                int64_t offset, const void *octets, size_t size)
{
    int saved = errno;
    if (operation->number != 0) {
        if (page->trace) {
            if (succeeded && trace_file >= 0) {
                struct traced traced = { operation->number, (uint64_t)offset, (uint32_t)operation->kind,
                                         (uint32_t)strlen(path), (uint32_t)strlen(other),
                                         octets == NULL ? 0 : (uint32_t)size };
                struct iovec parts[] = { { &traced, sizeof traced }, { (void *)(uintptr_t)path, traced.path_size },
                                         { (void *)(uintptr_t)other, traced.other_size },
                                         { (void *)(uintptr_t)octets, traced.size } };
                if (syscall(SYS_writev, trace_file, parts, 4) < 0) die();
            }
            pthread_mutex_unlock(&trace_lock);
        }
        if (operation->die_after) die();
    }
    errno = saved;
}

/* --- Opening and closing ------------------------------------------------------------------------------- */

static int opened(int directory, const char *path, int flags, mode_t mode)
{
    char full[PATH_MAX];
    if (!resolve(directory, path, full)) {
        int file = (int)syscall(SYS_openat, directory, path, flags, mode);
        if (file >= 0 && file < DESCRIPTORS) ours[file] = 0;
        return file;
    }
    struct stat found;
    bool there = fstatat(AT_FDCWD, full, &found, 0) == 0;
    bool writes = (flags & O_ACCMODE) != O_RDONLY;
    struct operation operation;
    enum kind kind = (flags & O_CREAT) && !there ? CREATE : (flags & O_TRUNC) && there ? TRUNCATE_OPEN : OPEN;
    int error = begin(&operation, kind, full, 0, true);
    if (error == 0 && kind == OPEN && writes && page->state == EROFS) error = EROFS;
    if (error != 0) {
        errno = error;
        return -1;
    }
    int file = (int)syscall(SYS_openat, directory, path, flags, mode);
    if (file >= 0 && file < DESCRIPTORS) ours[file] = 1;
    end(&operation, file >= 0, full, "", 0, NULL, 0);
    return file;
}

static mode_t mode_of(int flags, va_list rest)
{
    return (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(rest, mode_t) : 0;
}

#define OPEN_FUNCTION(name, directory, ...) \
    int name(__VA_ARGS__) \
    { \
        va_list rest; \
        va_start(rest, flags); \
        mode_t mode = mode_of(flags, rest); \
        va_end(rest); \
        return opened(directory, path, flags, mode); \
    }
OPEN_FUNCTION(open, AT_FDCWD, const char *path, int flags, ...)
OPEN_FUNCTION(open64, AT_FDCWD, const char *path, int flags, ...)
OPEN_FUNCTION(openat, directory, int directory, const char *path, int flags, ...)
OPEN_FUNCTION(openat64, directory, int directory, const char *path, int flags, ...)

int close(int file)
{
    if (file >= 0 && file < DESCRIPTORS) ours[file] = 0;
    return (int)syscall(SYS_close, file);
}

/* --- What has a descriptor -------------------------------------------------------------------------------- */

static bool beyond_the_end(int file, int64_t end_at)
{
    struct stat found;
    return fstat(file, &found) != 0 || end_at > found.st_size;
}

static ssize_t written(int file, const void *octets, size_t size, int64_t offset)
{
    char path[PATH_MAX];
    path_of(file, path);
    if (offset < 0) offset = (fcntl(file, F_GETFL) & O_APPEND) ? lseek(file, 0, SEEK_END) : lseek(file, 0, SEEK_CUR);
    struct operation operation;
    int error = begin(&operation, WRITE, path, size, beyond_the_end(file, offset + (int64_t)size));
    if (error != 0) {
        errno = error;
        return -1;
    }
    size_t part = operation.part != 0 ? operation.part : size;
    ssize_t done = (ssize_t)syscall(SYS_pwrite64, file, octets, part, offset);
    end(&operation, done >= 0, path, "", offset, octets, done > 0 ? (size_t)done : 0);
    return done;
}

ssize_t write(int file, const void *octets, size_t size)
{
    if (!is_ours(file)) return (ssize_t)syscall(SYS_write, file, octets, size);
    ssize_t done = written(file, octets, size, -1);
    if (done > 0) lseek(file, (fcntl(file, F_GETFL) & O_APPEND) ? 0 : done, SEEK_CUR);
    return done;
}

#define PWRITE_FUNCTION(name) \
    ssize_t name(int file, const void *octets, size_t size, off_t offset) \
    { \
        if (!is_ours(file)) return (ssize_t)syscall(SYS_pwrite64, file, octets, size, offset); \
        return written(file, octets, size, offset); \
    }
PWRITE_FUNCTION(pwrite)
PWRITE_FUNCTION(pwrite64)

/* Each part is an operation of its own: a kill may come between them as it may within one. */
static ssize_t written_parts(int file, const struct iovec *parts, int count, int64_t offset)
{
    ssize_t total = 0;
    for (int i = 0; i < count; i++) {
        ssize_t done = offset < 0 ? write(file, parts[i].iov_base, parts[i].iov_len)
                                  : written(file, parts[i].iov_base, parts[i].iov_len, offset + total);
        if (done < 0) return total > 0 ? total : -1;
        total += done;
        if ((size_t)done < parts[i].iov_len) break;
    }
    return total;
}

ssize_t writev(int file, const struct iovec *parts, int count)
{
    return is_ours(file) ? written_parts(file, parts, count, -1) : (ssize_t)syscall(SYS_writev, file, parts, count);
}

#define PWRITEV_FUNCTION(name) \
    ssize_t name(int file, const struct iovec *parts, int count, off_t offset) \
    { \
        REAL(ssize_t, name, int, const struct iovec *, int, off_t); \
        return is_ours(file) ? written_parts(file, parts, count, offset) : real(file, parts, count, offset); \
    }
PWRITEV_FUNCTION(pwritev)
PWRITEV_FUNCTION(pwritev64)

/* A call with a descriptor that has no data of its own to write. */
#define PLAIN(kind, grows, offset, call) \
    do { \
        char path[PATH_MAX]; \
        struct operation operation; \
        if (!is_ours(file)) return (call); \
        path_of(file, path); \
        int error = begin(&operation, kind, path, 0, grows); \
        if (error != 0) { \
            errno = error; \
            return -1; \
        } \
        int result = (int)(call); \
        end(&operation, result == 0, path, "", offset, NULL, 0); \
        return result; \
    } while (0)

int ftruncate(int file, off_t size) { PLAIN(FTRUNCATE, beyond_the_end(file, size), size, syscall(SYS_ftruncate, file, size)); }
int ftruncate64(int file, off_t size) { PLAIN(FTRUNCATE, beyond_the_end(file, size), size, syscall(SYS_ftruncate, file, size)); }
int fsync(int file) { PLAIN(FSYNC, false, 0, syscall(SYS_fsync, file)); }
int fdatasync(int file) { PLAIN(FSYNC, false, 0, syscall(SYS_fdatasync, file)); }
int fchown(int file, uid_t owner, gid_t group) { PLAIN(FCHOWN, false, 0, syscall(SYS_fchown, file, owner, group)); }
int fchmod(int file, mode_t mode) { PLAIN(FCHMOD, false, 0, syscall(SYS_fchmod, file, mode)); }
int flock(int file, int how) { PLAIN(FLOCK, false, 0, syscall(SYS_flock, file, how)); }
int fallocate(int file, int mode, off_t offset, off_t size)
{
    PLAIN(ALLOCATE, true, offset + size, syscall(SYS_fallocate, file, mode, offset, size));
}
int fallocate64(int file, int mode, off_t offset, off_t size)
{
    PLAIN(ALLOCATE, true, offset + size, syscall(SYS_fallocate, file, mode, offset, size));
}

static int allocated(int file, off_t offset, off_t size)
{
    return fallocate(file, 0, offset, size) == 0 ? 0 : errno;
}
int posix_fallocate(int file, off_t offset, off_t size) { return allocated(file, offset, size); }
int posix_fallocate64(int file, off_t offset, off_t size) { return allocated(file, offset, size); }

/* Which file it is is unknown: each counts, while some folder is watched. */
int msync(void *memory, size_t size, int flags)
{
    struct operation operation;
    if (page == NULL) return (int)syscall(SYS_msync, memory, size, flags);
    int error = begin(&operation, MSYNC, "", size, false);
    if (error != 0) {
        errno = error;
        return -1;
    }
    int result = (int)syscall(SYS_msync, memory, size, flags);
    end(&operation, false, "", "", 0, NULL, 0);
    return result;
}

/* A copy in the kernel: the caller writes itself instead. */
static ssize_t copied(int file)
{
    (void)file;
    errno = EINVAL;
    return -1;
}

#define SENDFILE_FUNCTION(name) \
    ssize_t name(int out, int in, off_t *offset, size_t size) \
    { \
        return is_ours(out) ? copied(out) : (ssize_t)syscall(SYS_sendfile, out, in, offset, size); \
    }
SENDFILE_FUNCTION(sendfile)
SENDFILE_FUNCTION(sendfile64)

ssize_t copy_file_range(int in, off_t *in_offset, int out, off_t *out_offset, size_t size, unsigned flags)
{
    return is_ours(out) ? copied(out)
                        : (ssize_t)syscall(SYS_copy_file_range, in, in_offset, out, out_offset, size, flags);
}

/* Reading is not counted; it waits and fails with the disk. */
static int reads(int file)
{
    struct operation operation;
    return is_ours(file) ? begin(&operation, READ, "", 0, false) : 0;
}

ssize_t read(int file, void *octets, size_t size)
{
    int error = reads(file);
    if (error == 0) return (ssize_t)syscall(SYS_read, file, octets, size);
    errno = error;
    return -1;
}

#define PREAD_FUNCTION(name) \
    ssize_t name(int file, void *octets, size_t size, off_t offset) \
    { \
        int error = reads(file); \
        if (error == 0) return (ssize_t)syscall(SYS_pread64, file, octets, size, offset); \
        errno = error; \
        return -1; \
    }
PREAD_FUNCTION(pread)
PREAD_FUNCTION(pread64)

/* --- What has names ------------------------------------------------------------------------------------------ */

static int named(enum kind kind, int directory, const char *path, int other_directory, const char *other, long call,
                 long fourth)
{
    char full[PATH_MAX], other_full[PATH_MAX] = "";
    struct operation operation = { .number = 0 };
    bool mine = resolve(directory, path, full);
    if (other != NULL && resolve(other_directory, other, other_full)) mine = true;
    if (mine) {
        int error = begin(&operation, kind, full, 0, true);
        if (error != 0) {
            errno = error;
            return -1;
        }
    }
    int result = other != NULL ? (int)syscall(call, directory, path, other_directory, other, fourth)
                               : (int)syscall(call, directory, path, fourth);
    if (mine) end(&operation, result == 0, full, other_full, 0, NULL, 0);
    return result;
}

int rename(const char *from, const char *to) { return named(RENAME, AT_FDCWD, from, AT_FDCWD, to, SYS_renameat2, 0); }
int renameat(int a, const char *from, int b, const char *to) { return named(RENAME, a, from, b, to, SYS_renameat2, 0); }
int renameat2(int a, const char *from, int b, const char *to, unsigned flags)
{
    return named(RENAME, a, from, b, to, SYS_renameat2, (long)flags);
}
int link(const char *from, const char *to) { return named(LINK, AT_FDCWD, from, AT_FDCWD, to, SYS_linkat, 0); }
int linkat(int a, const char *from, int b, const char *to, int flags)
{
    return named(LINK, a, from, b, to, SYS_linkat, flags);
}
int unlink(const char *path) { return named(UNLINK, AT_FDCWD, path, 0, NULL, SYS_unlinkat, 0); }
int unlinkat(int directory, const char *path, int flags)
{
    return named(flags & AT_REMOVEDIR ? RMDIR : UNLINK, directory, path, 0, NULL, SYS_unlinkat, flags);
}
int rmdir(const char *path) { return named(RMDIR, AT_FDCWD, path, 0, NULL, SYS_unlinkat, AT_REMOVEDIR); }
int mkdir(const char *path, mode_t mode) { return named(MKDIR, AT_FDCWD, path, 0, NULL, SYS_mkdirat, (long)mode); }
int mkdirat(int directory, const char *path, mode_t mode)
{
    return named(MKDIR, directory, path, 0, NULL, SYS_mkdirat, (long)mode);
}

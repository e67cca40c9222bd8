/*
 * A disk that fails on request, for files whose path contains some text: preloaded into a process of the tests.
 *
 * The process arms it (see failing_disk.py): from the Nth call of a kind on, calls fail with an error or stand still, once
 * or forever. Calls on those files after a failed sync are counted, because nothing may be written to such a file again.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { SYNC = 1, WRITE = 2 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char wanted[512];
static int kinds, after, forever, error_number, stall_ms;
static int seen, struck, sync_failed, later_calls;

void failing_disk_arm(const char *path_part, int which, int nth, int until_the_end, int error, int stall_milliseconds) {
    pthread_mutex_lock(&lock);
    strncpy(wanted, path_part, sizeof wanted - 1);
    kinds = which;
    after = nth;
    forever = until_the_end;
    error_number = error;
    stall_ms = stall_milliseconds;
    seen = struck = sync_failed = later_calls = 0;
    pthread_mutex_unlock(&lock);
}

int failing_disk_struck(void) { return struck; }
int failing_disk_later_calls(void) { return later_calls; }

/* Whether this call fails; it may stand still for a while instead. */
static int strikes(int descriptor, int kind) {
    char link[64], target[4096];
    int strike = 0, wait_ms = 0;
    if (!kinds)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, target, sizeof target - 1);
    if (length < 0)
        return 0;
    target[length] = 0;
    pthread_mutex_lock(&lock);
    if (strstr(target, wanted)) {
        if (sync_failed)
            later_calls++;
        if (kinds & kind) {
            seen++;
            strike = forever ? seen >= after : seen == after;
        }
        if (strike) {
            struck++;
            wait_ms = stall_ms;
            if (!stall_ms && kind == SYNC)
                sync_failed = 1;
        }
    }
    pthread_mutex_unlock(&lock);
    if (wait_ms) {
        struct timespec wait = {wait_ms / 1000, (wait_ms % 1000) * 1000000L};
        nanosleep(&wait, 0);
        return 0;
    }
    if (strike)
        errno = error_number;
    return strike;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int fsync(int fd) { return strikes(fd, SYNC) ? -1 : REAL(fsync)(fd); }
int fdatasync(int fd) { return strikes(fd, SYNC) ? -1 : REAL(fdatasync)(fd); }
ssize_t write(int fd, const void *from, size_t count) {
    return strikes(fd, WRITE) ? -1 : REAL(write)(fd, from, count);
}
ssize_t pwrite(int fd, const void *from, size_t count, off_t at) {
    return strikes(fd, WRITE) ? -1 : REAL(pwrite)(fd, from, count, at);
}
ssize_t pwrite64(int fd, const void *from, size_t count, off64_t at) {
    return strikes(fd, WRITE) ? -1 : REAL(pwrite64)(fd, from, count, at);
}
ssize_t writev(int fd, const struct iovec *from, int count) {
    return strikes(fd, WRITE) ? -1 : REAL(writev)(fd, from, count);
}

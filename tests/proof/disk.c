/* A preload library that stands between a process and its disk.
 *
 * PROOF_FOLDER  whose files are watched (an absolute path)
 * PROOF_LOG     where every change of them is written down, in order
 * PROOF_FAIL    "sync:N": the Nth sync of a file fails; "folder:N": that of the folder itself;
 *               "short:N": the Nth write writes half, the next fails
 *
 * A record is: operation (1 byte), descriptor (4), offset (8), length (4), then so many bytes of
 * data. O open (data: path), W write, T truncate, S sync, C close, R rename (old NUL new), U unlink.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#define MOST 4096
#define LONGEST 4096
#define A_FILE 1
#define THE_FOLDER 2
#define OTHER 3 /* written down, but never made to fail */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char watched[MOST];
static int ready, log_number = -1;
static const char *folder;
static size_t folder_length;
static long fail_sync, fail_folder, fail_short, syncs, folder_syncs, writes;
static int fail_next = -1;

static void begin(void) {
    if (ready)
        return;
    ready = 1;
    folder = getenv("PROOF_FOLDER");
    folder_length = folder ? strlen(folder) : 0;
    const char *fail = getenv("PROOF_FAIL"), *path = getenv("PROOF_LOG");
    if (fail && !strncmp(fail, "sync:", 5))
        fail_sync = atol(fail + 5);
    if (fail && !strncmp(fail, "folder:", 7))
        fail_folder = atol(fail + 7);
    if (fail && !strncmp(fail, "short:", 6))
        fail_short = atol(fail + 6);
    if (path)
        log_number = syscall(SYS_openat, AT_FDCWD, path, O_CREAT | O_WRONLY | O_APPEND, 0600);
}

/* The absolute form of a path, and whether it is the folder or below it. */
static int ours(const char *path, char *whole) {
    begin();
    if (!folder)
        return 0;
    whole[0] = 0;
    if (path[0] != '/') {
        if (syscall(SYS_getcwd, whole, LONGEST / 2) < 0)
            return 0;
        strcat(whole, "/");
    }
    strncat(whole, path, LONGEST / 2 - 2);
    if (strncmp(whole, folder, folder_length))
        return 0;
    return whole[folder_length] == '/' || whole[folder_length] == 0;
}

static void note(char operation, int number, uint64_t offset, const void *data, uint32_t length,
                 uint32_t kept) {
    char head[17];
    if (log_number < 0)
        return;
    head[0] = operation;
    memcpy(head + 1, &number, 4);
    memcpy(head + 5, &offset, 8);
    memcpy(head + 13, &length, 4);
    syscall(SYS_write, log_number, head, 17);
    if (kept)
        syscall(SYS_write, log_number, data, kept);
}

static int is_watched(int number) { return number >= 0 && number < MOST && watched[number]; }

/* What the store keeps: the database, its log, and the files beside it. */
static int is_data(const char *whole) {
    return (strstr(whole, "/reactor.db") && !strstr(whole, "-shm")) || strstr(whole, "/blobs");
}

static int opened(int base, const char *path, int flags, int mode) {
    char whole[LONGEST];
    int mine = base == AT_FDCWD && ours(path, whole);
    if (!mine)
        return syscall(SYS_openat, base, path, flags, mode);
    pthread_mutex_lock(&lock);
    int number = syscall(SYS_openat, base, path, flags, mode);
    if (number >= 0 && number < MOST) {
        watched[number] = !whole[folder_length] ? THE_FOLDER : is_data(whole) ? A_FILE : OTHER;
        note('O', number, flags & O_TRUNC ? 1 : 0, whole, strlen(whole), strlen(whole));
    }
    pthread_mutex_unlock(&lock);
    return number;
}

#define MODE                                                                                       \
    int mode = 0;                                                                                  \
    if (flags & O_CREAT) {                                                                         \
        va_list more;                                                                              \
        va_start(more, flags);                                                                     \
        mode = va_arg(more, int);                                                                  \
        va_end(more);                                                                              \
    }

int open(const char *path, int flags, ...) { MODE return opened(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE return opened(AT_FDCWD, path, flags, mode); }
int openat(int base, const char *path, int flags, ...) { MODE return opened(base, path, flags, mode); }
int openat64(int base, const char *path, int flags, ...) { MODE return opened(base, path, flags, mode); }

static ssize_t written(int number, const void *data, size_t length, off64_t offset, int placed) {
    if (!is_watched(number))
        return placed ? syscall(SYS_pwrite64, number, data, length, offset)
                      : syscall(SYS_write, number, data, length);
    pthread_mutex_lock(&lock);
    if (fail_next == number) {
        fail_next = -1;
        pthread_mutex_unlock(&lock);
        errno = EIO;
        return -1;
    }
    if (fail_short && watched[number] == A_FILE && ++writes == fail_short && length > 1) {
        length /= 2;
        fail_next = number;
    }
    if (!placed)
        offset = syscall(SYS_lseek, number, 0, SEEK_CUR);
    ssize_t done = placed ? syscall(SYS_pwrite64, number, data, length, offset)
                          : syscall(SYS_write, number, data, length);
    int kept_errno = errno;
    if (done > 0)
        note('W', number, offset, data, done, done);
    pthread_mutex_unlock(&lock);
    errno = kept_errno;
    return done;
}

ssize_t write(int number, const void *data, size_t length) {
    return written(number, data, length, 0, 0);
}
ssize_t pwrite(int number, const void *data, size_t length, off_t offset) {
    return written(number, data, length, offset, 1);
}
ssize_t pwrite64(int number, const void *data, size_t length, off64_t offset) {
    return written(number, data, length, offset, 1);
}

static int truncated(int number, off64_t length) {
    pthread_mutex_lock(&lock);
    int failed = syscall(SYS_ftruncate, number, length);
    if (!failed && is_watched(number))
        note('T', number, length, 0, 0, 0);
    pthread_mutex_unlock(&lock);
    return failed;
}

int ftruncate(int number, off_t length) { return truncated(number, length); }
int ftruncate64(int number, off64_t length) { return truncated(number, length); }

static int synced(int number, long call) {
    if (!is_watched(number))
        return syscall(call, number);
    /* Not under the lock: writes go on meanwhile. What was written before this call is synced. */
    pthread_mutex_lock(&lock);
    int fails = (watched[number] == A_FILE && fail_sync && ++syncs == fail_sync) ||
                (watched[number] == THE_FOLDER && fail_folder && ++folder_syncs == fail_folder);
    note('B', number, 0, 0, 0, 0);
    pthread_mutex_unlock(&lock);
    if (fails) {
        errno = EIO;
        return -1;
    }
    int failed = syscall(call, number);
    int kept_errno = errno;
    if (!failed) {
        pthread_mutex_lock(&lock);
        note('S', number, 0, 0, 0, 0);
        pthread_mutex_unlock(&lock);
    }
    errno = kept_errno;
    return failed;
}

int fsync(int number) { return synced(number, SYS_fsync); }
int fdatasync(int number) { return synced(number, SYS_fdatasync); }

int close(int number) {
    if (!is_watched(number))
        return syscall(SYS_close, number);
    pthread_mutex_lock(&lock);
    watched[number] = 0;
    if (fail_next == number)
        fail_next = -1;
    note('C', number, 0, 0, 0, 0);
    int failed = syscall(SYS_close, number);
    pthread_mutex_unlock(&lock);
    return failed;
}

int rename(const char *from, const char *to) {
    char names[2 * LONGEST + 1], other[LONGEST];
    if (!ours(from, names) || !ours(to, other))
        return syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to);
    size_t first = strlen(names) + 1;
    strcpy(names + first, other);
    uint32_t length = first + strlen(other);
    pthread_mutex_lock(&lock);
    int failed = syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to);
    if (!failed)
        note('R', -1, 0, names, length, length);
    pthread_mutex_unlock(&lock);
    return failed;
}

int unlink(const char *path) {
    char whole[LONGEST];
    if (!ours(path, whole))
        return syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    pthread_mutex_lock(&lock);
    int failed = syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    if (!failed)
        note('U', -1, 0, whole, strlen(whole), strlen(whole));
    pthread_mutex_unlock(&lock);
    return failed;
}

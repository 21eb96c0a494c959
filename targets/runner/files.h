/* Small files of the system: one integer of each, and why there is none. Shared by sampler, probe and guard. */
#ifndef MOBENCH_FILES_H
#define MOBENCH_FILES_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FILE_ROOM 8192 /* what is read of one file; /proc/meminfo has 1.5 kB, an ODPM file of 20 rails 1 kB */

/* How a file answers. `missing`: never there; `gone`: was there, its device is not; `no_number`: reads otherwise. */
typedef enum { FILE_OK, FILE_DENIED, FILE_MISSING, FILE_GONE, FILE_NO_NUMBER } FileState;

static const char *const FILE_STATES[] = {"ok", "denied", "missing", "gone", "no_number"};

static inline int64_t clock_ns(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static inline FileState file_state(int error, bool was_there) {
    if (error == EACCES || error == EPERM) return FILE_DENIED;
    if (error == ENOENT || error == ENOTDIR) return was_there ? FILE_GONE : FILE_MISSING;
    if (error == ENODEV || error == ENXIO || error == ESRCH) return FILE_GONE;
    return FILE_NO_NUMBER;
}

/* The integer at the start of a text, or behind the first `after` in it, times `scale`. A fraction is no integer. */
static inline bool file_number(const char *text, const char *after, int64_t scale, int64_t *value) {
    if (after != NULL) {
        text = strstr(text, after);
        if (text == NULL) return false;
        text += strlen(after);
    }
    while (*text == ' ' || *text == '\t' || (after == NULL && *text == '\n')) text++;
    const bool negative = *text == '-';
    if (negative || *text == '+') text++;
    if (*text < '0' || *text > '9') return false;
    int64_t number = 0;
    for (; *text >= '0' && *text <= '9'; text++)
        if (__builtin_mul_overflow(number, 10, &number) || __builtin_sub_overflow(number, *text - '0', &number))
            return false;
    if (*text == '.' || (after == NULL && strchr(" \t\r\n", *text) == NULL)) return false;
    if (!negative && __builtin_sub_overflow(0, number, &number)) return false;
    return !__builtin_mul_overflow(number, scale, value);
}

/* The text of an open file, from its start; its length, or -1 with errno. */
static inline ssize_t file_text(int fd, char *text, size_t room) {
    const ssize_t count = pread(fd, text, room - 1, 0);
    text[count > 0 ? count : 0] = '\0';
    return count;
}

static inline FileState file_read(const char *path, const char *after, int64_t scale, int64_t *value) {
    char text[FILE_ROOM];
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    const ssize_t count = fd < 0 ? -1 : file_text(fd, text, sizeof text);
    const int error = errno;
    if (fd >= 0) close(fd);
    if (count < 0) return file_state(error, false);
    return file_number(text, after, scale, value) ? FILE_OK : FILE_NO_NUMBER;
}

/* The code for a file that cannot be written. */
static inline const char *file_code(int error) {
    return error == ENOSPC || error == EDQUOT || error == EFBIG ? "full_disk" : "write_failed";
}

/* Say so on stderr, and why; 3, the exit status for that. */
static inline int file_unwritten(const char *path, int error) {
    fprintf(stderr, "%s: cannot write %s: %s\n", file_code(error), path, strerror(error));
    return 3;
}

#endif

/* Coverage-guided fuzzing of what reads a job: JSON, members, bounds. Run by hand (Debian: clang-14, libclang-rt-14-dev):
 *
 *   clang-14 -g -O1 -std=gnu11 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -D_GNU_SOURCE \
 *     '-DMOBENCH_VERSION="0"' '-DMOBENCH_BUILD="fuzzed"' -Itargets/runner \
 *     "-I$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/include" \
 *     tests/fuzz/fuzz_job.c -o /tmp/fuzz_job
 *   /tmp/fuzz_job -max_total_time=600 -max_len=8192
 *
 * A finding is any report of a sanitizer, and a job that is taken although it asks for nothing. A launch leaves its memory
 * to the kernel; here it is given back when an input is done.
 */
#include <setjmp.h>
#include <stdlib.h>
#include <sys/mman.h>

static void *taken[1 << 16];
static size_t count;

static void *keep(void *memory) {
    if (memory != NULL && count < sizeof taken / sizeof *taken) taken[count++] = memory;
    return memory;
}

/* The reader asks for room for the largest job, which ASan would poison each time; an input here is small. */
#define malloc(size) keep(malloc((size) < 1 << 20 ? (size) : 1 << 20))
#define calloc(n, size) keep(calloc(n, size))
#define free(memory) ((void)(memory))

#include "../../targets/runner/job.c"

static jmp_buf refused;

void start_event(const char *job_id) { if (strlen(job_id) == SIZE_MAX) abort(); }
int cpus_of_cluster(bool fastest, int *cpus) { return cpus[0] = 0, fastest; }

_Noreturn void fail(const char *code, const char *format, ...) {
    char text[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (*code == '\0' || *text == '\0') abort();
    longjmp(refused, 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static Job job;
    static int file = -1;
    char path[64];
    if (file < 0) file = memfd_create("job", 0);
    if (ftruncate(file, 0) != 0 || pwrite(file, data, size, 0) != (ssize_t)size) abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    if (setjmp(refused) == 0) {
        read_job(path, &job);
        if (!job.has_work && job.n_scores == 0) abort(); /* it would have been refused */
        for (int i = 0; i < job.n_talks; i++)
            if (job.talks[i].turns <= 0 || (job.talks[i].added == NULL) == (job.talks[i].pieces == NULL)) abort();
    }
    while (count > 0) (free)(taken[--count]);
    return 0;
}

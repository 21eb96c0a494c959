/* Memory marks of this process. `mark_edge` may stand between windows: it copies a text and resets a mark (7 µs). */
#include "runner.h"

#ifdef __APPLE__
#include <mach/mach.h>

void mark_open(void) {}
void mark_reset(void) {}

/* The only mark there: the footprint that the system ends a process for. */
void mark_edge(Mark *mark) {
    task_vm_info_data_t info;
    mach_msg_type_number_t count = TASK_VM_INFO_COUNT;
    const kern_return_t status = task_info(mach_task_self(), TASK_VM_INFO, (task_info_t)&info, &count);
    mark->footprint = status == KERN_SUCCESS ? (int64_t)info.phys_footprint : 0;
}
#else
static int status = -1, clear_refs = -1;

void mark_open(void) {
    status = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    clear_refs = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
}

/* Forget the high-water mark. Where that is not allowed, marks cover the whole process so far. */
void mark_reset(void) {
    if (clear_refs >= 0 && pwrite(clear_refs, "5", 1, 0) != 1) {
        close(clear_refs);
        clear_refs = -1;
    }
}

void mark_edge(Mark *mark) {
    if (status < 0) return;
    file_text(status, mark->text, sizeof mark->text);
    mark_reset();
}
#endif

static void memory_event(int64_t t, int64_t pass, const char *phase, const char *method, int64_t bytes) {
    json_put(event("memory", 0),
             ",\"t\":%" PRId64 ",\"pass\":%" PRId64 ",\"phase\":\"%s\",\"method\":\"%s\",\"bytes\":%" PRId64, t, pass, phase,
             method, bytes);
    emit();
}

void mark_events(const Mark *mark, int64_t t, int64_t pass, const char *phase) {
    static const char *const methods[] = {"VmHWM", "VmRSS"};
    int64_t bytes;
    if (mark->footprint > 0) memory_event(t, pass, phase, "phys_footprint", mark->footprint);
    for (int i = 0; i < 2; i++) {
        char key[32];
        snprintf(key, sizeof key, "%s:", methods[i]);
        if (file_number(mark->text, key, 1024, &bytes) && bytes > 0) memory_event(t, pass, phase, methods[i], bytes);
    }
}

/* PSS walks the page tables and takes milliseconds: outside windows only. */
void mark_pss(int64_t t, int64_t pass, const char *phase) {
    int64_t bytes;
    if (file_read("/proc/self/smaps_rollup", "\nPss:", 1024, &bytes) == FILE_OK) memory_event(t, pass, phase, "Pss", bytes);
}

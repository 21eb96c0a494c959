/* --probe [--root DIR] [PATH]: what this device is and what can be read on it, as one JSON object on stdout.
 *
 * In: /proc and /sys (below DIR in tests), and the file system of PATH. Out: processor features, CPUs and clusters, memory,
 * page size, kernel, free space, and each sensor with its first reading or the reason why it has none. Nothing is guessed:
 * units are those of the kernel's documentation, and some vendors do not keep to them.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <glob.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>

#include "files.h"
#include "json.h"

enum { ROOM = 1 << 20, CPUS = 1024, PATH_ROOM = 1024 };

typedef struct {
    const char *kind, *pattern, *unit;
} Family;

static const Family FAMILIES[] = {
    {"thermal", "/sys/class/thermal/thermal_zone*/temp", "m°C"},
    {"power_supply", "/sys/class/power_supply/*/current_now", "µA"},
    {"power_supply", "/sys/class/power_supply/*/current_avg", "µA"},
    {"power_supply", "/sys/class/power_supply/*/voltage_now", "µV"},
    {"power_supply", "/sys/class/power_supply/*/power_now", "µW"},
    {"power_supply", "/sys/class/power_supply/*/charge_counter", "µAh"},
    {"power_supply", "/sys/class/power_supply/*/charge_now", "µAh"},
    {"power_supply", "/sys/class/power_supply/*/energy_now", "µWh"},
    {"power_supply", "/sys/class/power_supply/*/capacity", "%"},
    {"power_supply", "/sys/class/power_supply/*/temp", "d°C"},
    {"power_supply", "/sys/class/power_supply/*/online", "1"},
    {"hwmon", "/sys/class/hwmon/hwmon*/temp*_input", "m°C"},
    {"hwmon", "/sys/class/hwmon/hwmon*/in[0-9]*_input", "mV"},
    {"hwmon", "/sys/class/hwmon/hwmon*/curr*_input", "mA"},
    {"hwmon", "/sys/class/hwmon/hwmon*/power*_input", "µW"},
    {"hwmon", "/sys/class/hwmon/hwmon*/power*_average", "µW"},
    {"hwmon", "/sys/class/hwmon/hwmon*/energy*_input", "µJ"},
    {"ina3221", "/sys/bus/i2c/drivers/ina3221x/*/iio:device*/in_voltage*_input", "mV"},
    {"ina3221", "/sys/bus/i2c/drivers/ina3221x/*/iio:device*/in_current*_input", "mA"},
    {"ina3221", "/sys/bus/i2c/drivers/ina3221x/*/iio:device*/in_power*_input", "mW"},
    {"iio", "/sys/bus/iio/devices/iio:device*/energy_value", "µJ"},
    {"cpufreq", "/sys/devices/system/cpu/cpufreq/policy*/scaling_cur_freq", "kHz"},
    {"devfreq", "/sys/class/devfreq/*/cur_freq", "Hz"},
    {"gpu", "/sys/class/kgsl/kgsl-3d0/gpuclk", "Hz"},
    {"gpu", "/sys/class/kgsl/kgsl-3d0/gpu_busy_percentage", "%"},
    {"rapl", "/sys/class/powercap/*:*/energy_uj", "µJ"},
};

static char room[ROOM];
static JsonOut out = {.text = room, .room = ROOM};
static const char *root = "";

/* The text of a file below the root, without the white space at its end; NULL where it cannot be read. */
static const char *text_at(const char *path, char *text, size_t size) {
    char whole[PATH_ROOM];
    if (snprintf(whole, sizeof whole, "%s%s", root, path) >= (int)sizeof whole) return NULL;
    const int fd = open(whole, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t length = fd < 0 ? -1 : file_text(fd, text, size);
    if (fd >= 0) close(fd);
    while (length > 0 && strchr(" \t\r\n", text[length - 1]) != NULL) text[--length] = '\0';
    return length > 0 ? text : NULL;
}

static bool number_at(const char *path, int64_t *value) {
    char whole[PATH_ROOM];
    const bool fits = snprintf(whole, sizeof whole, "%s%s", root, path) < (int)sizeof whole;
    return fits && file_read(whole, NULL, 1, value) == FILE_OK;
}

/* The words of the first line that starts with `name` and a colon, as a list. */
static void put_words(const char *text, const char *name) {
    const size_t length = strlen(name);
    for (const char *line = text; line != NULL; line = strchr(line, '\n'), line += line != NULL) {
        if (strncmp(line, name, length) != 0 || line[length + strspn(line + length, " \t")] != ':') continue;
        const char *at = strchr(line, ':') + 1;
        for (bool first = true;; first = false) {
            at += strspn(at, " \t");
            const size_t word = strcspn(at, " \t\n");
            if (word == 0) return;
            char copy[64];
            snprintf(copy, sizeof copy, "%.*s", (int)word, at);
            if (!first) json_put(&out, ",");
            json_put_string(&out, copy);
            at += word;
        }
    }
}

/* A list such as 0-3,5 as flags; the number after the last. */
static int cpus_of(const char *text, bool *flags) {
    int last = -1;
    for (char *at = (char *)text; at != NULL && *at >= '0' && *at <= '9'; at += *at == ',') {
        const long from = strtol(at, &at, 10), to = *at == '-' ? strtol(at + 1, &at, 10) : from;
        for (long cpu = from; cpu <= to && cpu < CPUS; cpu++) {
            flags[cpu] = true;
            last = cpu > last ? (int)cpu : last;
        }
    }
    return last + 1;
}

static void put_cpus(const bool *flags, int count) {
    const char *comma = "";
    json_put(&out, "[");
    for (int cpu = 0; cpu < count; cpu++) {
        if (!flags[cpu]) continue;
        json_put(&out, "%s%d", comma, cpu);
        comma = ",";
    }
    json_put(&out, "]");
}

/* CPUs of one maximum frequency (of one capacity where that is not told) are a cluster; the fastest first. */
static void put_clusters(const bool *present, int count) {
    static int64_t speed[CPUS];
    static bool clocked[CPUS];
    for (int cpu = 0; cpu < count; cpu++) {
        char path[96];
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/cpufreq/cpuinfo_max_freq", cpu);
        clocked[cpu] = number_at(path, &speed[cpu]);
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/cpu_capacity", cpu);
        if (!clocked[cpu] && !number_at(path, &speed[cpu])) speed[cpu] = 0;
    }
    json_put(&out, ",\"clusters\":[");
    const char *comma = "";
    for (int64_t below = INT64_MAX;;) {
        int64_t fastest = -1;
        bool members[CPUS] = {false}, by_clock = false;
        for (int cpu = 0; cpu < count; cpu++)
            if (present[cpu] && speed[cpu] < below && speed[cpu] > fastest) fastest = speed[cpu];
        if (fastest < 0) break;
        for (int cpu = 0; cpu < count; cpu++) {
            members[cpu] = present[cpu] && speed[cpu] == fastest;
            by_clock |= members[cpu] && clocked[cpu];
        }
        json_put(&out, "%s{\"cpus\":", comma);
        put_cpus(members, count);
        if (fastest == 0) json_put(&out, ",\"max_khz\":null}");
        else json_put(&out, ",\"%s\":%" PRId64 "}", by_clock ? "max_khz" : "capacity", fastest);
        below = fastest;
        comma = ",";
    }
    json_put(&out, "]");
}

static void put_sensor(const char *kind, const char *path, const char *name, const char *label, const char *unit,
                       const char *after) {
    static bool any;
    int64_t value = 0;
    char whole[PATH_ROOM];
    snprintf(whole, sizeof whole, "%s%s", root, path);
    const FileState state = file_read(whole, after, 1, &value);
    json_put(&out, "%s\n{\"kind\":\"%s\",\"path\":", any ? "," : "", kind);
    any = true;
    json_put_string(&out, path);
    json_put_member(&out, "name", name);
    json_put_member(&out, "label", label);
    json_put(&out, ",\"unit\":\"%s\"", unit);
    json_put_member(&out, "after", after);
    if (state == FILE_OK) json_put(&out, ",\"state\":\"ok\",\"value\":%" PRId64 "}", value);
    else json_put(&out, ",\"state\":\"%s\",\"value\":null}", FILE_STATES[state]);
}

/* Rails of an on-device power monitor, lines such as `CH3(T=349894)[S2M_VDD_CPUCL2], 30203502`. */
static void put_rails(const char *path, const char *name, const char *unit) {
    char text[FILE_ROOM];
    const char *at = text_at(path, text, sizeof text);
    if (at == NULL) put_sensor("iio", path, name, NULL, unit, NULL);
    while (at != NULL && (at = strchr(at, '[')) != NULL) {
        char after[96];
        const size_t length = strcspn(at, "]\n");
        if (at[length] == ']' && at[length + 1] == ',' && length + 3 < sizeof after) {
            snprintf(after, sizeof after, "%.*s],", (int)length, at);
            char label[96];
            snprintf(label, sizeof label, "%.*s", (int)length - 1, at + 1);
            put_sensor("iio", path, name, label, unit, after);
        }
        at += length;
    }
}

/* What a file is called: `name` and `type` beside it, and a label such as temp1_label or rail_name_0. */
static void put_file(const Family *family, const char *path) {
    char name[256], label[256], beside[PATH_ROOM];
    const char *slash = strrchr(path, '/'), *file = slash + 1, *called = NULL, *labelled = NULL;
    static const char *const names[] = {"type", "name", "device/name"};
    const int folder = (int)(slash - path);
    for (int i = 0; i < 3 && called == NULL; i++) {
        snprintf(beside, sizeof beside, "%.*s/%s", folder, path, names[i]);
        called = text_at(beside, name, sizeof name);
    }
    if (strcmp(family->kind, "iio") == 0) {
        put_rails(path, called, family->unit);
        return;
    }
    const char *under = strrchr(file, '_');
    if (strcmp(family->kind, "hwmon") == 0) {
        snprintf(beside, sizeof beside, "%.*s_label", (int)(under - path), path);
        labelled = text_at(beside, label, sizeof label);
    } else if (strcmp(family->kind, "ina3221") == 0) {
        snprintf(beside, sizeof beside, "%.*s/rail_name_%.*s", folder, path, 1, under - 1);
        labelled = text_at(beside, label, sizeof label);
    } else {
        const char *start = slash;
        while (start > path && start[-1] != '/') start--;
        snprintf(label, sizeof label, "%.*s", (int)(slash - start), start);
        labelled = label;
    }
    put_sensor(family->kind, path, called, labelled, family->unit, NULL);
}

static void put_sensors(void) {
    json_put(&out, ",\"sensors\":[");
    for (size_t i = 0; i < sizeof FAMILIES / sizeof *FAMILIES; i++) {
        char pattern[PATH_ROOM];
        glob_t found;
        snprintf(pattern, sizeof pattern, "%s%s", root, FAMILIES[i].pattern);
        if (glob(pattern, 0, NULL, &found) != 0) continue;
        for (size_t k = 0; k < found.gl_pathc; k++)
            if (strlen(found.gl_pathv[k]) < PATH_ROOM) put_file(&FAMILIES[i], found.gl_pathv[k] + strlen(root));
        globfree(&found);
    }
    json_put(&out, "]");
}

int probe_main(int argc, char **argv) {
    static char text[1 << 16];
    bool present[CPUS] = {false};
    int at = 2;
    if (argc > 3 && strcmp(argv[2], "--root") == 0) {
        root = argv[3];
        at = 4;
    }
    const bool plain = strpbrk(root, "*?[\\") == NULL && strlen(root) <= PATH_ROOM / 2;
    if (argc > at + 1 || (argc > at && argv[at][0] == '-') || !plain)
        return fputs("usage: mobench-runner --probe [--root DIR] [PATH]\n", stderr), 2;
    struct utsname system;
    uname(&system);
    json_put(&out, "{\"e\":\"probe\",\"version\":1,\"kernel\":");
    const char *kernel = text_at("/proc/sys/kernel/osrelease", text, sizeof text);
    json_put_string(&out, kernel != NULL ? kernel : system.release);
    json_put(&out, ",\"machine\":\"%s\",\"page_size\":%ld,\"mem_total\":", system.machine, sysconf(_SC_PAGESIZE));
    int64_t kib = 0;
    const char *memory = text_at("/proc/meminfo", text, sizeof text);
    if (memory != NULL && file_number(memory, "MemTotal:", 1024, &kib)) json_put(&out, "%" PRId64, kib);
    else json_put(&out, "null");
    json_put(&out, ",\"features\":[");
    const char *info = text_at("/proc/cpuinfo", text, sizeof text);
    const bool arm = info != NULL && (strstr(info, "\nFeatures") != NULL || strncmp(info, "Features", 8) == 0);
    if (info != NULL) put_words(info, arm ? "Features" : "flags");
    json_put(&out, "],\"cpus_online\":");
    const int count = cpus_of(text_at("/sys/devices/system/cpu/online", text, sizeof text), present);
    put_cpus(present, count);
    put_clusters(present, count);
    if (argc > at) {
        struct statvfs space;
        json_put(&out, ",\"space\":{\"path\":");
        json_put_string(&out, argv[at]);
        if (statvfs(argv[at], &space) == 0)
            json_put(&out, ",\"free\":%llu,\"total\":%llu}", (unsigned long long)space.f_bavail * space.f_frsize,
                     (unsigned long long)space.f_blocks * space.f_frsize);
        else json_put(&out, ",\"free\":null,\"total\":null}");
    }
    put_sensors();
    json_put(&out, "}\n");
    if (out.full) return fputs("the answer is longer than 1 MiB\n", stderr), 1;
    return fputs(room, stdout) < 0 || fflush(stdout) != 0 ? 3 : 0;
}

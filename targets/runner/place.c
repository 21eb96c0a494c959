/* Where the process runs: clusters of cpus by speed, and an affinity that is set and read back. */
#include "runner.h"

#include <sched.h>

/* The first number of a file about a cpu. */
static int64_t cpu_file(int cpu, const char *rest, int64_t missing) {
    char path[128];
    int64_t value = 0;
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/%s", cpu, rest);
    return file_read(path, "", 1, &value) == FILE_OK ? value : missing;
}

#ifdef __linux__
/* The cpus that this process may use. */
static int allowed(int *cpus) {
    cpu_set_t set;
    int count = 0;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) != 0) return 0;
    for (int cpu = 0; cpu < CPU_SETSIZE && count < MAX_CPUS; cpu++)
        if (CPU_ISSET(cpu, &set)) cpus[count++] = cpu;
    return count;
}

void place(Job *job) {
    if (job->n_cpus >= 0) {
        cpu_set_t set, bound;
        CPU_ZERO(&set);
        for (int i = 0; i < job->n_cpus; i++) CPU_SET(job->cpus[i], &set);
        if (sched_setaffinity(0, sizeof set, &set) != 0) fail("affinity_failed", "cannot bind: %s", strerror(errno));
        if (sched_getaffinity(0, sizeof bound, &bound) != 0 || !CPU_EQUAL(&set, &bound))
            fail("affinity_failed", "asked for %d cpus, bound to %d, or to others", CPU_COUNT(&set), CPU_COUNT(&bound));
    }
    job->n_cpus = allowed(job->cpus);
}
#else
static int allowed(int *cpus) { return (void)cpus, 0; }

void place(Job *job) {
    if (job->n_cpus >= 0) fail("affinity_failed", "this system cannot bind a process to cpus");
}
#endif

int cpus_of_cluster(bool fastest, int *cpus) {
    int all[MAX_CPUS], count = allowed(all), found = 0;
    int64_t speeds[MAX_CPUS], best = 0, other = 0;
    for (int i = 0; i < count; i++) {
        speeds[i] = cpu_file(all[i], "cpufreq/cpuinfo_max_freq", 0);
        if (speeds[i] == 0) speeds[i] = cpu_file(all[i], "cpu_capacity", 0);
        if (i == 0 || (fastest ? speeds[i] > best : speeds[i] < best)) best = speeds[i];
    }
    for (int i = 0; i < count; i++) {
        if (speeds[i] == best) cpus[found++] = all[i];
        else other++;
    }
    return fastest || other > 0 ? found : 0; /* cores of one kind are big ones, and there are no little ones */
}

/* How many cores the cpus have, two hyper-threads being one core: told apart by the first thread of a core, for numbers
 * of cores begin anew in each cluster of a phone. */
int physical_cores(const Job *job) {
    int64_t seen[MAX_CPUS];
    int count = 0;
    for (int i = 0; i < job->n_cpus; i++) {
        const int64_t core = cpu_file(job->cpus[i], "topology/thread_siblings_list", -1);
        if (core < 0) return job->n_cpus;
        int j = 0;
        while (j < count && seen[j] != core) j++;
        if (j == count) seen[count++] = core;
    }
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    return count > 0 ? count : online > 0 ? (int)online : 1;
}

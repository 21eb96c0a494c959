/* The side tools of the measuring runner around the fake instrument: `--guard`, `--gate` and `--sample` are the real ones,
 * a job is done by a Python script (PYTHON, SCRIPT). Builds in a second, without llama.cpp. */
#include <string.h>
#include <unistd.h>

int sample_main(int argc, char **argv);
int guard_main(int argc, char **argv);

int main(int argc, char **argv) {
    const char *verb = argc > 1 ? argv[1] : "";
    if (strcmp(verb, "--sample") == 0) return sample_main(argc, argv);
    if (strcmp(verb, "--guard") == 0 || strcmp(verb, "--gate") == 0) return guard_main(argc, argv);
    if (argc != 3) return 2;
    execv(PYTHON, (char *[]){(char *)PYTHON, (char *)"-I", (char *)"-S", (char *)SCRIPT, argv[1], argv[2], NULL});
    return 127;
}

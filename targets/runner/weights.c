/* The weights: whether the file is what the job says, before the engine reads it. */
#include "runner.h"

#include <sys/stat.h>

#include "gguf.h"

#ifdef __APPLE__
#define st_mtim st_mtimespec
#define st_ctim st_ctimespec
#endif

static void check_gguf(const char *path, int fd, int64_t size) {
    struct {
        char magic[4];
        uint32_t version;
        uint64_t tensors, pairs;
    } head = {0}; /* little endian, as every processor that this is built for */
    const ssize_t count = pread(fd, &head, sizeof head, 0);
    if (count < 4 || memcmp(head.magic, "GGUF", 4) != 0)
        fail("model_not_gguf", "%s is not a GGUF file: %s", path, size == 0 ? "empty" : "it begins otherwise");
    if (count >= 8 && head.version != 2 && head.version != 3)
        fail("model_version", "%s is GGUF version %" PRIu32 "; versions 2 and 3 can be read", path, head.version);
    if (head.tensors > (uint64_t)size || head.pairs > (uint64_t)size)
        fail("model_not_gguf", "%s is damaged: its header counts more entries than it has bytes", path);
    struct gguf_context *file = gguf_init_from_file(path, (struct gguf_init_params){.no_alloc = true});
    if (file == NULL) fail("model_truncated", "the header of %s is damaged or cut off; copy it again", path);
    const int64_t tensors = gguf_get_n_tensors(file), data = (int64_t)gguf_get_data_offset(file);
    int64_t end = data;
    for (int64_t i = 0; i < tensors; i++) {
        const int64_t stop = data + (int64_t)gguf_get_tensor_offset(file, i) + (int64_t)gguf_get_tensor_size(file, i);
        if (stop > end) end = stop;
    }
    gguf_free(file);
    if (tensors > 0 && end > size)
        fail("model_truncated", "%s is cut off: its tensors end at byte %" PRId64 ", the file has %" PRId64
             " bytes; copy it again", path, end, size);
}

/* ---- SHA-256 (FIPS 180-4) */

static const uint32_t K[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01,
    0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc,
    0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
    0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08,
    0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
    0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t turn(uint32_t x, int n) { return x >> n | x << (32 - n); }

static void compress(uint32_t *state, const uint8_t *p) {
    uint32_t w[64], v[8];
    for (int i = 0; i < 16; i++, p += 4) w[i] = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
    for (int i = 16; i < 64; i++) {
        const uint32_t a = w[i - 15], b = w[i - 2];
        w[i] = w[i - 16] + w[i - 7] + (turn(a, 7) ^ turn(a, 18) ^ a >> 3) + (turn(b, 17) ^ turn(b, 19) ^ b >> 10);
    }
    memcpy(v, state, sizeof v);
    for (int i = 0; i < 64; i++) {
        const uint32_t one = (turn(v[4], 6) ^ turn(v[4], 11) ^ turn(v[4], 25)) + ((v[4] & v[5]) ^ (~v[4] & v[6])) + v[7];
        const uint32_t two = (turn(v[0], 2) ^ turn(v[0], 13) ^ turn(v[0], 22)) + ((v[0] & (v[1] ^ v[2])) ^ (v[1] & v[2]));
        memmove(v + 1, v, 7 * sizeof *v);
        v[4] += one + K[i] + w[i];
        v[0] = one + K[i] + w[i] + two;
    }
    for (int i = 0; i < 8; i++) state[i] += v[i];
}

static void digest(const char *path, int fd, char hex[65]) {
    enum { ROOM = 1 << 20 };
    uint32_t state[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    uint8_t *data = need(malloc(ROOM + 128));
    uint64_t total = 0;
    size_t held = 0, done;
    for (ssize_t count; (count = read(fd, data + held, ROOM - held)) != 0;) {
        if (count < 0) fail("model_missing", "%s cannot be read: %s", path, strerror(errno));
        check_cancelled();
        total += (uint64_t)count;
        held += (size_t)count;
        for (done = 0; held - done >= 64; done += 64) compress(state, data + done);
        memmove(data, data + done, held -= done);
    }
    /* the end: a bit, noughts, and the length in bits as the last 8 bytes of a block */
    const size_t end = held < 56 ? 64 : 128;
    memset(data + held, 0, end - held);
    data[held] = 0x80;
    for (int i = 0; i < 8; i++) data[end - 8 + (size_t)i] = (uint8_t)(total * 8 >> (56 - 8 * i));
    for (done = 0; done < end; done += 64) compress(state, data + done);
    for (int i = 0; i < 8; i++) snprintf(hex + (size_t)8 * i, 9, "%08" PRIx32, state[i]);
    free(data);
}

/* A digest is kept beside the weights, for gigabytes take seconds: it holds while size, inode and both times do. */
static void kept_digest(const char *path, int fd, const struct stat *about, char hex[65]) {
    char place[4096], mark[128], text[256] = "";
    const struct timespec made = about->st_mtim, changed = about->st_ctim;
    snprintf(mark, sizeof mark, " %lld %lld %lld.%09ld %lld.%09ld\n", (long long)about->st_size,
             (long long)about->st_ino, (long long)made.tv_sec, (long)made.tv_nsec, (long long)changed.tv_sec,
             (long)changed.tv_nsec);
    const bool fits = snprintf(place, sizeof place, "%s.mobench-sha256", path) < (int)sizeof place;
    const int known = fits ? open(place, O_RDONLY | O_CLOEXEC) : -1;
    if (known >= 0) {
        const bool whole = file_text(known, text, sizeof text) > 64 && strspn(text, "0123456789abcdef") == 64;
        close(known);
        snprintf(hex, 65, "%.64s", text);
        if (whole && strcmp(text + 64, mark) == 0) return;
    }
    digest(path, fd, hex);
    const int keep = fits ? open(place, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644) : -1;
    if (keep < 0) return; /* a folder that cannot be written: the next launch reads the weights again */
    const int length = snprintf(text, sizeof text, "%s%s", hex, mark);
    if (write(keep, text, (size_t)length) != length) unlink(place);
    close(keep);
}

void verify(const Job *job, char sha256[65]) {
    struct stat about;
    const int fd = open(job->model, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &about) != 0) fail("model_missing", "%s cannot be read: %s", job->model, strerror(errno));
    if (S_ISDIR(about.st_mode)) fail("model_missing", "%s is a folder, not a GGUF file", job->model);
    check_gguf(job->model, fd, about.st_size);
    if (job->model_size != UNSET && job->model_size != about.st_size)
        fail("model_changed", "%s has %lld bytes, the job says %" PRId64, job->model, (long long)about.st_size,
             job->model_size);
    kept_digest(job->model, fd, &about, sha256);
    close(fd);
    if (job->sha256 != NULL && strcmp(job->sha256, sha256) != 0)
        fail("model_changed", "%s has sha256 %s, the job says %s", job->model, sha256, job->sha256);
}

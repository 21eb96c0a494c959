/* Log-likelihood of continuations: natural logarithms in double, summed over the continuation's tokens. */
#include "runner.h"

/* Whether a character is white space as Unicode (and Python) has it. */
static bool white(const char *character, size_t size) {
    const unsigned char *s = (const unsigned char *)character;
    const unsigned code = size == 1 ? s[0] : size == 2 ? (s[0] & 31u) << 6 | (s[1] & 63u)
                          : size == 3 ? (s[0] & 15u) << 12 | (s[1] & 63u) << 6 | (s[2] & 63u) : 0;
    return (code >= 9 && code <= 13) || (code >= 0x1C && code <= 0x20) || code == 0x85 || code == 0xA0 || code == 0x1680 ||
           (code >= 0x2000 && code <= 0x200A) || code == 0x2028 || code == 0x2029 || code == 0x202F || code == 0x205F ||
           code == 0x3000;
}

size_t stripped(const char *text, size_t length) {
    while (length > 0) {
        size_t start = length - 1;
        while (start > 0 && (text[start] & 0xC0) == 0x80) start--;
        if (!white(text + start, length - start)) break;
        length = start;
    }
    return length;
}

const char *unindented(const char *text) {
    for (int size; *text != '\0' && (size = json_sequence(text)) > 0; text += size)
        if (!white(text, (size_t)size)) break;
    return text;
}

/* Tokens of prompt and continuation together, of which `*prompt` are the prompt's. Blanks at the prompt's end belong to
 * the continuation, so a text has the tokens that it would have in running text. */
static void split(const ScoreText *text, const Engine *engine, Tokens *all, int *prompt) {
    size_t head = strlen(text->prompt), length = head + strlen(text->continuation);
    char *whole = need(malloc(length + 1));
    memcpy(whole, text->prompt, head);
    memcpy(whole + head, text->continuation, length - head + 1);
    head = stripped(whole, head);
    const char kept = whole[head];
    whole[head] = '\0';
    all->count = 0;
    tokenize(engine, whole, true, all);
    *prompt = all->count;
    whole[head] = kept;
    all->count = 0;
    if (*prompt == 0) { /* an empty prompt, and no opening token: something must come before the first scored token */
        grow(all, 1);
        all->ids[all->count++] = engine->bos;
        *prompt = 1;
    }
    tokenize(engine, whole, true, all);
    free(whole);
    if (all->count <= *prompt) fail("bad_job", "the score '%s' has an empty continuation", text->id);
}

int64_t score_tokens(const Job *job, const Engine *engine) {
    Tokens all = {0};
    int prompt, most = 0;
    for (int i = 0; i < job->n_scores; i++) {
        split(&job->scores[i], engine, &all, &prompt);
        if (all.count > most) most = all.count;
    }
    free(all.ids);
    return most;
}

static double likelihood(const float *logits, int count, llama_token token, bool *best) {
    double highest = logits[0], sum = 0;
    for (int i = 1; i < count; i++)
        if (logits[i] > highest) highest = logits[i];
    for (int i = 0; i < count; i++) sum += exp(logits[i] - highest);
    *best = *best && logits[token] == highest;
    return logits[token] - highest - log(sum);
}

void score(const Job *job, const Engine *engine) {
    Tokens all = {0}, before = {0};
    struct llama_batch batch = llama_batch_init(engine->batch, 0, 1);
    llama_memory_clear(llama_get_memory(engine->context), false);
    for (int i = 0; i < job->n_scores; i++) {
        int prompt, same = 0;
        split(&job->scores[i], engine, &all, &prompt);
        const int first = prompt - 1; /* its logits tell about the first token of the continuation */
        while (same < before.count && same < first && before.ids[same] == all.ids[same]) same++;
        const int64_t start = now_ns();
        if (before.count > same && !keep_tokens(engine, same)) {
            llama_memory_clear(llama_get_memory(engine->context), false);
            same = 0;
        }
        double total = 0;
        bool greedy = true;
        for (int at = same; at < all.count - 1; at += engine->batch) {
            batch.n_tokens = all.count - 1 - at < engine->batch ? all.count - 1 - at : engine->batch;
            for (int j = 0; j < batch.n_tokens; j++) {
                batch.token[j] = all.ids[at + j];
                batch.pos[j] = at + j;
                batch.n_seq_id[j] = 1;
                batch.seq_id[j][0] = 0;
                batch.logits[j] = (int8_t)(at + j >= first);
            }
            const int status = llama_decode(engine->context, batch);
            if (status != 0) decode_failed(engine, status);
            for (int j = first > at ? first - at : 0; j < batch.n_tokens; j++)
                total += likelihood(llama_get_logits_ith(engine->context, j), engine->vocabulary, all.ids[at + j + 1], &greedy);
        }
        if (!isfinite(total)) fail("decode_failed", "the score '%s' is no finite number", job->scores[i].id);
        phase_event(-1, i, "score", start, now_ns());
        JsonOut *out = event("score", 6 * strlen(job->scores[i].id));
        json_put(out, ",\"id\":");
        json_put_string(out, job->scores[i].id);
        json_put(out, ",\"logprob\":%.17g,\"tokens\":%d,\"greedy\":%s", total, all.count - prompt, greedy ? "true" : "false");
        emit();
        const Tokens spare = before;
        before = all;
        before.count--;
        all = spare;
    }
}

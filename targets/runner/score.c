/* Log-likelihood of continuations: natural logarithms in double, summed over the continuation's tokens. */
#include "runner.h"

/* Tokens of prompt and continuation together, of which `*prompt` are the prompt's. Blanks at the prompt's end belong to
 * the continuation, so a text has the tokens that it would have in running text. */
static void split(const ScoreText *text, const Engine *engine, Tokens *all, int *prompt) {
    char *whole = NULL;
    if (asprintf(&whole, "%s%s", text->prompt, text->continuation) < 0) need(NULL);
    const size_t head = stripped(whole, strlen(text->prompt));
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

static double likelihood(const Engine *engine, const float *logits, llama_token token, bool *best) {
    const int count = engine->vocabulary;
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
        same = keep_tokens(engine, before.count, same);
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
            decode(engine, batch);
            for (int j = first > at ? first - at : 0; j < batch.n_tokens; j++)
                total += likelihood(engine, llama_get_logits_ith(engine->context, j), all.ids[at + j + 1], &greedy);
        }
        if (!isfinite(total)) fail("decode_failed", "the score '%s' is no finite number", job->scores[i].id);
        phase_event(-1, i, "score", start, now_ns());
        JsonOut *out = event("score", 6 * strlen(job->scores[i].id));
        json_put_member(out, "id", job->scores[i].id);
        json_put(out, ",\"logprob\":%.17g,\"tokens\":%d,\"greedy\":%s", total, all.count - prompt,
                 greedy ? "true" : "false");
        emit();
        const Tokens spare = before;
        before = all;
        before.count--;
        all = spare;
    }
}

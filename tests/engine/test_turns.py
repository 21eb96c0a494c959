"""Chat templates and the kept KV cache: a later turn must see exactly what a fresh prompt of the same tokens would."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from mobench_lang.engines.llama_cpp import chat, passes, workload
from mobench_lang.engines.llama_cpp.binding import Context, Model
from mobench_lang.engines.llama_cpp.events import Writer
from mobench_lang.engines.llama_cpp.faults import WorkerError
from mobench_lang.engines.llama_cpp.loop import Loop
from mobench_lang.engines.llama_cpp.memory import Marks
from mobench_lang.protocol import Conversation, JobEngine, JobWorkload, Message, Request
from tests.support.gguf_maker import TEMPLATE, make

ENGINE = JobEngine(name="llama_cpp", threads=1)
TURNS = ("hello there", "and then the other", "bye")
# Like several published templates: replies lose what comes before `>`, and blanks around them.
REWRITING = TEMPLATE.replace("{{ message.content }}", "{{ message.content.split('>')[-1] | trim }}").replace(
    "{% for", "{{ messages | length }}{% for", 1
)


class Kept(Writer):
    """A writer that keeps the events instead."""

    def __init__(self) -> None:
        self.events: list[Message] = []

    def emit(self, message: Message) -> None:
        self.events.append(message)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return Model(str(make(tmp_path_factory.mktemp("m") / "m.gguf", seed=3)), ENGINE)


@pytest.fixture(scope="module")
def context(model: Model) -> Iterator[Context]:
    yield Context(model, ENGINE, n_ctx=768, threads=1, threads_batch=1)
    gc.enable()


def talk(model: Model, context: Context, **given: Any) -> tuple[passes.Runner, list[Request]]:
    template = given.pop("template", None)
    work = JobWorkload(conversations=(Conversation(id="c", turns=TURNS),), output_tokens=10, **given)
    runner = passes.Runner(
        model=model, context=context, workload=work, text=passes.script(model, work, template), seed=1, keep_text=True,
        draw=workload.Draw(1, model.n_vocab), out=Kept(), marks=Marks(),
    )  # fmt: skip
    runner.run(0, warmup=True)
    assert isinstance(runner.out, Kept)
    return runner, [e for e in runner.out.events if isinstance(e, Request)]


def test_a_kept_cache_gives_what_a_fresh_prompt_gives(model: Model, context: Context) -> None:
    runner, requests = talk(model, context)
    last = requests[-1]
    assert last.cached_tokens > 0
    fed = runner.cached[: last.cached_tokens + last.prompt_tokens]
    context.clear()
    chain = context.sampler(temperature=0, top_k=0, top_p=1, seed=0, banned=tuple(runner.ends))
    fresh = Loop(context, 10, Marks()).sampled(fed, 10, chain, runner.ends)
    assert fresh.tokens == last.tokens


def test_the_new_part_is_the_tokens_of_the_whole_chat(model: Model, context: Context) -> None:
    """What is added turn by turn is what tokenising the whole conversation at once gives around the replies."""
    added = chat.additions(chat.compile_template(TEMPLATE), TURNS, "", "")
    assert added is not None
    whole = chat.render(chat.compile_template(TEMPLATE), TURNS, ("", ""), "", "")
    assert "".join(added) == whole
    parts = [t for i, text in enumerate(added) for t in model.tokenize(text, first=not i, special=True)]
    assert parts == model.tokenize(whole, first=True, special=True)


def test_a_template_that_rewrites_history_is_rendered_anew(model: Model, context: Context) -> None:
    assert chat.additions(chat.compile_template(REWRITING), TURNS, "", "") is None
    runner, requests = talk(model, context, template=REWRITING)
    for before, after in pairwise(requests):
        assert after.cached_tokens < before.cached_tokens + before.prompt_tokens + 10
    last = requests[-1]
    assert runner.text is not None
    replies = [r.text or "" for r in requests[:-1]]
    whole = chat.render(runner.text.template, TURNS, replies, "<|bos|>", "<|eos|>")
    assert runner.cached[: last.cached_tokens + last.prompt_tokens] == model.tokenize(whole, first=True, special=True)


def test_an_opening_token_is_not_written_twice(model: Model) -> None:
    once = model.tokenize("the", first=True, special=True)
    assert once[0] == model.bos
    assert model.tokenize("<|bos|>the", first=True, special=True) == once


def test_templates_may_refuse(model: Model) -> None:
    refusing = chat.compile_template("{% if messages|length > 1 %}{{ raise_exception('only one turn') }}{% endif %}x")
    with pytest.raises(WorkerError, match="only one turn") as caught:
        chat.additions(refusing, TURNS, "", "")
    assert caught.value.code == "chat_template_failed"
    with pytest.raises(WorkerError, match="not valid"):
        chat.compile_template("{% if %}")


def test_templates_are_sandboxed(model: Model) -> None:
    with pytest.raises(WorkerError):
        chat.render(chat.compile_template("{{ ''.__class__.__mro__[1].__subclasses__() }}"), ("a",), (), "", "")


def test_depth_comes_before_the_chat(model: Model, context: Context) -> None:
    _, requests = talk(model, context, depth=50)
    assert requests[0].cached_tokens == 50


def test_pieces_of_a_long_prompt_are_the_logical_batch(model: Model) -> None:
    context = Context(model, JobEngine(name="llama_cpp", batch=32, ubatch=16), n_ctx=256, threads=1, threads_batch=1)
    loop = Loop(context, 4, Marks())
    assert [p.n_tokens for p in loop.batches(range(100))] == [32, 32, 32, 4]
    whole = Context(model, ENGINE, n_ctx=256, threads=1, threads_batch=1)
    chains = [c.sampler(temperature=0, top_k=0, top_p=1, seed=0, banned=()) for c in (context, whole)]
    ids = model.tokenize("the other then " * 8, first=True, special=True)
    cut = loop.sampled(ids, 4, chains[0], frozenset())
    assert cut.tokens == Loop(whole, 4, Marks()).sampled(ids, 4, chains[1], frozenset()).tokens


def test_random_tokens_are_splitmix64(model: Model) -> None:
    # The reference values of SplitMix64 for seed 1234567 (Vigna's splitmix64.c).
    draw = workload.Draw(1234567, 1 << 64)
    assert draw.tokens(3) == [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert all(0 <= t < model.n_vocab for t in workload.Draw(0, model.n_vocab).tokens(1000))


def test_a_sampler_draws_the_same_with_the_same_seed(model: Model, context: Context) -> None:
    def draw(seed: int) -> tuple[int, ...]:
        context.clear()
        chain = context.sampler(temperature=1.5, top_k=40, top_p=0.9, seed=seed, banned=())
        return Loop(context, 12, Marks()).sampled([0, 5, 6], 12, chain, frozenset()).tokens

    assert draw(1) == draw(1) != draw(2)


def test_recurrent_or_not_cutting_the_cache_keeps_it_right(model: Model, context: Context) -> None:
    context.clear()
    loop = Loop(context, 4, Marks())
    loop.fill([0, 9, 10, 11, 12])
    assert context.keep(3)
    chain = context.sampler(temperature=0, top_k=0, top_p=1, seed=0, banned=())
    cut = loop.sampled([20, 21], 4, chain, frozenset())
    context.clear()
    assert loop.sampled([0, 9, 10, 20, 21], 4, chain, frozenset()).tokens == cut.tokens


def test_models_live_where_paths_have_blanks(tmp_path: Path) -> None:
    folder = tmp_path / "a b ü"
    folder.mkdir()
    assert Model(str(make(folder / "m é.gguf")), ENGINE).n_vocab == 512
